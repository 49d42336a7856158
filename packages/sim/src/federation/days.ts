/**
 * days.ts: many bad days of federations, on all cores, and what came of them.
 *
 * Lives here: handing out seeds, the summary, everything about a seed that failed. Must not live here: a day (day.ts).
 */
import { createHash } from 'node:crypto';
import { runAll } from '../pool.ts';
import type { Task } from '../worker.ts';
import type { DayResult } from './day.ts';

export interface FederationDaysOptions {
  readonly first: number;
  readonly seeds: number;
  /** Per federation; absent: 2 to 5, by the seed. */
  readonly datacenters: number | undefined;
  /** Run each seed twice and compare. */
  readonly verify: boolean;
  readonly workers: number;
  readonly progress: (text: string) => void;
}

const worstShown = 3;
/** A long run says so often that it is alive, also where nobody watches. */
const saidEvery = 50;

/** Prints what happened; whether every rule held on every day. */
export async function runFederationDays(o: FederationDaysOptions): Promise<boolean> {
  const { datacenters, verify } = o;
  const tasks = Array.from({ length: o.seeds }, (_, i): Task => {
    const seed = o.first + i;
    // One seed is run to be read: with all its log lines.
    const logLevel = o.seeds === 1 ? 'info' : 'warn';
    return {
      kind: 'federation',
      seed,
      twice: verify,
      logLevel,
      ...(datacenters !== undefined && { datacenters }),
    };
  });
  const results: DayResult[] = [];
  let failed = 0;
  let finished = 0;
  let busyMs = 0;
  const began = performance.now();
  await runAll(tasks, o.workers, (outcome, index) => {
    if (outcome.kind !== 'federation') return;
    results[index] = outcome.result;
    busyMs += outcome.tookMs;
    if (!report(outcome.result, outcome.again, o)) failed++;
    o.progress(`${++finished} of ${tasks.length} days, ${failed} failed`);
    if (finished % saidEvery === 0 && finished < tasks.length)
      console.log(`${finished} days, ${failed} failed`);
  });
  o.progress('');
  summary(results, busyMs, (performance.now() - began) / 1_000);
  console.log(failed === 0 ? `${o.seeds} seeds, nothing violated` : `${failed} of ${o.seeds} seeds FAILED`);
  return failed === 0;
}

function summary(results: readonly DayResult[], busyMs: number, tookS: number): void {
  const all = createHash('sha256');
  for (const { hash } of results) all.update(hash);
  const whole = results.map((r) => r.wholeAfterMs ?? Number.POSITIVE_INFINITY).sort((a, b) => a - b);
  const at = (q: number): string => ms(whole[Math.min(whole.length - 1, Math.floor(whole.length * q))]);
  const sum = (of: (r: DayResult) => number): number => results.reduce((total, r) => total + of(r), 0);
  console.log(
    `${results.length} days in ${tookS.toFixed(0)} s (${Math.round(busyMs / results.length)} ms each), ${sum((r) => r.events)} events, ${sum((r) => r.reads)} reads during faults, ${sum((r) => r.readsFailed)} of them refused in time`,
  );
  console.log(
    `whole again after the last fault: half within ${at(0.5)}, 99 % within ${at(0.99)}, all within ${at(1)}`,
  );
  const worst = [...results].sort((a, b) => (b.wholeAfterMs ?? Infinity) - (a.wholeAfterMs ?? Infinity));
  const named = worst.slice(0, worstShown).map((r) => `seed ${r.seed} ${ms(r.wholeAfterMs)}`);
  console.log(`longest: ${named.join(', ')}`);
  console.log(`hash of all traces: ${all.digest('hex').slice(0, 16)}`);
}

/** Whether nothing was violated; everything about it if something was, or if it was the only one asked for. */
function report(result: DayResult, again: string, o: FederationDaysOptions): boolean {
  const { seed, hash, tail } = result;
  const violations = [...result.violations];
  if (again !== hash)
    violations.push({ rule: 'the same seed gives the same run', atMs: 0, detail: `${hash}, then ${again}` });
  if (violations.length > 0 || o.seeds === 1) for (const line of tail) console.log(`    ${line}`);
  if (violations.length === 0) return true;
  console.log(`seed ${seed}  datacenters ${result.datacenters}  hash ${hash}  FAILED`);
  for (const { rule, atMs, detail } of violations)
    console.log(`  VIOLATED at ${atMs.toFixed(0)} ms: ${rule}: ${detail}`);
  const nodes = o.datacenters === undefined ? '' : ` --nodes ${o.datacenters}`;
  console.log(`  again: npm run sim -- --federation --first ${seed} --seeds 1${nodes}`);
  return false;
}

function ms(time: number | undefined): string {
  return time === undefined || !Number.isFinite(time) ? 'never' : `${Math.round(time)} ms`;
}
