/**
 * profile.ts: where we do better than the original, each improvement with a switch of its own.
 *
 * `upstream` is what Consul's later releases send, byte for byte; tests compare against recorded resources under it.
 * `recommended` is our default. A stable order of everything, and choosing a cluster's type from the very endpoints
 * that go into it, have no switch: they never contradict the original, they only pick one of its possible answers.
 * Lives here: the switches and their reasons. Must not live here: what they change.
 */
export interface Profile {
  /** `server.<own dc>` exists whenever a server is known, not only after the own federation state came back. */
  readonly localWildcardAlways: boolean;
  /** `server.<remote dc>` leads only to gateways that declare the wanfed meta (to all, if none declares it). */
  readonly wanfedCapableOnly: boolean;
  /** Envoy lower-cases the name a client asks for, not cluster names: what is matched by name is lower-cased here. */
  readonly lowerCase: boolean;
  /** No catch-all chain: every name that is served is named, so that no other cluster can be reached by asking for it. */
  readonly explicitSink: boolean;
  /** An assignment for every cluster, empty if need be: the client waits 15 s for one that never comes. */
  readonly assignmentForEveryCluster: boolean;
  /** Unhealthy hosts get connections only when no host is healthy, not already when half of them are unhealthy. */
  readonly panicThreshold: boolean;
  /** Up to half of a cluster's hosts may be ejected; the default of a tenth never ejects one of two. */
  readonly ejectionShare: boolean;
  /** Three attempts to connect instead of one. */
  readonly connectRetry: boolean;
  /** TCP keepalive towards remote gateways and servers without being asked for. */
  readonly keepalive: boolean;
  /** More connections than Envoy's 1024 on clusters that carry the traffic of a whole datacenter. */
  readonly connectionBudget: boolean;
  /** `server.<own dc>` avoids servers on critical nodes while another is left. */
  readonly serverHealth: boolean;
  /** Names on filter chains and 10 s for a TLS hello. */
  readonly namedChains: boolean;
  /** An empty server list is waited out (30 s) before the first configuration, since a gateway without one cannot route. */
  readonly awaitServers: boolean;
}

export const upstream: Profile = {
  localWildcardAlways: false,
  wanfedCapableOnly: false,
  lowerCase: false,
  explicitSink: false,
  assignmentForEveryCluster: false,
  panicThreshold: false,
  ejectionShare: false,
  connectRetry: false,
  keepalive: false,
  connectionBudget: false,
  serverHealth: false,
  namedChains: false,
  awaitServers: false,
};

export const recommended: Profile = {
  localWildcardAlways: true,
  wanfedCapableOnly: true,
  lowerCase: true,
  explicitSink: true,
  assignmentForEveryCluster: true,
  panicThreshold: true,
  ejectionShare: true,
  connectRetry: true,
  keepalive: true,
  connectionBudget: true,
  serverHealth: true,
  namedChains: true,
  awaitServers: true,
};
