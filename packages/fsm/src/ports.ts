/**
 * ports.ts: all that the state machine asks of the world besides a log.
 *
 * Lives here: time and chance as small shapes. Must not live here: their implementations (system.ts).
 */

/** Time in ms. `at` never wakes early; the returned handle cancels. */
export interface Clock {
  now(): number;
  at(when: number, wake: () => void): Disposable;
}

/** Repeatable chance: an integer in 0..n-1. */
export interface Rng {
  below(n: number): number;
}
