/**
 * config.ts: the numbers the core decides by, and waiting longer after each failure.
 */

export interface CoreConfig {
  /** Distinguishes this run of this server from every other; part of each entry's id. */
  readonly instance: string;
  readonly address: string;
  readonly leaseMs: number;
  readonly writeTimeoutMs: number;
  readonly entryBytesMax: number;
  readonly waitingBytesMax: number;
  readonly compactAfterBytes: number;
}

const retryMsMin = 25;
const retryMsMax = 1_000;
const patienceMsMin = 400;
const patienceMsMax = 3_200;

/** Twice as long after each failure in a row, from 25 ms to 1 s. etcd's own elections take about a second. */
export class Backoff {
  #failures = 0;

  /** When to try again. */
  after(now: number): number {
    return now + Math.min(retryMsMax, retryMsMin * 2 ** Math.min(this.#failures++, 10));
  }

  /** How long to wait for the next answer, in ms: an etcd that has lost its leader does not say so at once, one with a slow disk is slow. */
  get patienceMs(): number {
    return Math.min(patienceMsMax, patienceMsMin * 2 ** Math.min(this.#failures, 10));
  }

  reset(): void {
    this.#failures = 0;
  }
}
