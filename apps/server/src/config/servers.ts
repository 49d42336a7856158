/**
 * servers.ts: what makes one datacenter of several servers: the log they share, and how they find each other.
 *
 * Lives here: the `engine` section and the LAN join keys. Must not live here: opening the engine (../machine.ts), joining.
 * Source of the join keys: Consul agent/config/builder.go. `engine` is ours: the original has its own consensus.
 */
import type { FileConfig } from './schema.ts';

export type EngineConfig =
  /** The log is on this server's own disk. One server is the datacenter. */
  { readonly type: 'embedded' } | EtcdEngineConfig;

/** The log is in an etcd cluster that all servers of the datacenter share. */
export interface EtcdEngineConfig {
  readonly type: 'etcd';
  readonly endpoints: readonly string[];
  /** Ends in '/'; everything of this datacenter is below it. */
  readonly prefix: string;
  readonly caFile: string | undefined;
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
  /** The name expected in etcd's certificate, when it is not the endpoint's host. */
  readonly serverName: string | undefined;
  readonly user: string | undefined;
  readonly password: string | undefined;
  /** How long a leader's claim stands after its last sign of life. */
  readonly leaseMs: number;
  /** Whether history before the last snapshot but one is dropped, in the whole etcd cluster. */
  readonly compactHistory: boolean;
}

export interface LanJoinConfig {
  /** Joined once at the start; the server does not run when none of them can be. */
  readonly startJoin: readonly string[];
  /** Joined in the background until one of them answers. */
  readonly retryJoin: readonly string[];
  readonly retryIntervalMs: number;
  /** 0: for ever; else the server ends after so many attempts. */
  readonly retryMax: number;
}

interface Findings {
  readonly problems: string[];
  readonly warnings: string[];
}

const remedy = `give all servers of the datacenter one etcd cluster (engine = { type = "etcd", endpoints = ["http://127.0.0.1:2379"] })`;

export function resolveEngine(
  file: FileConfig,
  datacenter: string,
  { problems, warnings }: Findings,
): EngineConfig {
  const { engine = { type: 'embedded' } } = file;
  if (engine.type === 'embedded') {
    const expected = file.bootstrap_expect ?? 1;
    if (expected > 1)
      problems.push(
        `bootstrap_expect is ${expected}, but the embedded engine keeps the log on this server's own disk, so that one server is the whole datacenter: ${remedy}, or set bootstrap_expect to 1`,
      );
    if ([...(file.start_join ?? []), ...(file.retry_join ?? [])].length > 0)
      warnings.push(
        `start_join and retry_join find no second server while the engine is embedded, which is one server's: ${remedy}`,
      );
    return { type: 'embedded' };
  }
  const { endpoints, prefix = `/fed/${datacenter}/`, cert_file: certFile, key_file: keyFile, user } = engine;
  if (endpoints.length === 0)
    problems.push('engine.endpoints is empty; name every member of the etcd cluster, as http(s)://host:port');
  for (const endpoint of endpoints)
    if (!/^(https?:\/\/)?[^/\s]+:\d+\/?$/.test(endpoint))
      problems.push(`engine.endpoints: '${endpoint}' is not of the form http(s)://host:port`);
  if (!/^.+\/$/.test(prefix)) problems.push(`engine.prefix '${prefix}' must end in '/'`);
  if ((certFile === undefined) !== (keyFile === undefined))
    problems.push('engine.cert_file and engine.key_file belong together: set both or none');
  if ((user === undefined) !== (engine.password === undefined))
    problems.push('engine.user and engine.password belong together: set both or none');
  const leaseMs = engine.lease ?? 1_000;
  if (leaseMs < 1_000) problems.push('engine.lease must be at least 1s');
  return {
    type: 'etcd',
    endpoints,
    prefix,
    caFile: engine.ca_file,
    certFile,
    keyFile,
    serverName: engine.server_name,
    user,
    password: engine.password,
    leaseMs,
    compactHistory: engine.compact_history ?? true,
  };
}

export function resolveLanJoin(file: FileConfig, { problems }: Findings): LanJoinConfig {
  for (const key of ['start_join', 'retry_join'] as const)
    for (const entry of file[key] ?? [])
      if (entry.includes('provider='))
        problems.push(`${key}: '${entry}': finding servers through a cloud is not offered; name addresses`);
      else if (entry.trim() === '') problems.push(`${key} holds an empty address`);
  const retryIntervalMs = file.retry_interval ?? 30_000;
  if (retryIntervalMs < 1_000) problems.push('retry_interval must be at least 1s');
  return {
    startJoin: file.start_join ?? [],
    retryJoin: file.retry_join ?? [],
    retryIntervalMs,
    retryMax: file.retry_max ?? 0,
  };
}
