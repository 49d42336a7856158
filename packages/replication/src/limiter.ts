/**
 * limiter.ts: a purse of tokens that fills at a steady rate: short bursts pass, a loop gone mad does not.
 *
 * Lives here: the arithmetic. Must not live here: waiting.
 */
import type { Millis } from './ports.ts';

export class Limiter {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #at: Millis;

  constructor(o: { readonly perSecond: number; readonly burst: number }, now: Millis) {
    this.#perMs = o.perSecond / 1000;
    this.#burst = o.burst;
    this.#tokens = o.burst;
    this.#at = now;
  }

  /** Takes one token, on credit if need be; returns how long to wait before using it, in ms. */
  take(now: Millis): number {
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#at) * this.#perMs);
    this.#at = now;
    this.#tokens--;
    return this.#tokens >= 0 ? 0 : Math.ceil(-this.#tokens / this.#perMs);
  }
}
