/**
 * reloadable.ts: what a reload takes over at once, and what waits for a restart: one line for everything that is configured.
 *
 * Lives here: that table, and comparing two configurations by it. Must not live here: reading files (load.ts), doing it
 * (../standing.ts).
 */
import { isDeepStrictEqual } from 'node:util';
import type { Config } from './config.ts';

interface Line {
  /** As the operator writes it; several keys where they add up to one value. */
  readonly key: string;
  readonly takes: 'reload' | 'restart';
}
/** A section whose parts differ has a line for each of them. */
type Lines<T> = { readonly [K in keyof T]-?: Line | Parts<T[K]> };
interface Parts<T> {
  readonly parts: Lines<T>;
}

const reload = (key: string): Line => ({ key, takes: 'reload' });
const restart = (key: string): Line => ({ key, takes: 'restart' });

/** Complete: what is configured and has no line here does not compile. */
const table: Lines<Config> = {
  acl: {
    parts: {
      enabled: restart('acl.enabled'), // it is told to others in gossip
      defaultPolicy: reload('acl.default_policy'),
      tokens: reload('acl.static_tokens, acl.tokens.initial_management'),
      defaultSecret: reload('acl.tokens.default'),
      ownSecret: reload('acl.tokens.replication'),
      agentSecret: reload('acl.tokens.agent'),
    },
  },
  connsPerClientMax: reload('limits.rpc_max_conns_per_client'),
  failedConns: reload('limits.rpc_failed_conns_rate, limits.rpc_failed_conns_burst'),
  handshakeTimeoutMs: reload('limits.rpc_handshake_timeout'),
  logLevel: reload('log_level'),
  primaryGateways: reload('primary_gateways'),
  tls: {
    parts: {
      caFile: reload('ca_file'),
      certFile: reload('cert_file'),
      keyFile: reload('key_file'),
      verifyIncoming: reload('verify_incoming'),
      verifyOutgoing: reload('verify_outgoing'),
      verifyServerHostname: reload('verify_server_hostname'),
    },
  },
  verifyServerDatacenter: reload('verify_server_datacenter'),

  advertiseHost: restart('advertise_addr'),
  advertiseWanHost: restart('advertise_addr_wan'),
  bindHost: restart('bind_addr'),
  bootstrapExpect: restart('bootstrap_expect'),
  dataDir: restart('data_dir'),
  datacenter: restart('datacenter'),
  domain: restart('domain'),
  engine: restart('engine'),
  gossipKey: restart('encrypt'),
  gossipLan: restart('gossip_lan'),
  gossipWan: restart('gossip_wan'),
  grpc: restart('ports.grpc, addresses.grpc'),
  grpcTls: restart('ports.grpc_tls, addresses.grpc_tls, tls.grpc.verify_incoming'),
  holdTimeoutMs: restart('performance.rpc_hold_timeout'),
  http: restart('ports.http, addresses.http, client_addr'),
  https: restart('ports.https, addresses.https, client_addr'),
  httpsVerifyIncoming: reload('verify_incoming'),
  lan: restart('start_join, retry_join, retry_interval, retry_max'),
  lanPort: restart('ports.serf_lan'),
  leaveOnTerminate: restart('leave_on_terminate'),
  metricsPrefix: restart('telemetry.metrics_prefix'),
  nodeId: restart('node_id'),
  nodeMeta: restart('node_meta'),
  nodeName: restart('node_name'),
  primary: restart('primary_datacenter'),
  primaryGatewaysIntervalMs: restart('primary_gateways_interval'),
  queryTimeDefaultMs: restart('default_query_time'),
  queryTimeMaxMs: restart('max_query_time'),
  reconnectTimeoutMs: restart('reconnect_timeout'),
  reconnectTimeoutWanMs: restart('reconnect_timeout_wan'),
  rejoinAfterLeave: restart('rejoin_after_leave'),
  serverPort: restart('ports.server'),
  wanPort: restart('ports.serf_wan'),
};

export interface Changes {
  /** What runs from now on: `running`, with all of `wanted` that a reload takes over. */
  readonly config: Config;
  /** Keys whose values are new in it, and keys that keep their old ones until a restart. */
  readonly taken: readonly string[];
  readonly waiting: readonly string[];
}

export function changesBetween(running: Config, wanted: Config): Changes {
  const taken = new Set<string>();
  const waiting = new Set<string>();
  const merged = <T>(lines: Lines<T>, old: T, fresh: T): T => {
    const out = { ...old };
    for (const name of Object.keys(lines as object) as (keyof T)[]) {
      const line = lines[name];
      if (isDeepStrictEqual(old[name], fresh[name])) continue;
      if ('parts' in line) out[name] = merged(line.parts, old[name], fresh[name]);
      else if (line.takes === 'reload') {
        out[name] = fresh[name];
        taken.add(line.key);
      } else waiting.add(line.key);
    }
    return out;
  };
  return { config: merged(table, running, wanted), taken: [...taken], waiting: [...waiting] };
}
