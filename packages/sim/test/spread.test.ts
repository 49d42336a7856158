/**
 * spread.test.ts: rumours spread as fast as the mathematics say; more members with `npm run sim -- --scenario spread`.
 */
import { expect, test } from 'vitest';
import { contactsPerRound, roundsToAll } from '../src/epidemic.ts';
import { spreadByGossipAlone, spreadConfig, spreadInCluster } from '../src/spread.ts';

const mean = (list: readonly number[]): number => list.reduce((sum, n) => sum + n, 0) / list.length;

test('the epidemic: two members need one contact; more contacts take fewer rounds in proportion', () => {
  expect(roundsToAll(2, 1)).toBe(1);
  expect(roundsToAll(3, 1)).toBe(2);
  expect(roundsToAll(1000, 3)).toBeCloseTo(roundsToAll(1000, 1) / 3, 9);
  expect(contactsPerRound(spreadConfig)).toBeCloseTo(3.4, 9);
});

// Of few rumours the mean itself varies: a single one by 12 % of it, the mean of 30 by 2 %, ten standard errors are 20 %.
test.each([
  ['gossip alone', spreadByGossipAlone, 300, 30],
  ['whole members', spreadInCluster, 60, 30],
] as const)('%s: within a fifth of the prediction', async (_name, way, nodes, rumours) => {
  const rounds = mean(await way({ nodes, rumours, seed: 7 }));
  const predicted = roundsToAll(nodes, contactsPerRound(spreadConfig));
  expect(Math.abs(rounds / predicted - 1)).toBeLessThan(0.2);
});
