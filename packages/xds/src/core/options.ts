/**
 * options.ts: the gateway's proxy configuration, as operators write it, as something typed.
 *
 * The original parses it weakly: "true", "1" and 1 are all true, "7000" is a number. A value that cannot be read is
 * reported and its default stays; it never takes the gateway down.
 * Lives here: the keys, their older spellings, the parsing. Must not live here: what the options lead to.
 * Sources: Consul agent/xds/config.go (GatewayConfig), mitchellh/mapstructure (weak decoding).
 */
import type { HostPort, Notice } from '../ports.ts';

export interface GatewayOptions {
  readonly noDefaultBind: boolean;
  readonly bindTaggedAddresses: boolean;
  readonly bindAddresses: ReadonlyMap<string, HostPort>;
  /** Ours: load balancers in front say with the PROXY protocol for whom they connect. */
  readonly proxyProtocol: boolean;
  readonly connectTimeoutMs: number;
  readonly dnsDiscovery: 'LOGICAL_DNS' | 'STRICT_DNS';
  /** Absent: the client's own default (15 s). 0: wait forever. */
  readonly fetchTimeoutMs?: number;
  /** Absent: not said, the profile decides. */
  readonly keepalive?: boolean;
  /** Seconds and counts; 0: not said. */
  readonly keepaliveTimeSec: number;
  readonly keepaliveIntervalSec: number;
  readonly keepaliveProbes: number;
}

const connectTimeoutMsDefault = 5_000;
type Config = { readonly [key: string]: unknown } | null | undefined;

export function parseOptions(config: Config): { options: GatewayOptions; notices: readonly Notice[] } {
  const notices: Notice[] = [];
  const raw = new Map(Object.entries(config ?? {}).map(([key, value]) => [key.toLowerCase(), value]));
  const read = <T>(key: string, parse: (v: unknown) => T | undefined, olderKey?: string): T | undefined => {
    const used = raw.has(key) || olderKey === undefined ? key : olderKey;
    const value = raw.get(used);
    if (value === undefined || value === null) return undefined;
    const parsed = parse(value);
    if (parsed === undefined)
      notices.push({
        level: 'warn',
        code: 'bad_option',
        text: `proxy config key ${used} cannot be read; its default is used`,
      });
    return parsed;
  };
  const gateway = <T>(rest: string, parse: (v: unknown) => T | undefined): T | undefined =>
    read(`envoy_gateway_${rest}`, parse, `envoy_mesh_gateway_${rest}`);

  const connectTimeoutMs = read('connect_timeout_ms', integer);
  const fetchTimeoutMs = read('xds_fetch_timeout_ms', integer);
  const keepalive = gateway('remote_tcp_enable_keepalive', bool);
  const options: GatewayOptions = {
    noDefaultBind: gateway('no_default_bind', bool) ?? false,
    bindTaggedAddresses: gateway('bind_tagged_addresses', bool) ?? false,
    bindAddresses: gateway('bind_addresses', addresses) ?? new Map(),
    proxyProtocol: gateway('proxy_protocol', bool) ?? false,
    connectTimeoutMs:
      connectTimeoutMs !== undefined && connectTimeoutMs >= 1 ? connectTimeoutMs : connectTimeoutMsDefault,
    dnsDiscovery: read('envoy_dns_discovery_type', discovery) ?? 'LOGICAL_DNS',
    ...(fetchTimeoutMs !== undefined && fetchTimeoutMs >= 0 ? { fetchTimeoutMs } : {}),
    ...(keepalive !== undefined ? { keepalive } : {}),
    keepaliveTimeSec: gateway('remote_tcp_keepalive_time', natural) ?? 0,
    keepaliveIntervalSec: gateway('remote_tcp_keepalive_interval', natural) ?? 0,
    keepaliveProbes: gateway('remote_tcp_keepalive_probes', natural) ?? 0,
  };
  return { options, notices };
}

function bool(value: unknown): boolean | undefined {
  if (typeof value === 'boolean') return value;
  const text = textOf(value);
  if (text === undefined) return numberOf(value) === undefined ? undefined : numberOf(value) !== 0;
  if (/^(1|t|T|TRUE|true|True)$/.test(text)) return true;
  return /^(0|f|F|FALSE|false|False|)$/.test(text) ? false : undefined;
}

function integer(value: unknown): number | undefined {
  if (typeof value === 'boolean') return value ? 1 : 0;
  const text = textOf(value);
  const number = text === undefined ? numberOf(value) : /^[-+]?\d+$/.test(text) ? Number(text) : undefined;
  if (number === undefined || !Number.isFinite(number)) return undefined;
  const whole = Math.trunc(number);
  return Math.abs(whole) <= 0x7fff_ffff ? whole : undefined;
}

function natural(value: unknown): number | undefined {
  const number = integer(value);
  return number === undefined || number < 0 ? undefined : number;
}

function discovery(value: unknown): 'LOGICAL_DNS' | 'STRICT_DNS' | undefined {
  const text = textOf(value)?.toLowerCase();
  return text === undefined ? undefined : text === 'strict_dns' ? 'STRICT_DNS' : 'LOGICAL_DNS';
}

function addresses(value: unknown): ReadonlyMap<string, HostPort> | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const found = new Map<string, HostPort>();
  for (const [name, entry] of Object.entries(value)) {
    if (typeof entry !== 'object' || entry === null) return undefined;
    const keys = new Map(Object.entries(entry).map(([key, v]) => [key.toLowerCase(), v as unknown]));
    const host = textOf(keys.get('address') ?? '');
    const port = integer(keys.get('port') ?? 0);
    if (host === undefined || port === undefined) return undefined;
    found.set(name, { host, port });
  }
  return found;
}

/** Text may come as bytes, a number as a bigint or in a box that keeps a whole float a float. */
function textOf(value: unknown): string | undefined {
  return value instanceof Uint8Array
    ? Buffer.from(value).toString('utf8')
    : typeof value === 'string'
      ? value
      : undefined;
}

function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  if (typeof value === 'object' && value !== null && 'value' in value && typeof value.value === 'number')
    return value.value;
  return undefined;
}
