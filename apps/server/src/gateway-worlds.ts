/**
 * gateway-worlds.ts: what a mesh gateway of this datacenter should know, read off the store whenever it changes.
 *
 * Lives here: which rows make up a gateway's world. Must not live here: resources, streams (@fed/xds).
 */
import type { CheckServiceNode, ConfigEntry, Fsm, ServiceRow } from '@fed/fsm';
import { trustDomainOf } from '@fed/pki';
import type { GatewayWorld, LocalServer, ServiceGroup } from '@fed/xds';
import { consulService } from './agent/agent.ts';
import { resolverOf } from './config-entries/resolver.ts';
import { clusterIdOf } from './connect-ca/authority.ts';

export interface GatewayWorldOptions {
  readonly datacenter: string;
  readonly domain: string;
  /** This server's node. */
  readonly nodeName: string;
  readonly fsm: Pick<Fsm, 'watch'>;
}

/** Hands out the world of the gateway with this service id now and after every change; undefined while nobody registered it. */
export function watchGateways(
  o: GatewayWorldOptions,
): (node: Asked, onWorld: (world: GatewayWorld | undefined) => void) => Disposable {
  // Gateways are told the very same tables, until a row of them changes: what is made of them is then made once for all.
  const servers = lastOf(localServers);
  const services = lastOf(meshServices);
  return (node, onWorld) =>
    o.fsm.watch(
      (store) => ({
        gateway: registrationOf(node, o.nodeName, store.serviceKind('mesh-gateway').rows),
        servers: servers(store.checkServiceNodes(consulService).rows),
        federationStates: store.federationStates().rows,
        services: services(
          store.serviceKind('connect-proxy').rows,
          store.nativeServices().rows,
          store.configEntries('service-resolver').rows,
        ),
        clusterId: clusterIdOf(store),
      }),
      ({ gateway, ...rest }) => onWorld(gateway === undefined ? undefined : world(o, gateway, rest)),
    );
}

interface Asked {
  readonly id: string;
  /** The catalog node it says it is registered on. */
  readonly nodeName?: string;
}

/** Ids are one per node: the gateway on the node it names is meant, else the one on ours, else any. */
function registrationOf(
  { id, nodeName }: Asked,
  ours: string,
  gateways: readonly CheckServiceNode[],
): ServiceRow | undefined {
  const rows = gateways.filter((row) => row.Service.ID === id);
  const on = (node: string) => rows.find((row) => row.Node.Node.toLowerCase() === node.toLowerCase());
  return ((nodeName === undefined ? undefined : on(nodeName)) ?? on(ours) ?? rows[0])?.Service;
}

function world(
  { datacenter, domain }: GatewayWorldOptions,
  gateway: ServiceRow,
  {
    clusterId,
    ...rest
  }: Pick<GatewayWorld, 'servers' | 'federationStates' | 'services'> & {
    readonly clusterId: string | undefined;
  },
): GatewayWorld {
  const trustDomain = clusterId === undefined ? {} : { trustDomain: trustDomainOf(clusterId) };
  return { datacenter, domain, gateway, ...rest, ...trustDomain };
}

/** The same function, which gives the very same answer while it is given the very same rows. */
function lastOf<T, Tables extends readonly (readonly unknown[])[]>(
  make: (...tables: Tables) => T,
): (...tables: Tables) => T {
  let last: { readonly tables: Tables; readonly made: T } | undefined;
  return (...tables) => {
    if (last === undefined || !tables.every((rows, i) => same(rows, last?.tables[i] ?? [])))
      last = { tables, made: make(...tables) };
    return last.made;
  };
}

function same(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a === b || (a.length === b.length && a.every((row, i) => row === b[i]));
}

function localServers(rows: readonly CheckServiceNode[]): readonly LocalServer[] {
  return rows.map(({ Node, Service, Checks }) => ({
    node: Node.Node,
    host: Service.Address || Node.Address,
    port: Service.Port,
    critical: (Checks ?? []).some((check) => check.Status === 'critical'),
  }));
}

/**
 * Services of the mesh: by the sidecars that speak for them, and by instances that speak TLS themselves. What a resolver says
 * of a service nobody registered is not needed here: it redirects callers, who read it themselves.
 */
function meshServices(
  sidecars: readonly CheckServiceNode[],
  natives: readonly CheckServiceNode[],
  resolvers: readonly ConfigEntry[],
): readonly ServiceGroup[] {
  const groups = new Map<string, { readonly name: string; readonly instances: CheckServiceNode[] }>();
  const add = (name: string, row: CheckServiceNode): void => {
    if (name === '') return;
    const group = groups.get(name.toLowerCase());
    if (group === undefined) groups.set(name.toLowerCase(), { name, instances: [row] });
    else group.instances.push(row);
  };
  for (const row of sidecars) add(row.Service.Proxy.DestinationServiceName, row);
  for (const row of natives) add(row.Service.Service, row);
  const byName = new Map(resolvers.map((entry) => [entry.name.toLowerCase(), entry]));
  return [...groups].map(([key, group]) => {
    const entry = byName.get(key);
    return entry === undefined ? group : { ...group, resolver: resolverOf(entry) };
  });
}
