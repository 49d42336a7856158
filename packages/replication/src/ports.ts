/**
 * ports.ts: what replication, anti-entropy and pruning ask of the world: time and chance. Whom they talk to
 * is handed to each of them as functions.
 *
 * Lives here: what we need. Must not live here: what we offer, any implementation.
 */
export type { CheckServiceNode, FederationState } from '@fed/fsm';

/** Milliseconds on the clock that was handed in; only differences mean anything. */
export type Millis = number;

export interface Clock {
  /** Never runs backwards. */
  now(): Millis;
  /** Calls `wake` once when `now() >= when`, never within this call. */
  at(when: Millis, wake: () => void): Disposable;
}

/** Repeatable chance. */
export interface Rng {
  /** An integer from 0 to n-1; n is at least 1. */
  below(n: number): number;
}
