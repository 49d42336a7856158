/**
 * @fed/xds: what a mesh gateway must do, as Envoy resources, and the ADS streams that carry them.
 */

export {
  BootstrapError,
  type BootstrapOptions,
  bootstrapOf,
  parseXdsAddress,
  type XdsAddress,
  XdsAddressError,
} from './bootstrap.ts';
export {
  openXdsClient,
  type XdsClient,
  type XdsClientOptions,
  type XdsClientState,
  type XdsServerAddress,
} from './client.ts';
export type { Bind } from './core/binds.ts';
export { clustersOf } from './core/clusters.ts';
export { endpointsOf } from './core/endpoints.ts';
export type { Holding } from './core/holdings.ts';
export { type Endpoint, localServersOf } from './core/instances.ts';
export { type Destination, describeGateway, type GatewayIr, type Route } from './core/ir.ts';
export { listenersOf } from './core/listeners.ts';
export { type Profile, recommended, upstream } from './core/profile.ts';
export type {
  Refusal,
  RelayChain,
  RelayCluster,
  RelayConfig,
  RelayEndpoint,
  RelayKeepalive,
  RelayListener,
} from './core/relay-config.ts';
export type { Resource, ResourceType } from './core/resource.ts';
export type { Authorize, TypeStatus, Verdict } from './core/session.ts';
export type { Snapshot } from './core/snapshot.ts';
export { snapshotOf } from './core/workshop.ts';
export {
  carriesServerTraffic,
  type GatewayRegistration,
  type GatewayWorld,
  type Instance,
  type Limits,
  type LocalServer,
  type Resolver,
  type ServiceGroup,
  type Subset,
  wanFederationMetaKey,
} from './core/world.ts';
export type { WatchedNode } from './feed.ts';
export type { Clock, HostPort, Notice, Rng } from './ports.ts';
export {
  openXdsServer,
  type XdsClientStatus,
  type XdsHoldings,
  type XdsServer,
  XdsServerError,
  type XdsServerOptions,
} from './server.ts';
export type { XdsServerMaterial } from './server-credentials.ts';
export { systemClock, systemRng } from './system.ts';
export type { Json, JsonObject } from './wire/json.ts';
