/**
 * targets.ts: what people write when they mean a member to join.
 *
 * `host`, `host:port`, `ip`, `[v6]`, `[v6]:port`, each with an optional `name/` in front. memberlist memberlist.go
 * (resolveAddr), util.go (hasPort, ensurePort). Names are asked of the system's resolver only; the original's extra
 * TCP query of type ANY is left out, as resolvers refuse it nowadays (RFC 8482).
 * Lives here: reading a target, finding its addresses. Must not live here: connecting.
 */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { MemberlistError } from './errors.ts';
import type { Address, ResolveHost } from './ports.ts';
import { aborted } from './streams.ts';

export interface Target {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

/** @throws MemberlistError 'bad_target' */
export function parseTarget(target: string, defaultPort: number): Target {
  const bad = (why: string): MemberlistError =>
    new MemberlistError('bad_target', `'${target}': ${why}; write [name/]host[:port]`);
  const slash = target.indexOf('/');
  const name = slash < 0 ? '' : target.slice(0, slash);
  if (slash === 0) throw bad('the name in front of the slash is empty');
  const address = target.slice(slash + 1);
  const { host, portText } = splitPort(address);
  if (host === '') throw bad('there is no host');
  if (host.includes(':') ? isIP(host) !== 6 : /[\s[\]/]/.test(host)) throw bad(`'${host}' is no host`);
  if (portText === undefined) return { name, host, port: defaultPort };
  const port = Number(portText);
  if (!/^[0-9]{1,5}$/.test(portText) || port < 1 || port > 65_535) throw bad(`'${portText}' is no port`);
  return { name, host, port };
}

/** All addresses of a target. @throws MemberlistError 'bad_target', 'unresolvable' or 'aborted' */
export async function resolveTarget(
  text: string,
  defaultPort: number,
  resolveHost: ResolveHost,
  signal: AbortSignal,
): Promise<readonly Address[]> {
  const { name, host, port } = parseTarget(text, defaultPort);
  if (isIP(host) !== 0) return [{ host, port, name }];
  let found: readonly string[];
  try {
    found = await resolveHost(host, signal);
  } catch (cause) {
    if (signal.aborted) throw aborted(signal);
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new MemberlistError('unresolvable', `host '${host}' of '${text}': ${why}`, { cause });
  }
  if (found.length === 0)
    throw new MemberlistError('unresolvable', `host '${host}' of '${text}' has no address`);
  return found.map((ip) => ({ host: ip, port, name }));
}

export const systemResolveHost: ResolveHost = async (host) => {
  const found = await lookup(host, { all: true });
  return found.map(({ address }) => address);
};

/** `[v6]:port`, `[v6]`, bare `v6` (more than one colon), `host:port`, `host`. */
function splitPort(address: string): { readonly host: string; readonly portText: string | undefined } {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(address);
  if (bracketed !== null) return { host: bracketed[1]!, portText: bracketed[2] };
  const colon = address.indexOf(':');
  if (colon < 0 || colon !== address.lastIndexOf(':')) return { host: address, portText: undefined };
  return { host: address.slice(0, colon), portText: address.slice(colon + 1) };
}
