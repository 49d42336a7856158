/**
 * random.ts: fair picks from a list, with borrowed dice.
 *
 * Lives here: shuffle and k-of-n. Must not live here: a source of chance.
 */
import type { Rng } from '../ports.ts';

/** Fisher–Yates, in place. */
export function shuffle<T>(list: T[], rng: Rng): void {
  for (let i = list.length - 1; i > 0; i--) {
    const j = rng.below(i + 1);
    const moved = list[i]!;
    list[i] = list[j]!;
    list[j] = moved;
  }
}

/**
 * Up to `k` different entries for which `fit` holds. A list much longer than `k` is only sampled, 3n draws at most, so
 * that a round costs O(k) and not O(n); a short one is searched through. memberlist util.go, kRandomNodes.
 */
export function pickRandom<T>(k: number, list: readonly T[], rng: Rng, fit: (entry: T) => boolean): T[] {
  const picked: T[] = [];
  if (k <= 0) return picked;
  if (list.length < 3 * k) {
    const all = [...list];
    shuffle(all, rng);
    for (const entry of all) {
      if (picked.length === k) break;
      if (fit(entry)) picked.push(entry);
    }
    return picked;
  }
  for (let draws = 3 * list.length; draws > 0 && picked.length < k; draws--) {
    const entry = list[rng.below(list.length)]!;
    if (fit(entry) && !picked.includes(entry)) picked.push(entry);
  }
  return picked;
}
