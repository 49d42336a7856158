/**
 * config.ts: what the server runs on, complete and checked: no optional that a default could fill.
 *
 * Lives here: defaults and the rules between keys. Must not live here: reading files or certificates (load.ts).
 */
import { hostname } from 'node:os';
import { parseEntry } from '@fed/gateway-locator';
import { type AclConfig, resolveAcl } from './acl.ts';
import type { FileConfig } from './schema.ts';
import { type EngineConfig, type LanJoinConfig, resolveEngine, resolveLanJoin } from './servers.ts';

export interface Config {
  readonly datacenter: string;
  readonly primary: string;
  readonly nodeName: string;
  readonly nodeId: string | undefined;
  readonly nodeMeta: Readonly<Record<string, string>>;
  readonly dataDir: string;
  readonly engine: EngineConfig;
  /** How many servers the operator means to run; 1 unless said otherwise. */
  readonly bootstrapExpect: number;
  readonly lan: LanJoinConfig;
  /** Whether this server goes back into its pools by itself after it left them. */
  readonly rejoinAfterLeave: boolean;
  readonly domain: string;
  readonly bindHost: string;
  /** What peers of the same datacenter are told to dial. */
  readonly advertiseHost: string;
  readonly advertiseWanHost: string;
  /** Port -1: none. */
  readonly http: HttpAddress;
  readonly https: HttpAddress;
  /** Whether clients of HTTPS must show a certificate of the same authority. */
  readonly httpsVerifyIncoming: boolean;
  readonly acl: AclConfig;
  /** xDS in plain text and over TLS. Port -1: not there. */
  readonly grpc: { readonly host: string; readonly port: number };
  readonly grpcTls: { readonly host: string; readonly port: number; readonly verifyIncoming: boolean };
  readonly serverPort: number;
  readonly lanPort: number;
  readonly wanPort: number;
  /** A 16, 24 or 32 byte gossip key. */
  readonly gossipKey: Uint8Array | undefined;
  readonly tls: {
    readonly caFile: string;
    readonly certFile: string;
    readonly keyFile: string;
    readonly verifyIncoming: boolean;
    readonly verifyOutgoing: boolean;
    readonly verifyServerHostname: boolean;
  };
  /** Whether a peer's certificate must name the datacenter it writes for. */
  readonly verifyServerDatacenter: boolean;
  readonly primaryGateways: readonly string[];
  readonly primaryGatewaysIntervalMs: number;
  readonly gossipLan: GossipTuning;
  readonly gossipWan: GossipTuning;
  readonly reconnectTimeoutMs: number;
  readonly reconnectTimeoutWanMs: number;
  readonly handshakeTimeoutMs: number;
  readonly connsPerClientMax: number;
  /** Failed connections that an address is forgiven; `Infinity` a second: all. */
  readonly failedConns: { readonly perSecond: number; readonly burst: number };
  readonly holdTimeoutMs: number;
  readonly queryTimeDefaultMs: number;
  readonly queryTimeMaxMs: number;
  readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error';
  readonly leaveOnTerminate: boolean;
  /** Of all names of metrics; the original's is `consul`. */
  readonly metricsPrefix: string;
}

export type HttpAddress =
  | { readonly host: string; readonly port: number }
  /** A unix socket. */
  | { readonly path: string };

export interface GossipTuning {
  readonly gossipIntervalMs?: number;
  readonly gossipNodes?: number;
  readonly probeIntervalMs?: number;
  readonly probeTimeoutMs?: number;
  readonly retransmitMult?: number;
  readonly suspicionMult?: number;
}

/** The operator's mistake. `problems` has one sentence each, naming the key and the remedy. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code = 'config_invalid';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`config validation failed: ${problems.join('; ')}`);
    this.problems = problems;
  }
}

/** Fills defaults and refuses every combination known to break; `warnings` are for the log. */
export function resolveConfig(file: FileConfig): {
  readonly config: Config;
  readonly warnings: readonly string[];
} {
  const problems: string[] = [];
  const warnings: string[] = [];
  const datacenter = (file.datacenter ?? 'dc1').toLowerCase();
  const primary = (file.primary_datacenter ?? datacenter).toLowerCase();
  const nodeName = file.node_name ?? hostname();

  for (const [key, name] of [
    ['datacenter', datacenter],
    ['primary_datacenter', primary],
  ] as const)
    if (!/^[a-z0-9_-]+$/.test(name))
      problems.push(`${key} '${name}' may hold only letters, digits, '-' and '_'`);
  if (nodeName === '') problems.push('node_name is empty; set it');
  if (file.server === false)
    problems.push('server = false: this program is the server; a client agent is not part of it');
  if (file.data_dir === undefined)
    problems.push('data_dir is missing; name a folder this server may write to');
  const engine = resolveEngine(file, datacenter, { problems, warnings });
  const lan = resolveLanJoin(file, { problems, warnings });

  if (file.connect?.enable_mesh_gateway_wan_federation !== true)
    problems.push(
      'connect.enable_mesh_gateway_wan_federation must be true: mesh gateways are how this server joins datacenters',
    );
  else if (file.connect?.enabled !== true)
    problems.push('connect.enable_mesh_gateway_wan_federation needs connect.enabled = true');
  if (/[./]/.test(nodeName))
    problems.push(
      `node_name '${nodeName}' may hold neither '.' nor '/': it is one label of the name that gateways route by`,
    );
  for (const key of ['start_join_wan', 'retry_join_wan'] as const)
    if ((file[key] ?? []).length > 0)
      problems.push(
        `${key} cannot be used with connect.enable_mesh_gateway_wan_federation; use primary_gateways`,
      );
  for (const key of ['ca_file', 'cert_file', 'key_file'] as const)
    if (file[key] === undefined)
      problems.push(
        `${key} is missing: what crosses a gateway is always TLS ('fed tls ca create' and 'fed tls cert create' make the files)`,
      );
  if (file.ports?.serf_wan === -1)
    problems.push('ports.serf_wan = -1 leaves this server without the WAN pool that federation needs');
  if (primary !== datacenter && (file.primary_gateways ?? []).length === 0)
    warnings.push(
      'primary_gateways is empty: this secondary cannot make first contact until the primary reaches it',
    );
  if ((file.primary_gateways ?? []).length > 0 && primary === datacenter)
    problems.push(
      'primary_gateways is for secondary datacenters: primary_datacenter must be set, and be another one',
    );
  for (const entry of file.primary_gateways ?? []) {
    try {
      parseEntry(entry);
    } catch (error) {
      problems.push(`primary_gateways: ${(error as Error).message}`);
    }
  }
  const intervalMs = file.primary_gateways_interval ?? 30_000;
  if (intervalMs < 1000) problems.push('primary_gateways_interval must be at least 1s');

  const verifyServerHostname = file.verify_server_hostname ?? false;
  const gossipKey = readGossipKey(file.encrypt, problems);
  const bindHost = file.bind_addr ?? '127.0.0.1';
  if (file.bind_addr === '0.0.0.0' && file.advertise_addr === undefined)
    problems.push('advertise_addr is missing: bind_addr 0.0.0.0 does not say what peers should dial');
  const advertiseHost = file.advertise_addr ?? bindHost;
  const clientHost = file.client_addr ?? '127.0.0.1';

  if (file.ports?.grpc === -1 && (file.ports.grpc_tls ?? -1) === -1)
    warnings.push('ports.grpc and ports.grpc_tls are both -1: no gateway can be configured by this server');
  for (const key of ['grpc', 'grpc_tls'] as const)
    if (/^unix:/.test(file.addresses?.[key] ?? ''))
      problems.push(`addresses.${key}: a unix socket is not offered for xDS; name an IP address`);

  const failedConnsRate = file.limits?.rpc_failed_conns_rate ?? 1;
  const acl = resolveAcl(file.acl, { problems, warnings });

  if (problems.length > 0) throw new ConfigError(problems);
  return {
    warnings,
    config: {
      datacenter,
      primary,
      nodeName,
      nodeId: file.node_id,
      nodeMeta: file.node_meta ?? {},
      dataDir: file.data_dir as string,
      engine,
      bootstrapExpect: Math.max(1, file.bootstrap_expect ?? 1),
      lan,
      rejoinAfterLeave: file.rejoin_after_leave ?? false,
      domain: (file.domain ?? 'consul').replace(/\.$/, ''),
      bindHost,
      advertiseHost,
      advertiseWanHost: file.advertise_addr_wan ?? advertiseHost,
      http: httpAddress(file.addresses?.http ?? clientHost, file.ports?.http ?? 8500),
      https: httpAddress(file.addresses?.https ?? clientHost, file.ports?.https ?? -1),
      httpsVerifyIncoming: file.verify_incoming ?? false,
      acl,
      grpc: { host: file.addresses?.grpc ?? clientHost, port: file.ports?.grpc ?? 8502 },
      grpcTls: {
        host: file.addresses?.grpc_tls ?? clientHost,
        port: file.ports?.grpc_tls ?? -1,
        // As in the original, the older key verify_incoming does not speak of gateways: they have no certificates.
        verifyIncoming: file.tls?.grpc?.verify_incoming ?? false,
      },
      serverPort: file.ports?.server ?? 8300,
      lanPort: file.ports?.serf_lan ?? 8301,
      wanPort: file.ports?.serf_wan ?? 8302,
      gossipKey,
      tls: {
        caFile: file.ca_file as string,
        certFile: file.cert_file as string,
        keyFile: file.key_file as string,
        verifyIncoming: file.verify_incoming ?? file.verify_incoming_rpc ?? false,
        verifyOutgoing: (file.verify_outgoing ?? false) || verifyServerHostname,
        verifyServerHostname,
      },
      verifyServerDatacenter: file.verify_server_datacenter ?? true,
      primaryGateways: file.primary_gateways ?? [],
      primaryGatewaysIntervalMs: intervalMs,
      gossipLan: tuning(file.gossip_lan),
      gossipWan: tuning(file.gossip_wan),
      reconnectTimeoutMs: file.reconnect_timeout ?? 72 * 3_600_000,
      reconnectTimeoutWanMs: file.reconnect_timeout_wan ?? 72 * 3_600_000,
      handshakeTimeoutMs: file.limits?.rpc_handshake_timeout ?? 5000,
      connsPerClientMax: file.limits?.rpc_max_conns_per_client ?? 100,
      failedConns: {
        perSecond: failedConnsRate < 0 ? Number.POSITIVE_INFINITY : failedConnsRate,
        burst: file.limits?.rpc_failed_conns_burst ?? 10,
      },
      holdTimeoutMs: file.performance?.rpc_hold_timeout ?? 7000,
      queryTimeDefaultMs: file.default_query_time ?? 300_000,
      queryTimeMaxMs: file.max_query_time ?? 600_000,
      logLevel: (file.log_level?.toLowerCase() ?? 'info') as Config['logLevel'],
      leaveOnTerminate: file.leave_on_terminate ?? false,
      metricsPrefix: file.telemetry?.metrics_prefix ?? 'fed',
    },
  };
}

/** `unix:///path`, or a host that goes with the port. */
function httpAddress(host: string, port: number): HttpAddress {
  const path = /^unix:\/\/(.+)$/.exec(host)?.[1];
  return path === undefined ? { host, port } : { path };
}

function tuning(file: FileConfig['gossip_lan']): GossipTuning {
  const out: Record<string, number> = {};
  const put = (key: keyof GossipTuning, value: number | undefined): void => {
    if (value !== undefined) out[key] = value;
  };
  put('gossipIntervalMs', file?.gossip_interval);
  put('gossipNodes', file?.gossip_nodes);
  put('probeIntervalMs', file?.probe_interval);
  put('probeTimeoutMs', file?.probe_timeout);
  put('retransmitMult', file?.retransmit_mult);
  put('suspicionMult', file?.suspicion_mult);
  return out;
}

function readGossipKey(encrypt: string | undefined, problems: string[]): Uint8Array | undefined {
  if (encrypt === undefined || encrypt === '') return undefined;
  const key = Buffer.from(encrypt, 'base64');
  if (key.toString('base64').replace(/=+$/, '') !== encrypt.replace(/=+$/, ''))
    problems.push("encrypt is not base64; make a key with 'fed keygen'");
  else if (![16, 24, 32].includes(key.length))
    problems.push(
      `encrypt holds ${key.length} bytes; a gossip key has 16, 24 or 32 ('fed keygen' makes one)`,
    );
  return key;
}
