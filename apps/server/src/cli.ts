#!/usr/bin/env node
/**
 * cli.ts: the program `fed`. Parses flags, prints, and sets the exit code; each command's work is elsewhere and is
 * loaded only when asked for, so that `fed members` starts as fast as Node does.
 */
import { Command, CommanderError, Option } from 'commander';
import { version } from './version.ts';

const print = (text: string): void => void process.stdout.write(`${text}\n`);

async function main(argv: readonly string[]): Promise<void> {
  const program = new Command('fed')
    .description('Federates datacenters that share no network, through mesh gateways.')
    .version(version, '-v, --version')
    .showHelpAfterError('(try: fed --help)')
    .enablePositionalOptions()
    .exitOverride();

  program
    .command('server')
    .description('run a server')
    .option(
      '--config <file...>',
      'a file, or a folder of *.json and *.hcl; may be repeated (also --config-file, --config-dir)',
    )
    .addOption(new Option('--config-file <file...>').hideHelp())
    .addOption(new Option('--config-dir <folder...>').hideHelp())
    .option('--node <name>', 'node_name')
    .option('--datacenter <name>', 'datacenter')
    .option('--data-dir <folder>', 'data_dir')
    .option('--bind <address>', 'bind_addr')
    .option('--client <address>', 'client_addr')
    .option('--http-port <port>', 'ports.http', Number)
    .option('--bootstrap-expect <n>', 'bootstrap_expect', Number)
    .option('--join <address...>', 'start_join; may be repeated')
    .option('--retry-join <address...>', 'retry_join; may be repeated')
    .option('--retry-interval <duration>', 'retry_interval')
    .option('--retry-max <n>', 'retry_max', Number)
    .option('--rejoin', 'rejoin_after_leave')
    .option('--primary-gateway <host:port...>', 'primary_gateways; may be repeated')
    .option('--log-level <level>', 'log_level')
    .action(async (flags: Record<string, unknown>) => {
      const { serverCommand } = await import('./commands/server-command.ts');
      process.exitCode = await serverCommand(flags);
    });
  program
    .command('validate <file...>')
    .description('check configuration files without starting anything')
    .action(async (files: string[]) => {
      const { validateCommand } = await import('./commands/server-command.ts');
      process.exitCode = validateCommand(files, print);
    });
  program
    .command('keygen')
    .description('make a gossip key for the configuration key `encrypt`')
    .action(async () => {
      const { randomBytes } = await import('node:crypto');
      print(randomBytes(32).toString('base64'));
    });
  program
    .command('version')
    .description('print the version')
    .action(() => print(`fed ${version}`));

  const { addTlsCommands } = await import('./commands/tls-commands.ts');
  addTlsCommands(program);
  const { addClientCommands } = await import('./commands/client-commands.ts');
  addClientCommands(program, print);
  const { addXdsCommands } = await import('./commands/xds-commands.ts');
  addXdsCommands(program, print);
  const { addConfigCommands } = await import('./commands/config-commands.ts');
  addConfigCommands(program, print);
  const { addEventCommand } = await import('./commands/event-command.ts');
  addEventCommand(program, print);
  const { addGatewayCommands } = await import('./commands/gateway-commands.ts');
  addGatewayCommands(program, print);
  const { addKeyringCommand } = await import('./commands/keyring-command.ts');
  addKeyringCommand(program, print);
  const { addSnapshotCommands } = await import('./commands/snapshot-commands.ts');
  addSnapshotCommands(program, print);

  try {
    await program.parseAsync(argv.map(doubleDash), { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) process.exitCode = error.exitCode;
    else {
      process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
      process.exitCode = 1;
    }
  }
}

/** `-config-file x` is what the original's users type; `-v` and `-h` stay what they are. */
function doubleDash(word: string): string {
  return /^-[a-z][a-z-]+(=|$)/.test(word) ? `-${word}` : word;
}

await main(process.argv.slice(2));
