/**
 * sni.ts: the names by which gateways route.
 *
 * A TLS client says whom it wants in the clear (server_name), and that name is all a gateway ever sees of a
 * connection. Servers: `[<node>.]server.<dc>.<domain>`. Services: `[<subset>.]<service>.<ns>.<dc>.internal.<TD>`,
 * where TD, the trust domain, is the same in all federated datacenters.
 * Lives here: the grammar, in both directions. Must not live here: matching tables, certificates.
 * Source: Consul agent/connect/sni.go; agent/consul/wanfed (server names).
 */

/** Longest name common TLS stacks put into, or accept from, a server_name extension (RFC 6066 §3), in bytes. */
export const sniBytesMax = 255;

export class SniError extends Error {
  override readonly name = 'SniError';
  readonly code: 'sni_too_long' | 'sni_empty_label';
  constructor(code: SniError['code'], detail: string) {
    super(`[${code}] ${detail}`);
    this.code = code;
  }
}

const withoutTrailingDot = (domain: string): string => (domain.endsWith('.') ? domain.slice(0, -1) : domain);

function emit(labels: readonly string[]): string {
  const name = labels.join('.');
  if (labels.some((label) => label === '')) {
    throw new SniError('sni_empty_label', `"${name}" has an empty part: fill in every name it is built from`);
  }
  if (Buffer.byteLength(name) > sniBytesMax) {
    throw new SniError(
      'sni_too_long',
      `"${name}" is longer than ${sniBytesMax} bytes: shorten the names in it`,
    );
  }
  return name;
}

/** The name of one server, or of any server of the datacenter if `node` is absent, '' or '*'. */
export function serverSni(o: { node?: string; datacenter: string; domain: string }): string {
  const any = ['server', o.datacenter, withoutTrailingDot(o.domain)];
  return emit(o.node === undefined || o.node === '' || o.node === '*' ? any : [o.node, ...any]);
}

/**
 * The inverse of `serverSni`, ignoring letter case in its fixed parts; node and datacenter keep theirs. Undefined for
 * anything that is no server name of this domain. A wildcard (`*.server.…`, as in certificates) reads as any server.
 */
export function parseServerSni(
  sni: string,
  domain: string,
): { node?: string; datacenter: string } | undefined {
  const suffix = `.${withoutTrailingDot(domain).toLowerCase()}`;
  if (!sni.toLowerCase().endsWith(suffix)) return undefined;
  const labels = sni.slice(0, -suffix.length).split('.');
  const datacenter = labels.pop();
  const role = labels.pop();
  if (!datacenter || role?.toLowerCase() !== 'server' || labels.includes('')) return undefined;
  const node = labels.join('.');
  return node === '' || node === '*' ? { datacenter } : { node, datacenter };
}

const isDefault = (name: string | undefined): boolean =>
  name === undefined || name === '' || name === 'default';

/** All services of a datacenter as one: a cluster's name, and after `*.` the pattern gateways match. */
export function datacenterSni(o: { datacenter: string; partition?: string; trustDomain: string }): string {
  return isDefault(o.partition)
    ? emit([o.datacenter, 'internal', o.trustDomain])
    : emit([o.partition as string, o.datacenter, 'internal-v1', o.trustDomain]);
}

/** One service, or one subset of its instances. */
export function serviceSni(o: {
  service: string;
  subset?: string;
  namespace?: string;
  partition?: string;
  datacenter: string;
  trustDomain: string;
}): string {
  const front = o.subset ? [o.subset, o.service] : [o.service];
  const namespace = o.namespace || 'default';
  return isDefault(o.partition)
    ? emit([...front, namespace, o.datacenter, 'internal', o.trustDomain])
    : emit([...front, namespace, o.partition as string, o.datacenter, 'internal-v1', o.trustDomain]);
}

/** A prepared query. */
export function querySni(o: { query: string; datacenter: string; trustDomain: string }): string {
  return emit([o.query, 'default', o.datacenter, 'query', o.trustDomain]);
}
