/**
 * formulas.ts: how limits and waits grow with the cluster.
 *
 * Everybody computes these alone and the cluster works because all come to similar numbers; so the rounding is part of
 * the contract. memberlist util.go, suspicion.go, tested against values recorded from them.
 * Lives here: arithmetic. Must not live here: state.
 */

/** The least time a suspect gets: mult intervals, growing with log10 of the table size; the factor has 3 decimals. */
export function suspicionTimeoutMs(mult: number, tableSize: number, probeIntervalMs: number): number {
  const scale = Math.max(1, Math.log10(Math.max(1, tableSize)));
  return (mult * Math.trunc(scale * 1000) * probeIntervalMs) / 1000;
}

/** How often a broadcast is sent before it is taken to be known. */
export function retransmitLimit(mult: number, tableSize: number): number {
  return mult * Math.ceil(Math.log10(tableSize + 1));
}

/** Full exchanges cost O(n), so their interval stretches: twice from 33 members on, three times from 65, ... */
export function pushPullIntervalMs(intervalMs: number, tableSize: number): number {
  if (tableSize <= 32) return intervalMs;
  return intervalMs * (Math.ceil(Math.log2(tableSize) - Math.log2(32)) + 1);
}

/** The whole length of a suspicion after `confirmed` of `wanted` further accusers, on a log scale from max to min. */
export function suspicionTotalMs(confirmed: number, wanted: number, minMs: number, maxMs: number): number {
  const fraction = Math.log(confirmed + 1) / Math.log(wanted + 1);
  // In seconds, as the original does: the last bit decides which millisecond the floor falls on.
  const seconds = maxMs / 1000 - fraction * (maxMs / 1000 - minMs / 1000);
  return Math.max(minMs, Math.floor(1000 * seconds));
}
