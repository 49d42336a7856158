/**
 * paired.ts: whether something slows others down, said with an interval: latencies in blocks, pooled percentiles, bootstrap.
 *
 * A machine's noise comes in bursts, so blocks of time are drawn, not single calls. Lives here: arithmetic.
 */

/** Bins of one percent, from ten microseconds to a minute. */
const binWidth = Math.log(1.01);
const lowestMs = 0.01;
const bins = Math.ceil(Math.log(60_000 / lowestMs) / binWidth);

export type Block = Uint32Array;

export function block(tookMs: Iterable<number>): Block {
  const out = new Uint32Array(bins);
  for (const ms of tookMs) {
    const at = Math.floor(Math.log(Math.max(ms, lowestMs) / lowestMs) / binWidth);
    out[Math.min(at, bins - 1)] = (out[Math.min(at, bins - 1)] as number) + 1;
  }
  return out;
}

/** In ms. */
function percentile(blocks: readonly Block[], q: number): number {
  const sum = new Uint32Array(bins);
  let total = 0;
  for (const each of blocks)
    for (let at = 0; at < bins; at++) {
      const count = each[at] as number;
      sum[at] = (sum[at] as number) + count;
      total += count;
    }
  let seen = 0;
  for (let at = 0; at < bins; at++) {
    seen += sum[at] as number;
    if (seen > total * q) return lowestMs * Math.exp((at + 0.5) * binWidth);
  }
  return Number.NaN;
}

export interface Ratio {
  readonly ratio: number;
  /** 95 % of resamplings lie between. */
  readonly low: number;
  readonly high: number;
}

const draws = 500;

/** Of all calls together, in ms. */
export const pooled =
  (q: number) =>
  (blocks: readonly Block[]): number =>
    percentile(blocks, q);

/** `measure` of `with_` over that of `without`. `below(n)`: the dice. */
export function ratio<T>(
  with_: readonly T[],
  without: readonly T[],
  measure: (some: readonly T[]) => number,
  below: (n: number) => number,
): Ratio {
  const drawn = (of: readonly T[]): readonly T[] => of.map(() => of[below(of.length)] as T);
  const one = (): number => measure(drawn(with_)) / measure(drawn(without));
  return between(measure(with_) / measure(without), one);
}

/** `of` all turns, and of as many drawn from them again and again: what was measured in one turn stays together. */
export function resampled(
  turns: number,
  of: (drawn: readonly number[]) => number,
  below: (n: number) => number,
): Ratio {
  const each = Array.from({ length: turns }, (_, turn) => turn);
  return between(of(each), () => of(each.map(() => below(turns))));
}

function between(ratio: number, draw: () => number): Ratio {
  const all = Array.from({ length: draws }, draw).sort((a, b) => a - b);
  const at = (part: number): number => all[Math.floor(part * draws)] as number;
  return { ratio, low: at(0.025), high: at(0.975) };
}

export function shown({ ratio: r, low, high }: Ratio): string {
  return `${r.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`;
}

/** A dice that can be thrown again: mulberry32. */
export function dice(seed: number): (n: number) => number {
  let state = seed >>> 0;
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n);
  };
}
