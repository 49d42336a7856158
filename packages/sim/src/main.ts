/**
 * main.ts: many bad days in a row, from the command line.
 *
 *   node --conditions=@fed/source packages/sim/src/main.ts --seeds 100 [--first 1] [--nodes 8] [--verify]
 *
 * Prints one line per seed and everything about a seed that failed; `--verify` runs each seed twice and compares the
 * hashes. Exits with 1 if anything was violated.
 */
import { parseArgs } from 'node:util';
import { runScenario } from './scenario.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '20' },
    first: { type: 'string', default: '1' },
    nodes: { type: 'string' },
    verify: { type: 'boolean', default: false },
  },
});

const first = integer('first', values.first);
const seeds = integer('seeds', values.seeds);
let failed = 0;
for (let seed = first; seed < first + seeds; seed++) {
  const nodes = values.nodes === undefined ? 2 + (seed % 8) : integer('nodes', values.nodes);
  const startedAt = performance.now();
  const result = await runScenario({ seed, nodes });
  const again = values.verify ? await runScenario({ seed, nodes }) : result;
  const tookMs = Math.round(performance.now() - startedAt);
  const agreed = result.agreedAfterMs === undefined ? 'never' : `${Math.round(result.agreedAfterMs)} ms`;
  console.log(
    `seed ${seed}  nodes ${nodes}  hash ${result.hash}  events ${result.events}  agreed after ${agreed}  took ${tookMs} ms`,
  );
  const violations = [...result.violations];
  if (again.hash !== result.hash)
    violations.push({
      rule: 'the same seed gives the same run',
      atMs: 0,
      detail: `second run: ${again.hash}`,
    });
  if (violations.length === 0) continue;
  failed++;
  for (const line of result.tail) console.log(`    ${line}`);
  for (const { rule, atMs, detail } of violations)
    console.log(`  VIOLATED at ${atMs.toFixed(0)} ms: ${rule}: ${detail}`);
  console.log(
    `  again: node --conditions=@fed/source packages/sim/src/main.ts --first ${seed} --seeds 1 --nodes ${nodes}`,
  );
}
console.log(failed === 0 ? `${seeds} seeds, nothing violated` : `${failed} of ${seeds} seeds FAILED`);
process.exitCode = failed === 0 ? 0 : 1;

function integer(name: string, text: string): number {
  const n = Number(text);
  if (Number.isInteger(n) && n >= 1) return n;
  throw new Error(`--${name} ${text}: give an integer, 1 or more`);
}
