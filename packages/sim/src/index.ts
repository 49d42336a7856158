/**
 * index.ts: the door of the simulation, for tests of other packages.
 */
export { disagreement } from './checkers/convergence.ts';
export { IncarnationChecker } from './checkers/incarnations.ts';
export { notLinearizable, type Operation } from './checkers/linearizable.ts';
export { ResurrectionChecker } from './checkers/resurrections.ts';
export type { Report, Violation } from './checkers/violation.ts';
export { Cluster, type ClusterOptions } from './cluster.ts';
export { calm, type Faults, type NetworkOptions, SimNetwork, SimTransport } from './network.ts';
export { runScenario, type ScenarioOptions, type ScenarioResult } from './scenario.ts';
export { SeededRng } from './seeded-rng.ts';
export { SimStream, streamPair, type Way } from './stream-pair.ts';
export { Transcript } from './transcript.ts';
export { VirtualClock } from './virtual-clock.ts';
