/**
 * backoff.ts: how long to wait after failures in a row: 1, 2, 4 … 120 s, and up to a tenth more by chance.
 *
 * Lives here: the arithmetic. Must not live here: waiting, and what ends it early.
 * Source: Consul agent/consul/replication.go (lib.RetryWaiter).
 */
import type { Rng } from './ports.ts';

export interface BackoffRange {
  readonly minMs: number;
  readonly maxMs: number;
}

export const backoffDefault: BackoffRange = { minMs: 1_000, maxMs: 120_000 };

/**
 * Milliseconds after the n-th failure in a row; `failures` is at least 1. Only the chance part exceeds
 * `maxMs`.
 */
export function backoffMs(failures: number, range: BackoffRange, rng: Rng): number {
  const fullMs = Math.min(range.maxMs, range.minMs * 2 ** Math.min(failures - 1, 30));
  return fullMs + rng.below(Math.floor(fullMs / 10) + 1);
}
