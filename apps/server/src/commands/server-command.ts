/**
 * server-command.ts: `fed server` and `fed validate`: flags to configuration, signals to one abort signal, errors to
 * sentences and exit codes.
 */
import { ConfigError, resolveConfig } from '../config/config.ts';
import { loadFiles, parseDocument } from '../config/load.ts';
import type { FileConfig } from '../config/schema.ts';
import { settleHeap } from '../heap.ts';
import { openLog } from '../log.ts';
import { systemWorld } from '../world.ts';

/** Why the server ends: what is still told to others on the way out. */
export interface StopReason {
  readonly leave: boolean;
  readonly why: string;
  /** It stops because something failed: said, and the exit code tells. */
  readonly failed?: Error;
}

export async function serverCommand(flags: Readonly<Record<string, unknown>>): Promise<number> {
  using _heap = settleHeap();
  const files = ['config', 'configFile', 'configDir'].flatMap((flag) => strings(flags[flag]));
  /** At the start, and at every reload. */
  const readConfig = () => resolveConfig(loadFiles(files, flagConfig(flags)));
  let resolved: ReturnType<typeof readConfig>;
  try {
    if (files.length === 0) throw new ConfigError(['no configuration: name a file with --config']);
    resolved = readConfig();
  } catch (error) {
    return complain(error);
  }
  const { config, warnings } = resolved;
  const log = openLog(config.logLevel);
  for (const text of warnings) log.warn({ room: 'config' }, text);

  const stop = new AbortController();
  const request = (reason: StopReason): void => {
    if (!stop.signal.aborted) stop.abort(reason);
  };
  const signalled = (reason: StopReason): void => {
    if (stop.signal.aborted) {
      log.warn({ room: 'server' }, 'asked to stop again: stopping at once');
      process.exit(1);
    }
    stop.abort(reason);
  };
  process.on('SIGHUP', () => {}); // while it starts or stops there is nothing to reload, and no reason to die
  process.on('SIGINT', () => signalled({ leave: false, why: 'SIGINT' }));
  process.on('SIGTERM', () => signalled({ leave: config.leaveOnTerminate, why: 'SIGTERM' }));

  const { runServer } = await import('../main.ts');
  try {
    await runServer(config, systemWorld(readConfig), { signal: stop.signal, request }, log);
    return 0;
  } catch (error) {
    if (error instanceof ConfigError) return complain(error);
    log.fatal({ room: 'server', err: error }, (error as Error).message);
    return 1;
  }
}

export function validateCommand(files: readonly string[], print: (text: string) => void): number {
  try {
    const { warnings } = resolveConfig(loadFiles(files));
    for (const text of warnings) process.stderr.write(`warning: ${text}\n`);
    print('Configuration is valid!');
    return 0;
  } catch (error) {
    return complain(error, 'Config validation failed:');
  }
}

/** Flags that stand for keys, checked by the same schema as files. */
function flagConfig(flags: Readonly<Record<string, unknown>>): FileConfig {
  const document = {
    node_name: flags['node'],
    datacenter: flags['datacenter'],
    data_dir: flags['dataDir'],
    bind_addr: flags['bind'],
    client_addr: flags['client'],
    ...(flags['httpPort'] === undefined ? {} : { ports: { http: flags['httpPort'] } }),
    bootstrap_expect: flags['bootstrapExpect'],
    start_join: flags['join'],
    retry_join: flags['retryJoin'],
    retry_interval: flags['retryInterval'],
    retry_max: flags['retryMax'],
    rejoin_after_leave: flags['rejoin'],
    primary_gateways: flags['primaryGateway'],
    log_level: flags['logLevel'],
  };
  const present = Object.fromEntries(Object.entries(document).filter(([, value]) => value !== undefined));
  const problems: string[] = [];
  const parsed = parseDocument('flags', present, problems);
  if (parsed === undefined) throw new ConfigError(problems);
  return parsed;
}

function complain(error: unknown, headline = 'The server cannot run with this configuration:'): number {
  if (!(error instanceof ConfigError)) throw error;
  process.stderr.write(`${headline}\n`);
  for (const problem of error.problems) process.stderr.write(`  - ${problem}\n`);
  return 1;
}

function strings(value: unknown): readonly string[] {
  return Array.isArray(value) ? (value as string[]) : [];
}
