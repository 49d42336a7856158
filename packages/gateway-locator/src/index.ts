/**
 * index.ts: the public door of @fed/gateway-locator.
 */
export {
  AddressError,
  gatewayPortDefault,
  parseGatewayAddress,
  redactEntry,
  renderHostPort,
} from './address.ts';
export type { Attempt, Diagnosis, Hop } from './diagnosis.ts';
export { type Discovery, type DiscoveryOptions, type EntryReport, openDiscovery } from './discovery.ts';
export type { Candidate, Explanation, Mode } from './explanation.ts';
export { type GatewayList, gatewayList, lanAddress, wanAddress, wanFederationMeta } from './gateways.ts';
export { createLocator, type Locator, type LocatorOptions, type Probe } from './locator.ts';
export type { Standing } from './memory.ts';
export type { News } from './news.ts';
export type { Clock, HostPort, ReadText, Resolve, Rng, ServiceTarget } from './ports.ts';
export { type EntrySource, parseEntry } from './source.ts';
export { systemClock, systemReadText, systemResolve, systemRng } from './system.ts';
export type { Source } from './ways.ts';
