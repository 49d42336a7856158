/**
 * clusters.ts: destinations as Envoy clusters.
 *
 * A gateway's clusters carry bytes that are already TLS, so there is no transport socket and nothing to verify.
 * Lives here: Cluster. Must not live here: hosts that are pushed (endpoints.ts), names (ir.ts).
 * Source: Consul agent/xds/clusters.go (makeGatewayCluster, configureClusterWithHostnames); envoy/config/cluster/v3.
 */
import type { JsonObject } from '../wire/json.ts';
import { loadAssignment } from './endpoints.ts';
import type { Destination, GatewayIr } from './ir.ts';
import { type MakeResource, type Resource, resourceOf } from './resource.ts';

/** TCP keepalive where nobody said otherwise: below the 350 s after which common NATs forget an idle connection. */
const keepaliveDefault = { timeSec: 30, intervalSec: 10, probes: 3 };
/** For clusters that carry all traffic between two datacenters; Envoy's default of 1024 is reached in practice. */
const budgetDefault = { maxConnections: 16_384, maxPendingRequests: 4_096 };
/** At two endpoints or more: how many of them may be ejected at a time, in percent. */
const ejectionPercentMax = 50;

/** Sorted by name. */
export function clustersOf(ir: GatewayIr, make: MakeResource = resourceOf): readonly Resource[] {
  return ir.destinations.filter((d) => d.hasCluster).map((d) => make('Cluster', d.name, cluster(ir, d)));
}

function cluster(ir: GatewayIr, d: Destination): JsonObject {
  const { profile } = ir;
  const several = d.endpoints.length >= 2;
  return {
    name: d.name,
    type: d.discovery,
    ...discovery(ir, d),
    connectTimeout: seconds(d.connectTimeoutMs),
    outlierDetection: profile.ejectionShare && several ? { maxEjectionPercent: ejectionPercentMax } : {},
    ...(d.lbPolicy !== undefined ? { lbPolicy: d.lbPolicy } : {}),
    ...(profile.panicThreshold && several ? { commonLbConfig: { healthyPanicThreshold: { value: 1 } } } : {}),
    ...circuitBreakers(ir, d),
    ...keepalive(ir, d),
  };
}

function discovery(ir: GatewayIr, d: Destination): JsonObject {
  if (d.discovery !== 'EDS')
    return {
      dnsLookupFamily: 'V4_ONLY',
      dnsRefreshRate: '10s',
      loadAssignment: loadAssignment(d.name, d.endpoints),
    };
  const { fetchTimeoutMs } = ir.options;
  const timeout = fetchTimeoutMs !== undefined ? { initialFetchTimeout: seconds(fetchTimeoutMs) } : {};
  return { edsClusterConfig: { edsConfig: { ads: {}, ...timeout, resourceApiVersion: 'V3' } } };
}

function circuitBreakers(ir: GatewayIr, d: Destination): JsonObject {
  const { maxConnections, maxPendingRequests, maxConcurrentRequests: maxRequests } = ir.limits;
  const configured = [maxConnections, maxPendingRequests, maxRequests].some((limit) => limit !== undefined);
  const shared = d.kind === 'remoteServices' || d.kind === 'remoteServers';
  if (!configured) {
    return ir.profile.connectionBudget && shared
      ? { circuitBreakers: { thresholds: [{ ...budgetDefault }] } }
      : {};
  }
  const threshold = {
    ...(maxConnections !== undefined ? { maxConnections } : {}),
    ...(maxPendingRequests !== undefined ? { maxPendingRequests } : {}),
    ...(maxRequests !== undefined ? { maxRequests } : {}),
  };
  return { circuitBreakers: { thresholds: [threshold] } };
}

function keepalive(ir: GatewayIr, d: Destination): JsonObject {
  const { options, profile } = ir;
  const remote = d.kind === 'remoteServices' || d.kind === 'remoteServers';
  const eligible = profile.keepalive ? d.kind !== 'service' : remote;
  if (!eligible || !(options.keepalive ?? profile.keepalive)) return {};
  const fallback = profile.keepalive ? keepaliveDefault : { timeSec: 0, intervalSec: 0, probes: 0 };
  const keepaliveProbes = options.keepaliveProbes || fallback.probes;
  const keepaliveTime = options.keepaliveTimeSec || fallback.timeSec;
  const keepaliveInterval = options.keepaliveIntervalSec || fallback.intervalSec;
  const tcpKeepalive = {
    ...(keepaliveProbes !== 0 ? { keepaliveProbes } : {}),
    ...(keepaliveTime !== 0 ? { keepaliveTime } : {}),
    ...(keepaliveInterval !== 0 ? { keepaliveInterval } : {}),
  };
  return { upstreamConnectionOptions: { tcpKeepalive } };
}

/** Milliseconds as protobuf's JSON writes a duration. */
function seconds(ms: number): string {
  const fraction = ms % 1000;
  return fraction === 0 ? `${ms / 1000}s` : `${Math.trunc(ms / 1000)}.${String(fraction).padStart(3, '0')}s`;
}
