/**
 * index.ts: the public door of @fed/replication.
 */
export {
  type AntiEntropy,
  type AntiEntropyConfig,
  type AntiEntropyEvent,
  type AntiEntropyOptions,
  antiEntropyDefaults,
  openGatewayAntiEntropy,
} from './anti-entropy.ts';
export { type BackoffRange, backoffMs } from './backoff.ts';
export { inOrder, routableText, sameRecord } from './content.ts';
export { type Difference, diff } from './diff.ts';
export {
  type EntryOp,
  type EntryReplicator,
  type EntryReplicatorConfig,
  type EntryReplicatorOptions,
  type EntryRound,
  entryReplicatorDefaults,
  openEntryReplicator,
} from './entry-replicator.ts';
export type { EntryAnswer } from './entry-round.ts';
export { type FailureKind, PeerAnswerError, ReplicationError } from './errors.ts';
export {
  datacenterSupports,
  federationStatesTag,
  federationStatesTagValue,
  type GateServer,
} from './gate.ts';
export type { Clock, Rng } from './ports.ts';
export {
  openPruning,
  type Pruning,
  type PruningConfig,
  type PruningEvent,
  type PruningOptions,
  pruningDefaults,
} from './pruning.ts';
export type { Seen } from './publication.ts';
export {
  openReplicator,
  type ReplicaOp,
  type Replicator,
  type ReplicatorConfig,
  type ReplicatorOptions,
  type Round,
  replicatorDefaults,
} from './replicator.ts';
export type { Answer, Doubt } from './round.ts';
export { systemClock, systemRng } from './system.ts';
