/** The short form of `npm run crash`: kills, fault points, torn tails and flipped bits, on a real disk. */
import { test } from 'vitest';
import { seedOfRun } from './chance.ts';
import { crashRounds } from './crash/rounds.ts';

const rounds = 12;

test(`${rounds} runs of 32 writers, killed: nothing acknowledged is lost`, { timeout: 120_000 }, async () => {
  const seed = seedOfRun();
  const { runs, acknowledged } = await crashRounds({ rounds, seed });
  console.log(`FSM_SEED=${seed}: ${runs} runs, ${acknowledged} writes acknowledged`);
});
