/**
 * days.ts: many bad days, on all cores: progress while they last, then a summary with the worst of them.
 *
 * Everything about a seed that failed is printed, with the command that repeats it. The hash at the end stands for all
 * traces together, in the order of their seeds: two runs of the same command must print the same.
 */
import { createHash } from 'node:crypto';
import { runAll } from './pool.ts';
import type { ScenarioResult } from './scenario.ts';
import type { Outcome, Task } from './worker.ts';

export interface DaysOptions {
  readonly first: number;
  readonly seeds: number;
  /** Members per day; absent: 2 to 9, by the seed. */
  readonly nodes: number | undefined;
  /** Run each seed twice and compare. */
  readonly verify: boolean;
  readonly workers: number;
  readonly progress: (text: string) => void;
}

/** How many of the days that took longest to agree are named. */
const worstShown = 3;

/** Prints what happened; whether every rule held on every day. */
export async function runDays(o: DaysOptions): Promise<boolean> {
  const tasks = Array.from({ length: o.seeds }, (_, i): Task => {
    const seed = o.first + i;
    return { kind: 'day', seed, nodes: o.nodes ?? 2 + (seed % 8), twice: o.verify };
  });
  const results: ScenarioResult[] = [];
  let finished = 0;
  let failed = 0;
  let busyMs = 0;
  const began = performance.now();
  await runAll(tasks, o.workers, (outcome: Outcome, index) => {
    if (outcome.kind !== 'day') return;
    const { result, again, tookMs } = outcome;
    results[index] = result;
    busyMs += tookMs;
    if (!report(result, again)) failed++;
    finished++;
    const leftS = ((performance.now() - began) / finished) * ((tasks.length - finished) / 1000);
    o.progress(`${finished} of ${tasks.length} days, ${failed} failed, ${Math.ceil(leftS)} s to go`);
  });
  o.progress('');

  const tookS = (performance.now() - began) / 1000;
  const packets = results.reduce((sum, { events }) => sum + events, 0);
  const all = createHash('sha256');
  for (const { hash } of results) all.update(hash);
  const agreed = results
    .map(({ agreedAfterMs }) => agreedAfterMs ?? Number.POSITIVE_INFINITY)
    .sort((a, b) => a - b);
  const at = (q: number): string => ms(agreed[Math.min(agreed.length - 1, Math.floor(agreed.length * q))]);
  console.log(
    `${results.length} days in ${tookS.toFixed(0)} s (${Math.round(busyMs / results.length)} ms each, ${o.workers} at a time), ${packets} events`,
  );
  console.log(
    `agreement after the bad part: half within ${at(0.5)}, 99 % within ${at(0.99)}, all within ${at(1)}`,
  );
  const worst = [...results].sort((a, b) => (b.agreedAfterMs ?? Infinity) - (a.agreedAfterMs ?? Infinity));
  console.log(
    `longest: ${worst
      .slice(0, worstShown)
      .map((r) => `seed ${r.seed} ${ms(r.agreedAfterMs)}`)
      .join(', ')}`,
  );
  console.log(
    `hash of all traces: ${all.digest('hex').slice(0, 16)}${o.verify ? ', each seed run twice' : ''}`,
  );
  console.log(failed === 0 ? `${o.seeds} seeds, nothing violated` : `${failed} of ${o.seeds} seeds FAILED`);
  return failed === 0;
}

/** Whether nothing was violated; everything about it if something was. */
function report(result: ScenarioResult, again: string): boolean {
  const { seed, nodes, hash, tail } = result;
  const violations = [...result.violations];
  if (again !== hash)
    violations.push({ rule: 'the same seed gives the same run', atMs: 0, detail: `${hash}, then ${again}` });
  if (violations.length === 0) return true;
  console.log(`seed ${seed}  nodes ${nodes}  hash ${hash}  FAILED`);
  for (const line of tail) console.log(`    ${line}`);
  for (const { rule, atMs, detail } of violations)
    console.log(`  VIOLATED at ${atMs.toFixed(0)} ms: ${rule}: ${detail}`);
  console.log(`  again: npm run sim -- --first ${seed} --seeds 1 --nodes ${nodes}`);
  return false;
}

function ms(time: number | undefined): string {
  return time === undefined || !Number.isFinite(time) ? 'never' : `${Math.round(time)} ms`;
}
