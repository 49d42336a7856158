/** Repeatable chance from one seed (mulberry32), and a seed that changes from run to run but is always printed on failure. */
import type { Rng } from '../src/ports.ts';

export function seededRng(seed: number): Rng {
  let state = seed >>> 0;
  return {
    below(n) {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = Math.imul(state ^ (state >>> 15), state | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) % n;
    },
  };
}

/** FSM_SEED repeats a run. */
export function seedOfRun(): number {
  const given = process.env['FSM_SEED'];
  return given === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(given);
}
