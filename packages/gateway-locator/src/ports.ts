/**
 * ports.ts: all that the locator and discovery ask of the world.
 *
 * The locator only listens: it wants to know what time it is and to throw dice, no more. Discovery also needs
 * timers, a resolver and files.
 * Lives here: what we need. Must not live here: what we offer, any implementation.
 */
export type { CheckServiceNode, FederationState } from '@fed/fsm';

/** Milliseconds on the clock that was handed in; only differences mean anything. */
export type Millis = number;

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Repeatable chance. */
export interface Rng {
  /** An integer from 0 to n-1; n is at least 1. */
  below(n: number): number;
}

export interface Clock {
  /** Never runs backwards. */
  now(): Millis;
  /** Calls `wake` once when `now() >= when`, never within this call. */
  at(when: Millis, wake: () => void): Disposable;
}

export interface ServiceTarget {
  readonly name: string;
  readonly port: number;
}

/**
 * DNS, or whatever answers in its place. Each call rejects when it has no answer, or when `signal` aborts.
 */
export interface Resolve {
  /** All addresses of a host name, A and AAAA, as text. */
  addresses(host: string, signal: AbortSignal): Promise<readonly string[]>;
  /** The targets of an SRV name. */
  services(name: string, signal: AbortSignal): Promise<readonly ServiceTarget[]>;
}

/** The text of a file. */
export type ReadText = (path: string, signal: AbortSignal) => Promise<string>;
