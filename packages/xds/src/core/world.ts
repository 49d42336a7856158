/**
 * world.ts: everything a gateway's configuration is a function of.
 *
 * Rows come as the catalog holds them (Go's key names); only the keys read here are asked for, so a row of a newer
 * peer, or a short one in a test, fits as well.
 * Lives here: the input. Must not live here: what follows from it (ir.ts).
 * Source: Consul agent/proxycfg/mesh_gateway.go (what a gateway watches).
 */
import type { CheckRow, FederationState, NodeRow, ProxyConfig, ServiceRow } from '@fed/fsm';

/** A service instance with its node and the checks that speak for it. */
export interface Instance {
  readonly Node: Pick<NodeRow, 'Node' | 'Address'> &
    Partial<Pick<NodeRow, 'Datacenter' | 'TaggedAddresses' | 'Meta'>>;
  readonly Service: Pick<ServiceRow, 'Address' | 'Port'> &
    Partial<
      Pick<ServiceRow, 'ID' | 'Service' | 'Meta' | 'ModifyIndex' | 'TaggedAddresses' | 'Tags' | 'Weights'>
    >;
  readonly Checks: readonly Pick<CheckRow, 'Status'>[] | null;
}

/** The registration of the gateway that is being configured. */
export type GatewayRegistration = Pick<ServiceRow, 'ID' | 'Service' | 'Address' | 'Port'> &
  Partial<Pick<ServiceRow, 'Meta' | 'TaggedAddresses'>> & {
    readonly Proxy?: Pick<ProxyConfig, 'Config'>;
  };

/** A server of the gateway's own datacenter, at its RPC port. `critical`: its node has a critical check. */
export interface LocalServer {
  readonly node: string;
  readonly host: string;
  readonly port: number;
  readonly critical?: boolean;
}

export interface Subset {
  /** A catalog filter expression, see @fed/fsm/filter. '' keeps every instance. */
  readonly filter: string;
  /** Instances with any check that is not passing count as unhealthy. */
  readonly onlyPassing?: boolean;
}

/** What a service-resolver says, as far as a passthrough gateway can heed it. */
export interface Resolver {
  readonly connectTimeoutMs?: number;
  readonly defaultSubset?: string;
  readonly subsets?: { readonly [name: string]: Subset };
  /** A policy that hashes requests is ignored: nothing hashable can be seen in a TLS stream. */
  readonly lbPolicy?: string;
}

/** A service of the own datacenter that takes part in the mesh; its instances are sidecars. */
export interface ServiceGroup {
  readonly name: string;
  readonly namespace?: string;
  readonly instances: readonly Instance[];
  readonly resolver?: Resolver;
}

/** Caps per cluster, from service-defaults of the gateway's own name. Absent: not capped by configuration. */
export interface Limits {
  readonly maxConnections?: number;
  readonly maxPendingRequests?: number;
  readonly maxConcurrentRequests?: number;
}

export interface GatewayWorld {
  readonly datacenter: string;
  /** The DNS domain, with or without a trailing dot. */
  readonly domain: string;
  /** `<cluster id>.consul`. Absent: no mesh certificates, hence no service names; servers are routed all the same. */
  readonly trustDomain?: string;
  readonly gateway: GatewayRegistration;
  readonly servers: readonly LocalServer[];
  readonly federationStates: readonly Pick<FederationState, 'Datacenter' | 'MeshGateways'>[];
  /** Gateways of other datacenters as those answered themselves. May lag behind federation states, or be absent. */
  readonly remoteGateways?: ReadonlyMap<string, readonly Instance[]>;
  readonly services?: readonly ServiceGroup[];
  readonly limits?: Limits;
}

/** The service meta key, and its only value, that makes a gateway carry server traffic. */
export const wanFederationMetaKey = 'consul-wan-federation';

export function carriesServerTraffic(service: { readonly Meta?: ServiceRow['Meta'] }): boolean {
  return service.Meta?.[wanFederationMetaKey] === '1';
}
