/**
 * ports.ts: what this package asks of the world.
 *
 * Lives here: time, chance and small shapes. Must not live here: an implementation (see system.ts).
 */

/** A point in time to be woken at, and the present. Milliseconds; the zero point does not matter. */
export interface Clock {
  now(): number;
  /** Calls `wake` once, at `when` or soon after, never before. Disposing forgets it. */
  at(when: number, wake: () => void): Disposable;
}

/** Repeatable chance: an integer in 0..n-1. */
export interface Rng {
  below(n: number): number;
}

/** A TCP endpoint. `host` is an address literal or a DNS name, without brackets. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Something an operator may want to read. Branch on `code`; `text` names the key, peer or resource and the remedy. */
export interface Notice {
  readonly level: 'info' | 'warn';
  readonly code: string;
  readonly text: string;
}
