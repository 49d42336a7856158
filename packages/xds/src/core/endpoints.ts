/**
 * endpoints.ts: destinations as load assignments.
 *
 * Volatile things live here and only here: an address or a health check that changes becomes one small push that
 * touches neither clusters nor listeners, so no connection is ever cut by it.
 * Lives here: ClusterLoadAssignment. Must not live here: which endpoints there are (ir.ts).
 * Source: Consul agent/xds/endpoints.go; envoy/config/endpoint/v3.
 */
import type { JsonObject } from '../wire/json.ts';
import type { Endpoint } from './instances.ts';
import type { GatewayIr } from './ir.ts';
import { type MakeResource, type Resource, resourceOf } from './resource.ts';

/** Sorted by name. */
export function endpointsOf(ir: GatewayIr, make: MakeResource = resourceOf): readonly Resource[] {
  return ir.destinations
    .filter((d) => d.hasAssignment)
    .map((d) => make('ClusterLoadAssignment', d.name, loadAssignment(d.name, d.endpoints)));
}

/** One locality without a name; none at all where there is no endpoint. */
export function loadAssignment(clusterName: string, endpoints: readonly Endpoint[]): JsonObject {
  if (endpoints.length === 0) return { clusterName };
  return { clusterName, endpoints: [{ lbEndpoints: endpoints.map(lbEndpoint) }] };
}

function lbEndpoint({ host, port, health, weight }: Endpoint): JsonObject {
  return {
    endpoint: { address: { socketAddress: { address: host, portValue: port } } },
    ...(health !== undefined ? { healthStatus: health === 'healthy' ? 'HEALTHY' : 'UNHEALTHY' } : {}),
    ...(weight !== undefined ? { loadBalancingWeight: weight } : {}),
  };
}
