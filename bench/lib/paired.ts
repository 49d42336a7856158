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
export function percentile(blocks: readonly Block[], q: number): number {
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

/** What a set of blocks comes to, in ms. */
export type Measure = (blocks: readonly Block[]) => number;

/** Of all calls together. One burst of noise may be all of it. */
export const pooled =
  (q: number): Measure =>
  (blocks) =>
    percentile(blocks, q);

/**
 * Of the block that a quarter are better than. What goes on all the time is in every block; what other programs on the machine do
 * comes and goes, and only ever makes things slower: it is in the others.
 */
export const quiet = (q: number): Measure => {
  const known = new Map<Block, number>();
  const of = (one: Block): number => {
    const found = known.get(one) ?? percentile([one], q);
    known.set(one, found);
    return found;
  };
  return (blocks) => {
    const each = blocks.map(of).sort((a, b) => a - b);
    return each[Math.floor(each.length / 4)] as number;
  };
};

/** `measure` of `with_` over that of `without`. `below(n)`: the dice. */
export function ratio(
  with_: readonly Block[],
  without: readonly Block[],
  measure: Measure,
  below: (n: number) => number,
): Ratio {
  const drawn = (of: readonly Block[]): readonly Block[] => of.map(() => of[below(of.length)] as Block);
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
