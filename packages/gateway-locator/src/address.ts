/**
 * address.ts: `host:port` as people write it.
 *
 * `gw.example.com`, `10.0.0.1:443`, `[2001:db8::1]:8443`, `2001:db8::1`. A port that is not there is 8443,
 * where gateways listen unless told otherwise: most discovery sources name no port.
 * Lives here: reading and writing one address, keeping secrets out of messages. Must not live here:
 * resolving.
 */
import { isIP, isIPv6 } from 'node:net';
import type { HostPort } from './ports.ts';

export const gatewayPortDefault = 8443;

export class AddressError extends Error {
  override readonly name = 'AddressError';
  readonly code: 'empty' | 'bad_host' | 'bad_port' | 'provider_unsupported';
  /** The entry as it was written, without secrets. */
  readonly entry: string;
  constructor(code: AddressError['code'], entry: string, detail: string) {
    super(`[${code}] ${redactEntry(entry)}: ${detail}`);
    this.code = code;
    this.entry = redactEntry(entry);
  }
}

/** Longest name DNS allows, in characters. */
const hostCharsMax = 253;
const hostName = /^(?!-)[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?$/i;

/** Throws AddressError, naming the entry and the remedy. */
export function parseGatewayAddress(text: string, defaultPort: number = gatewayPortDefault): HostPort {
  const entry = text.trim();
  if (entry === '') throw new AddressError('empty', text, 'write host, host:port or [IPv6]:port');
  if (isProviderEntry(entry)) {
    const detail = 'cloud providers are not built in; use addresses, DNS names, srv+NAME or file:PATH';
    throw new AddressError('provider_unsupported', entry, detail);
  }
  if (isIPv6(entry)) return { host: entry, port: defaultPort };
  if (entry.startsWith('[')) {
    const [, host = '', port] = /^\[([^\]]*)\](?::(.*))?$/.exec(entry) ?? [];
    if (!isIPv6(host)) throw new AddressError('bad_host', entry, 'write [IPv6] or [IPv6]:port');
    return { host, port: port === undefined ? defaultPort : parsePort(port, entry) };
  }
  const colon = entry.indexOf(':');
  const host = colon < 0 ? entry : entry.slice(0, colon);
  const port = colon < 0 ? defaultPort : parsePort(entry.slice(colon + 1), entry);
  if (!isHost(host)) {
    throw new AddressError(
      'bad_host',
      entry,
      'the host must be a DNS name or an IP address (IPv6 in brackets)',
    );
  }
  return { host, port };
}

/** `host:port`, IPv6 in brackets. */
export function renderHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** By host, then port: one order for every list, so that equal lists are equal texts. */
export function byHostPort(a: HostPort, b: HostPort): number {
  if (a.host !== b.host) return a.host < b.host ? -1 : 1;
  return a.port - b.port;
}

/** Sorted, each address once. */
export function sortedUnique(addresses: Iterable<HostPort>): readonly HostPort[] {
  const unique = new Map<string, HostPort>();
  for (const { host, port } of addresses) unique.set(renderHostPort({ host, port }), { host, port });
  return [...unique.values()].sort(byHostPort);
}

function isProviderEntry(entry: string): boolean {
  return /(^|\s)provider=/.test(entry);
}

export function isHost(host: string): boolean {
  if (isIP(host) !== 0) return true;
  if (/^[0-9.]+$/.test(host)) return false; // digits and dots, but no IPv4 address: a slip, never a name
  return host.length <= hostCharsMax && hostName.test(host);
}

/** Discovery strings carry keys: every `key=value` but the provider's loses its value, userinfo too. */
export function redactEntry(entry: string): string {
  const shown = entry
    .replace(/([\w-]+)=("[^"]*"|\S*)/g, (pair, key: string) => (key === 'provider' ? pair : `${key}=…`))
    .replace(/[^\s/@]+@/g, '…@');
  return JSON.stringify(shown.length > entryCharsMax ? `${shown.slice(0, entryCharsMax)}…` : shown);
}
/** Shown of an entry in messages, in characters: enough for any real address. */
const entryCharsMax = 300;

function parsePort(text: string, entry: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw new AddressError('bad_port', entry, 'the port must be 1 to 65535');
  return port;
}
