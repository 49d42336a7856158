/**
 * config.ts: the command line as one checked value.
 *
 * Everything that can be known to be wrong before anything is opened is found here, and said with the flag's name and
 * the way out. Empty and absent mean the same.
 * Lives here: reading flags and environment. Must not live here: the flag parser (command-line.ts), I/O.
 * Source: Consul command/connect/envoy (flags, defaults), command/flags/http.go (environment).
 */
import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import type { HostPort } from '@fed/alpn-mux';

/** As the flag parser gives them. */
export interface Flags {
  readonly gateway?: string;
  readonly register?: boolean;
  readonly exposeServers?: boolean;
  readonly service?: string;
  readonly proxyId?: string;
  readonly nodeName?: string;
  readonly address?: string;
  readonly wanAddress?: string;
  readonly bindAddress?: readonly string[];
  readonly proxyProtocol?: boolean;
  readonly httpAddr?: readonly string[];
  readonly grpcAddr?: string;
  readonly grpcCaFile?: string;
  readonly grpcCaPath?: string;
  readonly tlsServerName?: string;
  readonly token?: string;
  readonly adminBind?: string;
  readonly dataPlane?: string;
  readonly concurrency?: string;
  readonly bootstrap?: boolean;
  readonly bootstrapOnly?: boolean;
  readonly envoyBinary?: string;
  readonly ignoreEnvoyCompatibility?: boolean;
  /** What stood after a bare `--`. */
  readonly envoyArgs?: readonly string[];
  readonly deregisterAfterCritical?: string;
  readonly deregisterOnExit?: boolean;
  readonly drainTime?: string;
  readonly logLevel?: string;
}

interface BindAddress extends HostPort {
  readonly name: string;
}

export interface GatewayConfig {
  readonly service: string;
  /** The instance; also what the gateway calls itself over xDS. */
  readonly id: string;
  /** The catalog node of the registration, if it is not the agent's own. */
  readonly nodeName?: string;
  /** Register at the agent; else somebody else did. */
  readonly register: boolean;
  readonly exposeServers: boolean;
  /** LAN and WAN address to advertise. Port 0: any free one. */
  readonly address?: HostPort;
  readonly wanAddress?: HostPort;
  readonly bindAddresses: readonly BindAddress[];
  /** Load balancers in front say for whom they connect. */
  readonly proxyProtocol: boolean;
  /** Where the HTTP API of the agent is; of several, one is used, and the next when that is gone. */
  readonly httpUrls: readonly [string, ...string[]];
  /** Where its xDS is; absent: ask the agent. */
  readonly grpc?: GrpcAddress;
  /** Authorities of its certificate: a file, a folder of files. Either asks for TLS. */
  readonly grpcCaFile?: string;
  readonly grpcCaPath?: string;
  /** The name its certificate must have. */
  readonly tlsServerName?: string;
  readonly token?: string;
  readonly adminBind: HostPort;
  readonly dataPlane: 'embedded' | 'envoy';
  /** How many processor cores relay; absent: one, or all of them where Envoy relays. */
  readonly concurrency?: number;
  /** Print Envoy's bootstrap and be done. */
  readonly bootstrapOnly: boolean;
  /** Path; absent: the one on PATH. */
  readonly envoyBinary?: string;
  readonly ignoreEnvoyCompatibility: boolean;
  /** Passed on to Envoy after our own arguments. */
  readonly envoyArgs: readonly string[];
  /** A Go duration, passed on as it is. */
  readonly deregisterAfterCritical: string;
  readonly deregisterOnExit: boolean;
  /** How long open connections go on after SIGTERM. */
  readonly drainMs: number;
  readonly logLevel: string;
}

export interface GrpcAddress {
  /** `host:port` or `unix:///path`. */
  readonly target: string;
  readonly tls: boolean;
}

/** A mistake in how the program was called. `flag` is without dashes. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly code:
    | 'kind_unsupported'
    | 'data_plane_unsupported'
    | 'concurrency_malformed'
    | 'needs_envoy'
    | 'expose_needs_registration'
    | 'proxy_protocol_needs_registration'
    | 'address_malformed'
    | 'address_needs_port'
    | 'address_not_bindable'
    | 'bind_address_malformed'
    | 'url_malformed'
    | 'ca_unusable'
    | 'duration_malformed'
    | 'log_level_unknown';
  readonly flag: string;
  constructor(code: UsageError['code'], flag: string, detail: string) {
    super(`--${flag}: ${detail}`);
    this.code = code;
    this.flag = flag;
  }
}

export const defaultPort = 8443;
const concurrencyMax = 128;
const logLevels: ReadonlySet<string> = new Set([
  'trace',
  'debug',
  'info',
  'warn',
  'error',
  'fatal',
  'silent',
]);

/** Throws a UsageError. */
export function readConfig(flags: Flags, env: Readonly<Record<string, string | undefined>>): GatewayConfig {
  const gateway = flags.gateway || 'mesh';
  if (gateway !== 'mesh') {
    throw new UsageError(
      'kind_unsupported',
      'gateway',
      `"${gateway}" is not offered: only mesh gateways are`,
    );
  }
  const bootstrapOnly = flags.bootstrapOnly ?? flags.bootstrap ?? false;
  const dataPlane = flags.dataPlane || (bootstrapOnly ? 'envoy' : 'embedded');
  if (dataPlane !== 'embedded' && dataPlane !== 'envoy') {
    throw new UsageError(
      'data_plane_unsupported',
      'data-plane',
      `"${dataPlane}" is not offered: write embedded or envoy`,
    );
  }
  if (dataPlane === 'embedded') assertNothingForEnvoy(flags, bootstrapOnly);
  if (flags.concurrency && (flags.envoyArgs ?? []).some((arg) => /^--concurrency(=|$)/.test(arg))) {
    throw new UsageError('concurrency_malformed', 'concurrency', 'is said again after --: say it once');
  }
  // A document is often made on one machine for another, or looked at; only who asks for it registers by it.
  const register = flags.register ?? !bootstrapOnly;
  const exposeServers = flags.exposeServers ?? false;
  if (exposeServers && flags.register === false) {
    throw new UsageError(
      'expose_needs_registration',
      'expose-servers',
      'is a mark in the registration: leave --no-register out',
    );
  }
  if (flags.proxyProtocol && flags.register === false) {
    throw new UsageError(
      'proxy_protocol_needs_registration',
      'proxy-protocol',
      'is part of the registration: leave --no-register out, or register envoy_gateway_proxy_protocol = true in its proxy config',
    );
  }
  const service = flags.service || 'mesh-gateway';
  const logLevel = flags.logLevel || 'info';
  if (!logLevels.has(logLevel)) {
    throw new UsageError(
      'log_level_unknown',
      'log-level',
      `"${logLevel}" is none of ${[...logLevels].join(', ')}`,
    );
  }
  const token = flags.token || env['CONSUL_HTTP_TOKEN'];
  const grpcAddr = flags.grpcAddr || env['CONSUL_GRPC_ADDR'];
  const grpcCaFile = flags.grpcCaFile || env['CONSUL_GRPC_CACERT'];
  const grpcCaPath = flags.grpcCaPath || env['CONSUL_GRPC_CAPATH'];
  const tlsServerName = flags.tlsServerName || env['CONSUL_TLS_SERVER_NAME'];
  const deregisterAfterCritical = flags.deregisterAfterCritical || '6h';
  durationMs('deregister-after-critical', deregisterAfterCritical);
  return {
    service,
    id: flags.proxyId || service,
    ...(flags.nodeName && { nodeName: flags.nodeName }),
    register,
    exposeServers,
    ...(flags.address && { address: parseAddress('address', flags.address) }),
    ...(flags.wanAddress && { wanAddress: parseAddress('wan-address', flags.wanAddress) }),
    bindAddresses: (flags.bindAddress ?? []).map(parseBindAddress),
    proxyProtocol: flags.proxyProtocol ?? false,
    httpUrls: httpUrls(flags.httpAddr, env['CONSUL_HTTP_ADDR']),
    ...(grpcAddr && { grpc: grpcAddress(grpcAddr, Boolean(grpcCaFile || grpcCaPath)) }),
    ...(grpcCaFile && { grpcCaFile }),
    ...(grpcCaPath && { grpcCaPath }),
    ...(tlsServerName && { tlsServerName }),
    ...(token && { token }),
    adminBind: parseAddress('admin-bind', flags.adminBind || '127.0.0.1:19000', 19_000),
    dataPlane,
    ...(flags.concurrency && { concurrency: concurrencyOf(flags.concurrency) }),
    bootstrapOnly,
    ...(flags.envoyBinary && { envoyBinary: flags.envoyBinary }),
    ignoreEnvoyCompatibility: flags.ignoreEnvoyCompatibility ?? false,
    envoyArgs: flags.envoyArgs ?? [],
    deregisterAfterCritical,
    deregisterOnExit: flags.deregisterOnExit ?? false,
    drainMs: durationMs('drain-time', flags.drainTime || '5s'),
    logLevel,
  };
}

function concurrencyOf(text: string): number {
  const count = text === 'auto' ? availableParallelism() : /^\d+$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= concurrencyMax) return count;
  throw new UsageError(
    'concurrency_malformed',
    'concurrency',
    `"${text}" is no number from 1 to ${concurrencyMax}: write how many cores are to relay, or auto for all`,
  );
}

function assertNothingForEnvoy(flags: Flags, bootstrapOnly: boolean): void {
  const [flag] = [
    bootstrapOnly && 'bootstrap-only',
    flags.envoyBinary && 'envoy-binary',
    flags.ignoreEnvoyCompatibility && 'ignore-envoy-compatibility',
    (flags.envoyArgs ?? []).length > 0 && ' (what follows it)',
  ].filter((name) => name !== false && name !== undefined);
  if (flag === undefined) return;
  throw new UsageError('needs_envoy', flag, 'is for Envoy: add --data-plane envoy');
}

/** `ip`, `ip:port`, `[v6]:port` or `host:port`; a bare value must be an address. */
function parseAddress(flag: string, text: string, portWhenBare: number = defaultPort): HostPort {
  if (isIP(text) !== 0) return { host: text, port: portWhenBare };
  const bracketed = /^\[([^\]]+)\](?::(\d+))?$/.exec(text);
  if (bracketed) {
    const [, host = '', port] = bracketed;
    if (isIP(host) !== 6) throw new UsageError('address_malformed', flag, `"${host}" is no IPv6 address`);
    return { host, port: port === undefined ? portWhenBare : parsePort(flag, port) };
  }
  const colon = text.lastIndexOf(':');
  if (colon === -1) {
    throw new UsageError(
      'address_needs_port',
      flag,
      `a value without port must be an IP address, "${text}" is none: write ${text}:${portWhenBare}`,
    );
  }
  const host = text.slice(0, colon);
  if (host === '' || host.includes(':')) {
    throw new UsageError(
      'address_malformed',
      flag,
      `"${text}" is no host:port; write IPv6 as [address]:port`,
    );
  }
  return { host, port: parsePort(flag, text.slice(colon + 1)) };
}

function parsePort(flag: string, text: string): number {
  const port = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(port <= 65_535)) {
    throw new UsageError('address_malformed', flag, `"${text}" is no port: write a number from 0 to 65535`);
  }
  return port;
}

function parseBindAddress(text: string): BindAddress {
  const equals = text.indexOf('=');
  const name = text.slice(0, Math.max(0, equals)).trim();
  if (name === '') {
    throw new UsageError('bind_address_malformed', 'bind-address', `"${text}": write name=ip:port`);
  }
  const { host, port } = parseAddress('bind-address', text.slice(equals + 1).trim());
  if (isIP(host) === 0) {
    throw new UsageError(
      'bind_address_malformed',
      'bind-address',
      `"${host}" is no IP address: sockets need one`,
    );
  }
  return { name, host, port };
}

/** The flag, once or several times, each with one address or several behind commas; else the environment's; else the usual. */
function httpUrls(flag: readonly string[] = [], fromEnv = ''): readonly [string, ...string[]] {
  const named = (texts: readonly string[]): readonly string[] =>
    texts.flatMap((text) => text.split(',').map((part) => part.trim())).filter((part) => part !== '');
  const texts = [named(flag), named([fromEnv]), ['127.0.0.1:8500']].find((list) => list.length > 0) ?? [];
  const [first, ...others] = new Set(texts.map(httpUrl));
  return [first as string, ...others];
}

/** `host:port` or `http(s)://host:port`, without a slash at the end. */
function httpUrl(text: string): string {
  const url = URL.parse(text.includes('://') ? text : `http://${text}`);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.hostname === '') {
    throw new UsageError('url_malformed', 'http-addr', `"${text}": write host:port or http(s)://host:port`);
  }
  return url.href.replace(/\/+$/, '');
}

/** `host:port`, `http(s)://host:port` or `unix:///path`. Without a scheme, an authority that is named asks for TLS. */
function grpcAddress(text: string, authorityNamed: boolean): GrpcAddress {
  if (text.startsWith('unix://')) return { target: text, tls: false };
  if (authorityNamed && text.startsWith('http://')) {
    throw new UsageError(
      'url_malformed',
      'grpc-addr',
      `"${text}" is plain text, but an authority is named for it: write https://, or leave --grpc-ca-file and --grpc-ca-path out`,
    );
  }
  const { host, port } = parseAddress(
    'grpc-addr',
    text.replace(/^https?:\/\//, '').replace(/\/+$/, ''),
    text.startsWith('https://') || authorityNamed ? 8_503 : 8_502,
  );
  const target = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  return { target, tls: authorityNamed || text.startsWith('https://') };
}

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

/** A Go duration such as 6h, 1h30m or 500ms, in milliseconds. */
function durationMs(flag: string, text: string): number {
  if (!/^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(text)) {
    throw new UsageError(
      'duration_malformed',
      flag,
      `"${text}" is no duration: write for example 30s, 10m or 6h`,
    );
  }
  let total = 0;
  for (const [, value, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)) {
    total += Number(value) * (unitMs[unit as string] as number);
  }
  return total;
}
