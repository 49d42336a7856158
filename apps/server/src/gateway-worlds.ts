/**
 * gateway-worlds.ts: what a mesh gateway of this datacenter should know, read off the store whenever it changes.
 *
 * Lives here: which rows make up a gateway's world. Must not live here: resources, streams (@fed/xds).
 */
import type { CheckServiceNode, ConfigEntry, FederationState, Fsm, ServiceRow } from '@fed/fsm';
import { trustDomainOf } from '@fed/pki';
import type { GatewayWorld, ServiceGroup } from '@fed/xds';
import { consulService } from './agent/agent.ts';
import { resolverOf } from './config-entries/resolver.ts';
import { clusterIdOf } from './connect-ca/authority.ts';

export interface GatewayWorldOptions {
  readonly datacenter: string;
  readonly domain: string;
  readonly fsm: Pick<Fsm, 'watch'>;
}

/** Hands out the world of the gateway with this service id now and after every change; undefined while nobody registered it. */
export function watchGateways(
  o: GatewayWorldOptions,
): (node: { readonly id: string }, onWorld: (world: GatewayWorld | undefined) => void) => Disposable {
  return (node, onWorld) =>
    o.fsm.watch(
      (store) => ({
        gateway: store.serviceKind('mesh-gateway').rows.find((row) => row.Service.ID === node.id)?.Service,
        servers: store.checkServiceNodes(consulService).rows,
        federationStates: store.federationStates().rows,
        sidecars: store.serviceKind('connect-proxy').rows,
        natives: store.nativeServices().rows,
        resolvers: store.configEntries('service-resolver').rows,
        clusterId: clusterIdOf(store),
      }),
      ({ gateway, ...rows }) => onWorld(gateway === undefined ? undefined : world(o, gateway, rows)),
    );
}

interface WorldRows extends MeshRows {
  readonly servers: readonly CheckServiceNode[];
  readonly federationStates: readonly FederationState[];
  readonly clusterId: string | undefined;
}

interface MeshRows {
  readonly sidecars: readonly CheckServiceNode[];
  /** Instances with `Connect.Native`. */
  readonly natives: readonly CheckServiceNode[];
  readonly resolvers: readonly ConfigEntry[];
}

function world(
  o: GatewayWorldOptions,
  gateway: ServiceRow,
  { servers, federationStates, clusterId, ...mesh }: WorldRows,
): GatewayWorld {
  return {
    datacenter: o.datacenter,
    domain: o.domain,
    gateway,
    servers: servers.map(({ Node, Service, Checks }) => ({
      node: Node.Node,
      host: Service.Address || Node.Address,
      port: Service.Port,
      critical: (Checks ?? []).some((check) => check.Status === 'critical'),
    })),
    federationStates,
    services: meshServices(mesh),
    ...(clusterId === undefined ? {} : { trustDomain: trustDomainOf(clusterId) }),
  };
}

/**
 * Services of the mesh: by the sidecars that speak for them, and by instances that speak TLS themselves. What a resolver says
 * of a service nobody registered is not needed here: it redirects callers, who read it themselves.
 */
function meshServices({ sidecars, natives, resolvers }: MeshRows): readonly ServiceGroup[] {
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
