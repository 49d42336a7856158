/**
 * tls-commands.ts: `fed tls`: flags in, the work of @fed/pki, and its words out.
 */
import { type CommandOutcome, caCreate, certCreate } from '@fed/pki';
import type { Command } from 'commander';

export function addTlsCommands(program: Command): void {
  const tls = program.command('tls').description('make the certificates that servers prove themselves with');

  tls
    .command('ca')
    .description('the certificate authority of the federation')
    .command('create')
    .description('make a certificate authority in the current folder')
    .option('--days <n>', 'how long it is valid', Number, 1825)
    .option('--domain <name>', 'DNS domain', 'consul')
    .option('--name-constraint', 'restrict it to the domain')
    .option('--additional-name-constraint <name...>', 'further names it may sign for, with --name-constraint')
    .option('--cluster-id <id>', 'adds the URI name spiffe://<id>.<domain>')
    .option('--common-name <name>', 'instead of the one with the serial number')
    .action(async ({ additionalNameConstraint, ...flags }) =>
      speak(await caCreate({ ...flags, additionalNameConstraints: additionalNameConstraint ?? [] })),
    );

  tls
    .command('cert')
    .description('certificates signed by the authority')
    .command('create')
    .description('make a certificate in the current folder')
    .option('--server', 'for a server')
    .option('--client', 'for a client agent')
    .option('--cli', 'for the command line')
    .option('--dc <name>', 'datacenter', 'dc1')
    .option('--node <name>', 'with --server: adds <node>.server.<dc>.<domain>, the name gateways route by')
    .option('--domain <name>', 'DNS domain', 'consul')
    .option('--days <n>', 'how long it is valid', Number, 365)
    .option('--ca <file>', 'certificate of the authority', '#DOMAIN#-agent-ca.pem')
    .option('--key <file>', 'key of the authority', '#DOMAIN#-agent-ca-key.pem')
    .option('--additional-dnsname <name...>', 'further DNS names')
    .option('--additional-ipaddress <ip...>', 'further IP addresses')
    .action(async ({ additionalDnsname, additionalIpaddress, ...flags }) =>
      speak(
        await certCreate({
          ...flags,
          additionalDnsNames: additionalDnsname ?? [],
          additionalIpAddresses: additionalIpaddress ?? [],
        }),
      ),
    );
}

function speak(outcome: CommandOutcome): void {
  for (const line of outcome.stdout) process.stdout.write(`${line}\n`);
  for (const line of outcome.stderr) process.stderr.write(`${line}\n`);
  process.exitCode = outcome.exitCode;
}
