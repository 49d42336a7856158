/**
 * gateway-worlds.ts: what a mesh gateway of this datacenter should know, read off the store whenever it changes.
 *
 * Lives here: which rows make up a gateway's world. Must not live here: resources, streams (@fed/xds).
 */
import type { CheckServiceNode, FederationState, Fsm, ServiceRow } from '@fed/fsm';
import { trustDomainOf } from '@fed/pki';
import type { GatewayWorld } from '@fed/xds';
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
        clusterId: clusterIdOf(store),
      }),
      (rows) =>
        onWorld(
          rows.gateway === undefined
            ? undefined
            : world(o, rows.gateway, rows.servers, rows.federationStates, rows.clusterId),
        ),
    );
}

function world(
  o: GatewayWorldOptions,
  gateway: ServiceRow,
  servers: readonly CheckServiceNode[],
  federationStates: readonly FederationState[],
  clusterId: string | undefined,
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
    ...(clusterId === undefined ? {} : { trustDomain: trustDomainOf(clusterId) }),
  };
}
