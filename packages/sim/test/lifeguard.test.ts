/**
 * lifeguard.test.ts: who is slow does not take the others with it; the whole experiment with
 * `npm run sim -- --scenario lifeguard`.
 */
import { expect, test } from 'vitest';
import { countFalsePositives } from '../src/lifeguard.ts';

test('with Lifeguard at least fifty times fewer healthy members are declared dead', async () => {
  const cell = { seed: 3, nodes: 24, slow: 4, stallMs: 8_192, pauseMs: 64 };
  const without = await countFalsePositives({ ...cell, lifeguard: false });
  const with_ = await countFalsePositives({ ...cell, lifeguard: true });
  expect(without.everywhere).toBeGreaterThan(0);
  expect(without.everywhere).toBeGreaterThanOrEqual(50 * with_.everywhere);
});
