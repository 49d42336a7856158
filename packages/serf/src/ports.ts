/**
 * ports.ts: what serf asks of the world besides a memberlist.
 *
 * Shapes only; TypeScript matches them, so nobody imports this package to be plugged in.
 * Lives here: what we need. Must not live here: what we offer (serf.ts), any implementation (system.ts).
 */

/** Milliseconds on the clock that was handed in; only differences mean anything. */
export type Millis = number;

export interface Clock {
  /** Milliseconds; never runs backwards. */
  now(): Millis;
  /** Calls `wake` once when `now() >= when` (at once, but never within this call, when that is past). */
  at(when: Millis, wake: () => void): Disposable;
}

/** Repeatable chance: the same seed gives the same walk. */
export interface Rng {
  /** An integer from 0 to n-1; n is at least 1. */
  below(n: number): number;
}

/** One line for whoever keeps a log. `code` is stable, `text` is for people. */
export interface LogEvent {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly code: string;
  readonly text: string;
  readonly cause?: unknown;
}
