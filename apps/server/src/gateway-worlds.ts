/**
 * gateway-worlds.ts: what a mesh gateway of this datacenter should know, read off the store whenever it changes.
 *
 * Lives here: which rows make up a gateway's world. Must not live here: resources, streams (@fed/xds).
 */
import type { CheckServiceNode, FederationState, Fsm, ServiceRow } from '@fed/fsm';
import { trustDomainOf } from '@fed/pki';
import type { GatewayWorld, ServiceGroup } from '@fed/xds';
import { consulService } from './agent/agent.ts';
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
        clusterId: clusterIdOf(store),
      }),
      ({ gateway, ...rows }) => onWorld(gateway === undefined ? undefined : world(o, gateway, rows)),
    );
}

interface WorldRows {
  readonly servers: readonly CheckServiceNode[];
  readonly federationStates: readonly FederationState[];
  readonly sidecars: readonly CheckServiceNode[];
  readonly clusterId: string | undefined;
}

function world(
  o: GatewayWorldOptions,
  gateway: ServiceRow,
  { servers, federationStates, sidecars, clusterId }: WorldRows,
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
    services: meshServices(sidecars),
    ...(clusterId === undefined ? {} : { trustDomain: trustDomainOf(clusterId) }),
  };
}

/** Services of the mesh, by the sidecars that speak for them; one that speaks for itself (`Connect.Native`) is not among them. */
function meshServices(sidecars: readonly CheckServiceNode[]): readonly ServiceGroup[] {
  const groups = new Map<string, CheckServiceNode[]>();
  for (const row of sidecars) {
    const name = row.Service.Proxy.DestinationServiceName;
    if (name !== '') groups.set(name, [...(groups.get(name) ?? []), row]);
  }
  return [...groups].map(([name, instances]) => ({ name, instances }));
}
