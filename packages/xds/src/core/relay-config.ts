/**
 * relay-config.ts: what the embedded relay needs to know, freed of Envoy's shapes.
 *
 * Lives here: the types that leave the ADS client. Must not live here: how they come about (acceptance.ts, subscriber.ts).
 */
import type { HostPort } from '../ports.ts';

export interface RelayEndpoint extends HostPort {
  /** 1 and up. */
  readonly weight: number;
  /** True for healthy and for unknown. */
  readonly healthy: boolean;
  /** 0 is tried first; a higher number only when no lower one has an eligible endpoint. */
  readonly priority: number;
}

export interface RelayKeepalive {
  /** Seconds and a count; absent: the machine's own. */
  readonly timeSec?: number;
  readonly intervalSec?: number;
  readonly probes?: number;
}

export interface RelayCluster {
  readonly connectTimeoutMs: number;
  /** EDS and STATIC: `endpoints` are addresses. The others: host names to resolve, all answers or the first. */
  readonly discovery: 'EDS' | 'STATIC' | 'STRICT_DNS' | 'LOGICAL_DNS';
  readonly endpoints: readonly RelayEndpoint[];
  /** 4 and 6: only that family. 0: either. */
  readonly dnsFamily: 0 | 4 | 6;
  readonly dnsRefreshMs: number;
  /** Open connections at a time. */
  readonly maxConnections: number;
  /** Below this share of healthy endpoints, in percent, unhealthy ones are used too. */
  readonly panicPercent: number;
  /** Largest share of endpoints that failures may take out, in percent. Absent: no passive ejection. */
  readonly ejectionPercentMax?: number;
  readonly keepalive?: RelayKeepalive;
}

export interface RelayChain {
  /** Lower case; exact, or `*.` and a suffix. Empty: what no other chain matches. */
  readonly serverNames: readonly string[];
  /** A cluster's name, or 'sni' for the cluster named like the server name asked for. */
  readonly cluster: string;
  readonly statPrefix: string;
  readonly connectAttemptsMax: number;
  /** No byte either way for this long ends a connection. 0: never. */
  readonly idleTimeoutMs: number;
}

export interface RelayListener {
  readonly name: string;
  readonly bind: HostPort;
  /** Whether a PROXY protocol header may, or must, come before the TLS hello. Absent: it is no hello. */
  readonly proxyProtocol?: 'optional' | 'required';
  /** From accept to a complete TLS hello. 0: no limit. */
  readonly helloTimeoutMs: number;
  readonly chains: readonly RelayChain[];
}

/** Immutable; a change is a new one. Clusters that are still waiting for their endpoints are not in it. */
export interface RelayConfig {
  readonly listeners: readonly RelayListener[];
  readonly clusters: ReadonlyMap<string, RelayCluster>;
}

/** Something in a response that this client cannot use. */
export interface Refusal {
  /** Its name; '' when the configuration as a whole is meant. */
  readonly resource: string;
  /** Path of the offending field, in Envoy's spelling. '' when the whole resource is meant. */
  readonly field: string;
  readonly reason: string;
}
