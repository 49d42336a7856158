/**
 * inside.ts: what the simulator needs of this program: how it registers, and how it chooses a way. Not published.
 */
export { type KeepRegistered, keepRegistered } from './keep-registered.ts';
export { registrationBody } from './registration.ts';
export { Clusters } from './relay/clusters.ts';
export { Counters } from './relay/counters.ts';
export { clusterOf, RouteTable } from './relay/routes.ts';
