/**
 * main.ts: the simulator from the command line. Exits with 1 when a rule was violated or a goal missed, 2 for wrong flags.
 */
import { availableParallelism } from 'node:os';
import { commandLine } from '@fed/tooling/command-line';
import { runDays } from './days.ts';
import { contactsPerRound, roundsToAll } from './epidemic.ts';
import { runFederationDays } from './federation/days.ts';
import { runScale } from './federation/scale.ts';
import { runAll } from './pool.ts';
import { spreadConfig } from './spread.ts';
import type { Outcome, Task } from './worker.ts';

/** Datacenters. */
const scaleSizes = [20, 50, 100, 200];
/** Members of a spread, unless told otherwise. */
const spreadMembers = 1_000;
/** What a row takes in each of so many tables, in bytes, with room for the collector; and what everything else takes, in MiB. */
const rowBytes = 230;
const otherMb = 2_048;
/** How far a mean may lie from the prediction, as a fraction of it. */
const spreadTolerance = 0.1;
/** How many times fewer false positives Lifeguard must bring. */
const lifeguardGoal = 50;
/** Cells of the experiment: how many are slow, for how long, and how long they recover; a cross-section of the paper's. */
const slowMembers = [4, 16, 32];
const stallsMs = [2_048, 8_192, 32_768];
const pausesMs = [64, 4_096];

const usage = `npm run sim -- [--seeds 20] [--first 1] [--nodes N] [--verify]      bad days of one gossip pool, each followed by a good one
npm run sim -- --federation [--seeds 20] [--first 1] [--nodes N] [--verify]      the same for federations of N datacenters
npm run sim -- --scenario scale [--nodes N]              what 20, 50, 100, 200 datacenters (or N) cost each of their servers
npm run sim -- --scenario spread [--nodes 1000] [--rumours 20]           gossip rounds to everybody, beside SWIM's prediction
npm run sim -- --scenario lifeguard [--nodes 128] [--seeds 1]            false positives, with Lifeguard and without

  --first S    the first seed: one that failed is replayed with --first S --seeds 1
  --verify     each seed twice, and both must leave the same trace
  --workers N  so many at a time; all cores by default`;

const { values, refuse, integer } = commandLine(usage, {
  scenario: { type: 'string', default: 'days' },
  seeds: { type: 'string' },
  first: { type: 'string', default: '1' },
  nodes: { type: 'string' },
  rumours: { type: 'string', default: '20' },
  workers: { type: 'string', default: String(availableParallelism()) },
  verify: { type: 'boolean', default: false },
  federation: { type: 'boolean', default: false },
});
const first = integer('first', values.first);
const workers = integer('workers', values.workers);
const nodes = values.nodes === undefined ? undefined : integer('nodes', values.nodes);

const scenario = values.federation ? 'federation' : values.scenario;

switch (scenario) {
  case 'federation': {
    const seeds = integer('seeds', values.seeds ?? '20');
    finish(
      await runFederationDays({ first, seeds, datacenters: nodes, verify: values.verify, workers, progress }),
    );
    break;
  }
  case 'days': {
    const seeds = integer('seeds', values.seeds ?? '20');
    finish(await runDays({ first, seeds, nodes, verify: values.verify, workers, progress }));
    break;
  }
  case 'scale':
    finish(await runScale(nodes === undefined ? scaleSizes : [nodes], first, progress));
    break;
  case 'spread':
    finish(await spread(nodes ?? spreadMembers, integer('rumours', values.rumours)));
    break;
  case 'lifeguard':
    finish(await lifeguard(nodes ?? 128, integer('seeds', values.seeds ?? '1')));
    break;
  default:
    refuse(`--scenario ${values.scenario}: there are days, federation, scale, spread and lifeguard`);
}

async function spread(members: number, rumours: number): Promise<boolean> {
  const contacts = contactsPerRound(spreadConfig);
  const predicted = roundsToAll(members, contacts);
  console.log(
    `${members} members, ${contacts.toFixed(1)} contacts a round: Bailey's simple epidemic, SWIM's model, says ${predicted.toFixed(2)} rounds`,
  );
  const tasks: Task[] = (['gossip alone', 'whole members'] as const).map((way) => ({
    kind: 'spread',
    way,
    nodes: members,
    rumours,
    seed: first,
  }));
  const heapMbMax = otherMb + Math.ceil((members * members * rowBytes) / 2 ** 20);
  let good = true;
  const done = (outcome: Outcome, index: number): void => {
    const task = tasks[index];
    if (outcome.kind !== 'spread' || task?.kind !== 'spread') return;
    const { rounds } = outcome;
    const mean = rounds.reduce((sum, n) => sum + n, 0) / rounds.length;
    const off = mean / predicted - 1;
    if (Math.abs(off) > spreadTolerance) good = false;
    console.log(
      `${task.way}: ${rumours} rumours, mean ${mean.toFixed(2)} rounds (${Math.min(...rounds).toFixed(2)} to ${Math.max(...rounds).toFixed(2)}), ${(100 * off).toFixed(1)} % off the prediction; ±${100 * spreadTolerance} % is the goal`,
    );
  };
  await runAll(tasks, workers, done, heapMbMax);
  return good;
}

async function lifeguard(members: number, seeds: number): Promise<boolean> {
  const tasks: Extract<Task, { kind: 'lifeguard' }>[] = [];
  for (let seed = first; seed < first + seeds; seed++)
    for (const slow of slowMembers)
      for (const stallMs of stallsMs)
        for (const pauseMs of pausesMs)
          for (const on of [false, true])
            tasks.push({ kind: 'lifeguard', seed, nodes: members, slow, stallMs, pauseMs, lifeguard: on });
  const found = tasks.map(() => ({ everywhere: 0, atHealthy: 0 }));
  let finished = 0;
  await runAll(tasks, workers, (outcome, index) => {
    if (outcome.kind !== 'lifeguard') return;
    found[index] = outcome.found;
    progress(`${++finished} of ${tasks.length} runs`);
  });
  progress('');
  const sums = { off: { everywhere: 0, atHealthy: 0 }, on: { everywhere: 0, atHealthy: 0 } };
  console.log(`${members} members, two minutes each; false positives everywhere / at healthy members`);
  console.log('slow   stall     pause     without Lifeguard     with');
  for (const [i, { slow, stallMs, pauseMs, lifeguard: on }] of tasks.entries()) {
    const { everywhere, atHealthy } = found[i]!;
    const sum = on ? sums.on : sums.off;
    sum.everywhere += everywhere;
    sum.atHealthy += atHealthy;
    if (!on) continue;
    const without = found[i - 1]!;
    console.log(
      `${String(slow).padEnd(6)} ${`${stallMs} ms`.padEnd(9)} ${`${pauseMs} ms`.padEnd(9)} ${`${without.everywhere} / ${without.atHealthy}`.padEnd(21)} ${everywhere} / ${atHealthy}`,
    );
  }
  const ratio = sums.off.everywhere / Math.max(1, sums.on.everywhere);
  const ratioAtHealthy = sums.off.atHealthy / Math.max(1, sums.on.atHealthy);
  console.log(
    `all: ${sums.off.everywhere} / ${sums.off.atHealthy} without, ${sums.on.everywhere} / ${sums.on.atHealthy} with: ${ratio.toFixed(0)} times fewer, ${ratioAtHealthy.toFixed(0)} times at healthy members; ${lifeguardGoal} is the goal`,
  );
  return ratio >= lifeguardGoal;
}

/** One line that is written over; only where somebody watches. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

function finish(good: boolean): void {
  process.exitCode = good ? 0 : 1;
}
