/** dice.ts: chance that can be had again: print the seed with a failure, and set SEED to it. */

export const seed: number = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);

/** Integers below what is asked for, the same for the same beginning (xorshift32). */
export function dice(from: number = seed): (below: number) => number {
  let state = from | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}
