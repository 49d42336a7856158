/**
 * refusal.ts: how long a destination that could not be dialed says no without trying.
 *
 * Doubling with every failure in a row, and somewhere in the upper half of that by chance, so that many
 * servers that lost the same gateway do not come back in the same instant.
 * Lives here: the arithmetic. Must not live here: who failed.
 */
import type { Rng } from './ports.ts';

/** Milliseconds for the n-th failure in a row; `failures` is at least 1. */
export function refusalMs(
  failures: number,
  o: { readonly refusalMsMin: number; readonly refusalMsMax: number },
  rng: Rng,
): number {
  const fullMs = Math.min(o.refusalMsMax, o.refusalMsMin * 2 ** Math.min(failures - 1, 30));
  const halfMs = Math.floor(fullMs / 2);
  return fullMs - rng.below(halfMs + 1);
}
