/**
 * main.ts: `npm run crash`: a thousand runs of 32 writers, each killed at a random point or at a fault
 * point between write, sync and rename, on a disk that tears, flips bits and fills up. Ends with 1 and the seed on the
 * first broken promise.
 */
import { commandLine } from '@fed/tooling/command-line';
import { crashRounds } from './rounds.ts';

const { values, integer } = commandLine(
  'npm run crash -- [--runs 1000] [--seed S]      writers killed at a random point, on a disk that tears; nothing may be lost',
  {
    runs: { type: 'string', default: '1000' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
  },
);
const runs = integer('runs', values.runs);
const seed = integer('seed', values.seed, 0);

console.log(`crash: ${runs} runs, seed ${seed}`);
const began = performance.now();
const tally = await crashRounds({
  rounds: runs,
  seed,
  after: ({ runs: done, acknowledged }) => {
    if (done % 100 === 0) console.log(`  ${done} runs, ${acknowledged} writes acknowledged, none lost`);
  },
});
const { killedAt, ...counts } = tally;
console.log(
  `  killed at fault points: ${[...killedAt]
    .sort()
    .map(([at, n]) => `${at} ${n}`)
    .join(', ')}`,
);
console.log(JSON.stringify({ crash: counts, seed, seconds: Math.round((performance.now() - began) / 1000) }));
