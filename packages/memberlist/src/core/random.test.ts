import fc from 'fast-check';
import { expect, test } from 'vitest';
import { systemRng } from '../system.ts';
import { pickRandom, shuffle } from './random.ts';

test('random: a shuffle changes the order and not the set', () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), (list) => {
      const shuffled = [...list];
      shuffle(shuffled, systemRng);
      expect(shuffled.sort((a, b) => a - b)).toEqual([...list].sort((a, b) => a - b));
    }),
  );
  const hundred = Array.from({ length: 100 }, (_, i) => i);
  const shuffled = [...hundred];
  shuffle(shuffled, systemRng);
  expect(shuffled).not.toEqual(hundred); // one in 100! times it would be
});

test('random: picks are different, fit, and are no more than asked for', () => {
  const list = Array.from({ length: 90 }, (_, i) => i);
  for (let run = 0; run < 100; run++) {
    const picked = pickRandom(3, list, systemRng, (n) => n % 3 === 0);
    expect(picked).toHaveLength(3);
    expect(new Set(picked).size).toBe(3);
    expect(picked.every((n) => n % 3 === 0)).toBe(true);
  }
});

test('random: a short list is searched to its end', () => {
  for (let run = 0; run < 100; run++)
    expect(pickRandom(3, [1, 2, 3, 4, 5, 6, 7, 8], systemRng, (n) => n === 5)).toEqual([5]);
});

test('random: nobody is picked when nobody is wanted or nobody fits', () => {
  expect(pickRandom(0, [1, 2, 3], systemRng, () => true)).toEqual([]);
  expect(
    pickRandom(
      2,
      Array.from({ length: 50 }, (_, i) => i),
      systemRng,
      () => false,
    ),
  ).toEqual([]);
});
