/**
 * breaker.ts: when not to dial a datacenter again.
 *
 * Dialling a place that does not answer costs seconds, and everyone who waits for it holds something meanwhile. After a
 * few failures in a row callers are told at once, for a while that doubles; then one dial is let through to see.
 * A dial that connects proves little (a TLS 1.3 client hears of a refused certificate only afterwards), so only an
 * answered call forgets the failures.
 * Lives here: that judgement for one datacenter. Must not live here: dialling, time, sessions.
 */
export interface BreakerConfig {
  /** Failures in a row after which dials are refused. */
  readonly failuresMax: number;
  /** How long, at first and at most, in ms. */
  readonly refuseMs: number;
  readonly refuseMsMax: number;
}

export type MayDial =
  | { readonly yes: true }
  | { readonly yes: false; readonly againInMs: number; readonly cause: unknown };

export class Breaker {
  readonly #config: BreakerConfig;
  #failures = 0;
  #refuseMs: number;
  #refuseUntil = 0;
  #probing = false;
  #cause: unknown;

  constructor(config: BreakerConfig) {
    this.#config = config;
    this.#refuseMs = config.refuseMs;
  }

  get failures(): number {
    return this.#failures;
  }

  get isOpen(): boolean {
    return this.#failures >= this.#config.failuresMax;
  }

  /** Asked before a dial; after a yes, exactly one of connected, failed and abandoned must follow. */
  mayDial(now: number): MayDial {
    if (!this.isOpen) return { yes: true };
    if (now < this.#refuseUntil || this.#probing)
      return { yes: false, againInMs: Math.max(0, this.#refuseUntil - now), cause: this.#cause };
    this.#probing = true;
    return { yes: true };
  }

  connected(): void {
    this.#probing = false;
  }

  failed(now: number, cause: unknown): void {
    this.#probing = false;
    this.#failures += 1;
    this.#cause = cause;
    if (!this.isOpen) return;
    this.#refuseUntil = now + this.#refuseMs;
    this.#refuseMs = Math.min(2 * this.#refuseMs, this.#config.refuseMsMax);
  }

  /** Nobody waited for the dial any more: it says nothing about the datacenter. */
  abandoned(): void {
    this.#probing = false;
  }

  /** A call was answered, or there is news that makes another attempt worthwhile. */
  forgive(): void {
    this.#failures = 0;
    this.#refuseMs = this.#config.refuseMs;
    this.#refuseUntil = 0;
    this.#cause = undefined;
  }
}
