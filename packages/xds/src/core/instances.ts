/**
 * instances.ts: from a catalog row to an endpoint: which address, how healthy, how heavy, and which of two lists to believe.
 *
 * Lives here: the small tables. Must not live here: names, clusters.
 * Sources: Consul agent/structs/structs.go (BestAddress), agent/xds/endpoints.go (calculateEndpointHealthAndWeight),
 * agent/proxycfg/mesh_gateway.go and agent/xds (freshest of catalog and federation state).
 */
import type { HostPort } from '../ports.ts';
import type { Instance, LocalServer } from './world.ts';

export type Health = 'healthy' | 'unhealthy';

/** `health` absent: unknown, which Envoy takes for healthy. `weight` 1..128, absent: 1. */
export interface Endpoint extends HostPort {
  readonly health?: Health;
  readonly weight?: number;
}

/** Envoy's largest weight for one endpoint here; Consul clamps to it. */
const weightMax = 128;

/** `wan`: the instance lives in another datacenter than the one who dials. */
export function bestAddress(o: Instance, wan: boolean): HostPort {
  const tagged = wan ? o.Service.TaggedAddresses?.['wan'] : undefined;
  const port = tagged !== undefined && tagged.Port !== 0 ? tagged.Port : o.Service.Port;
  const service = tagged !== undefined ? tagged.Address : o.Service.Address;
  if (service !== '') return { host: service, port };
  const nodeWan = wan ? o.Node.TaggedAddresses?.['wan'] : undefined;
  return { host: nodeWan !== undefined && nodeWan !== '' ? nodeWan : o.Node.Address, port };
}

export function healthAndWeight(o: Instance, onlyPassing: boolean): { health: Health; weight: number } {
  const checks = o.Checks ?? [];
  const weights = o.Service.Weights ?? undefined;
  const unwell = (status: string) => status === 'critical' || (onlyPassing && status !== 'passing');
  const warned = checks.some((c) => c.Status === 'warning');
  const weight = weights === undefined ? 1 : warned ? weights.Warning : weights.Passing;
  if (weight < 1) return { health: 'unhealthy', weight: 1 };
  return {
    health: checks.some((c) => unwell(c.Status)) ? 'unhealthy' : 'healthy',
    weight: Math.min(weight, weightMax),
  };
}

export function endpointOf(o: Instance, wan: boolean, onlyPassing = false): Endpoint {
  return { ...bestAddress(o, wan), ...healthAndWeight(o, onlyPassing) };
}

/**
 * Two views of a remote datacenter's gateways: the federation state wins only if strictly newer. Sound because both
 * carry that datacenter's own rows, raft index included. A list without rows is no news. Undefined: neither lists any.
 */
export function freshest<T extends Instance>(
  catalogDump: readonly T[],
  federationState: readonly T[],
): { source: 'catalogDump' | 'federationState'; instances: readonly T[] } | undefined {
  if (catalogDump.length === 0 && federationState.length === 0) return undefined;
  return catalogDump.length === 0 || highestIndex(federationState) > highestIndex(catalogDump)
    ? { source: 'federationState', instances: federationState }
    : { source: 'catalogDump', instances: catalogDump };
}

function highestIndex(instances: readonly Instance[]): number {
  return instances.reduce((highest, o) => Math.max(highest, o.Service.ModifyIndex ?? 0), 0);
}

/** Catalog rows of the server service as servers: always their LAN address, even where a WAN one is tagged. */
export function localServersOf(rows: readonly Instance[]): readonly LocalServer[] {
  return rows.map((o) => ({
    node: o.Node.Node,
    ...bestAddress(o, false),
    critical: (o.Checks ?? []).some((c) => c.Status === 'critical'),
  }));
}

/** By node, then service id: the catalog promises no order, and a changed order would be a changed resource. */
export function inOrder<T extends Instance>(instances: readonly T[]): readonly T[] {
  return instances.toSorted(
    (a, b) => order(a.Node.Node, b.Node.Node) || order(a.Service.ID ?? '', b.Service.ID ?? ''),
  );
}

/**
 * Each address once, healthy if any row says so: an instance that registered at another node while its first was out of reach
 * stands in the catalog twice, and who takes the first of two would take the dead one's word.
 */
export function eachOnce(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const byAddress = new Map<string, Endpoint>();
  for (const one of endpoints) {
    const key = `${one.host} ${one.port}`;
    const known = byAddress.get(key);
    if (known === undefined || (known.health === 'unhealthy' && one.health !== 'unhealthy'))
      byAddress.set(key, one);
  }
  return [...byAddress.values()];
}

/** Bytewise for ASCII, the same on every machine (localeCompare is not). */
export function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

const octet = '(?:25[0-5]|2[0-4]\\d|1?\\d?\\d)';
const ipv4 = new RegExp(`^${octet}(?:\\.${octet}){3}$`);

/** Whether Envoy takes `host` as an address; anything else has to be resolved. */
export function isLiteral(host: string): boolean {
  return ipv4.test(host) || (host.includes(':') && URL.canParse(`http://[${host}]/`));
}
