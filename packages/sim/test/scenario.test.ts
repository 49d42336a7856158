/**
 * scenario.test.ts: a few bad days; many more with `npm run sim -- --seeds N`.
 */
import { expect, test } from 'vitest';
import { runScenario } from '../src/index.ts';

test.each([
  [1, 3],
  [3, 5], // encrypted
  [5, 7], // labelled
  [15, 6], // both
  [8, 9],
  [246, 8], // a refutation that missed one accuser ended in a death on a calm network
])('seed %d, %d members: every rule holds', async (seed, nodes) => {
  const { violations, tail } = await runScenario({ seed, nodes });
  expect(violations, tail.join('\n')).toEqual([]);
});

test('the same seed gives the same run, another seed another', async () => {
  const first = await runScenario({ seed: 4, nodes: 6 });
  const second = await runScenario({ seed: 4, nodes: 6 });
  const other = await runScenario({ seed: 5, nodes: 6 });
  expect(second.hash).toBe(first.hash);
  expect(second.events).toBe(first.events);
  expect(other.hash).not.toBe(first.hash);
});
