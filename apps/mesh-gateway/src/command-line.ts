/**
 * command-line.ts: the flags of `fed-mesh-gateway`, in today's form and in the original's single-dash form.
 *
 * Lives here: names, help texts, the two spellings. Must not live here: what values mean (config.ts).
 * Source: Consul command/connect/envoy, whose flags these are.
 */
import { Command, Option } from 'commander';
import type { Flags } from './config.ts';

/** `-expose-servers` to `--expose-servers`, up to a bare `--`. One letter stays what it is. */
export function withDoubleDashes(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf('--');
  return argv.map((arg, i) => ((end === -1 || i < end) && /^-[a-z][a-z-]+(=|$)/.test(arg) ? `-${arg}` : arg));
}

export interface CommandLineOptions {
  /** For tests: throw a CommanderError instead of leaving the process. */
  readonly exitOverride?: boolean;
  readonly version?: string;
}

/** `argv` without node and script. Unknown flags and `--help` end the process. What follows a bare `--` is Envoy's. */
export function parseCommandLine(argv: readonly string[], o: CommandLineOptions = {}): Flags {
  const end = argv.indexOf('--');
  const ours = end === -1 ? argv : argv.slice(0, end);
  const envoyArgs = end === -1 ? [] : argv.slice(end + 1);
  const program = new Command('fed-mesh-gateway')
    .description(
      'Runs a mesh gateway: registers it at the local agent, takes its routes over xDS, relays TLS by server name.',
    )
    .option('--gateway <kind>', 'kind of gateway; only mesh is offered', 'mesh')
    .option('--register', 'register at the agent (the default)')
    .option('--no-register', 'do not register: somebody else did')
    .option('--expose-servers', 'carry traffic between servers of federated datacenters')
    .option('--service <name>', 'service name (default: mesh-gateway)')
    .option('--proxy-id <id>', 'instance id (default: the service name)')
    .option('--node-name <name>', 'catalog node of the registration, if it is not the agent’s')
    .option(
      '--address <ip[:port]>',
      'address to advertise in this datacenter; port 8443, 0 means any free one',
    )
    .option('--wan-address <ip[:port]>', 'address to advertise to other datacenters')
    .option(
      '--bind-address <name=ip:port>',
      'listen here instead; may be repeated',
      (value: string, before: readonly string[] = []): readonly string[] => [...before, value],
    )
    .option(
      '--proxy-protocol',
      'a load balancer in front says with the PROXY protocol for whom it connects (clients without it are served, too)',
    )
    .option(
      '--http-addr <host:port>',
      'HTTP API of the agent; of several (with commas, or repeated) the next is used when one is gone (default: $CONSUL_HTTP_ADDR or 127.0.0.1:8500)',
      (value: string, before: readonly string[] = []): readonly string[] => [...before, value],
    )
    .option(
      '--grpc-addr <host:port>',
      'xDS of the agent; https:// for TLS (default: $CONSUL_GRPC_ADDR, or ask the agent)',
    )
    .option(
      '--grpc-ca-file <file>',
      'authority of the xDS server’s certificate (default: $CONSUL_GRPC_CACERT)',
    )
    .option('--grpc-ca-path <folder>', 'the same as a folder of files (default: $CONSUL_GRPC_CAPATH)')
    .option(
      '--tls-server-name <name>',
      'name in the xDS server’s certificate, such as server.dc1.consul (default: $CONSUL_TLS_SERVER_NAME)',
    )
    .option('--token <token>', 'ACL token (default: $CONSUL_HTTP_TOKEN)')
    .option('--admin-bind <ip:port>', 'metrics, readiness and connections (default: 127.0.0.1:19000)')
    .option('--data-plane <name>', 'embedded: the relay of this program (the default); envoy: a real Envoy')
    .option('--concurrency <n>', 'how many processor cores relay; auto for all (default: 1; Envoy: all)')
    .option(
      '--envoy-binary <path>',
      'the Envoy to run (default: envoy on PATH); arguments for it follow after --',
    )
    .option('--ignore-envoy-compatibility', 'run an Envoy older than we know')
    .option(
      '--bootstrap-only',
      'print the document Envoy starts from, and nothing else; --bootstrap is the same',
    )
    .addOption(new Option('--bootstrap').hideHelp())
    .option('--deregister-after-critical <duration>', 'forget the instance after this long (default: 6h)')
    .option('--deregister-on-exit', 'deregister on SIGTERM and SIGINT')
    .option('--drain-time <duration>', 'let open connections go on this long after SIGTERM (default: 5s)')
    .option('--log-level <level>', 'trace, debug, info, warn, error, fatal or silent (default: info)')
    .allowExcessArguments(false);
  if (o.version !== undefined) program.version(o.version);
  if (o.exitOverride) program.exitOverride().configureOutput({ writeErr: () => {}, writeOut: () => {} });
  const flags = program.parse(withDoubleDashes(ours), { from: 'user' }).opts<Flags>();
  return envoyArgs.length > 0 ? { ...flags, envoyArgs } : flags;
}
