/**
 * rounds.ts: a log's life as a sceptic wants it: written to by many at once, killed at a random point, damaged, opened
 * again; round after round on the same files, with a judge who knows what everybody was told.
 *
 * The law: what was acknowledged is there, at the index that was named. What was refused is not. Indexes have no gap and
 * never go back. What each writer asked for stands in the order he asked. A flipped bit is an error that names the file,
 * or hit what nobody was told of; it never makes the history silently shorter.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { LogError } from '../../src/log/errors.ts';
import { openEmbeddedLog } from '../../src/log/open.ts';
import type { Rng } from '../../src/ports.ts';
import { seededRng } from '../chance.ts';
import { flipBit, tearTail } from './damage.ts';
import { type FaultPoint, type Faults, operations } from './fault-fs.ts';
import { type Entry, Journal } from './journal.ts';
import type { WriterOrder } from './writer.ts';

const writers = 32;
/** Rounds on the same files before new ones are begun: the judge reads the whole history every time. */
const roundsPerLife = 20;
/** Of a writer process: a fault point that never comes must not keep it alive. */
const linesMax = 600;

export interface Tally {
  runs: number;
  acknowledged: number;
  refused: number;
  unknown: number;
  killedFromOutside: number;
  /** Ended at a fault point, by operation and side. */
  readonly killedAt: Map<string, number>;
  tornTails: number;
  flipsNoticed: number;
  /** The bit was in bytes that nobody was told of, or that a snapshot had made superfluous. */
  flipsHarmless: number;
}

/** What the world was told, over all rounds of one life. */
class Told {
  readonly acknowledged: Entry[] = [];
  readonly refused = new Set<string>();
  unknown = 0;

  hear(line: string): void {
    const [kind, first = '', second = ''] = line.split(' ');
    if (kind === 'a') this.acknowledged.push({ index: Number(first), text: second });
    else if (kind === 'r') this.refused.add(first);
    else if (kind === 'u') this.unknown++;
  }
}

/** Throws AssertionError naming seed and round. `after` is called after each round. */
export async function crashRounds(o: {
  readonly rounds: number;
  readonly seed: number;
  readonly after?: (tally: Tally) => void;
}): Promise<Tally> {
  const tally: Tally = {
    runs: 0,
    acknowledged: 0,
    refused: 0,
    unknown: 0,
    killedFromOutside: 0,
    killedAt: new Map(),
    tornTails: 0,
    flipsNoticed: 0,
    flipsHarmless: 0,
  };
  const root = await mkdtemp(join(tmpdir(), 'fed-crash-'));
  try {
    let told = new Told();
    let dir = '';
    for (let round = 0; round < o.rounds; round++) {
      if (round % roundsPerLife === 0) {
        await rm(root, { recursive: true, force: true });
        dir = join(root, 'log');
        await mkdir(dir, { recursive: true });
        told = new Told();
      }
      try {
        await oneRound({ dir, round, rng: seededRng(o.seed + round), told, tally });
      } catch (cause) {
        throw new Error(`FSM_SEED=${o.seed} round ${round}: ${(cause as Error).message}`, { cause });
      }
      o.after?.(tally);
    }
  } finally {
    await rm(root, { recursive: true, force: true });
  }
  return tally;
}

interface Round {
  readonly dir: string;
  readonly round: number;
  readonly rng: Rng;
  readonly told: Told;
  readonly tally: Tally;
}

async function oneRound({ dir, round, rng, told, tally }: Round): Promise<void> {
  const faults = chosenFaults(rng);
  const before = {
    acknowledged: told.acknowledged.length,
    refused: told.refused.size,
    unknown: told.unknown,
  };
  const killLine = faults.kill === undefined ? 1 + rng.below(linesMax) : linesMax;
  const order: WriterOrder = { dir, round, writers, seed: rng.below(2 ** 32), faults };
  const fromOutside = await writeUntilKilled(order, killLine, told);
  tally.runs++;
  tally.acknowledged += told.acknowledged.length - before.acknowledged;
  tally.refused += told.refused.size - before.refused;
  tally.unknown += told.unknown - before.unknown;
  if (fromOutside) tally.killedFromOutside++;
  else if (faults.kill !== undefined) {
    const at = `${faults.kill.when} ${faults.kill.operation}`;
    tally.killedAt.set(at, (tally.killedAt.get(at) ?? 0) + 1);
  }
  // A copy may be damaged beyond repair: the life goes on in the original.
  if (rng.below(3) === 0) await judgeFlip(dir, rng, told, tally);
  if (rng.below(3) === 0) {
    const { entries } = await opened(dir);
    if ((await tearTail(dir, entries.length + 1, rng)) !== undefined) tally.tornTails++;
  }
  judge((await opened(dir)).entries, told);
}

function chosenFaults(rng: Rng): Faults {
  const failsOneIn = rng.below(4) === 0 ? 20 : 0;
  if (rng.below(3) === 0) return { kill: undefined, failsOneIn };
  const operation = operations[rng.below(operations.length)] as FaultPoint['operation'];
  const sides =
    operation === 'write' ? (['before', 'within', 'after'] as const) : (['before', 'after'] as const);
  const when = sides[rng.below(sides.length)] as FaultPoint['when'];
  const often = operation === 'write' || operation === 'sync';
  return { kill: { operation, when, nth: 1 + rng.below(often ? 15 : 4) }, failsOneIn };
}

/** Whether it was killed from outside, which is where a fault point did not come. */
async function writeUntilKilled(order: WriterOrder, killLine: number, told: Told): Promise<boolean> {
  const child = spawn(
    process.execPath,
    [
      '--conditions=@fed/source',
      fileURLToPath(new URL('./writer.ts', import.meta.url)),
      JSON.stringify(order),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const exit = once(child, 'exit');
  let lines = 0;
  let outside = false;
  for await (const line of wholeLines(child.stdout)) {
    told.hear(line);
    if (++lines !== killLine) continue;
    outside = true;
    child.kill('SIGKILL');
  }
  const [code, signal] = await exit;
  assert.deepEqual([code, signal], [null, 'SIGKILL'], 'the writer ended by itself');
  return outside;
}

/** The last line may have been cut by the kill: what nobody could read, nobody was told. */
async function* wholeLines(stream: NodeJS.ReadableStream): AsyncGenerator<string> {
  let held: string | undefined;
  for await (const line of createInterface({ input: stream })) {
    if (held !== undefined) yield held;
    held = line;
  }
}

async function opened(dir: string): Promise<Journal> {
  const journal = new Journal();
  await using _log = await openEmbeddedLog({ ...journal.hooks, dir });
  return journal;
}

function judge(found: readonly Entry[], told: Told): void {
  for (const [i, { index }] of found.entries())
    assert.equal(index, i + 1, 'indexes have no gap and never go back');
  for (const { index, text } of told.acknowledged)
    assert.equal(found[index - 1]?.text, text, `index ${index} was acknowledged`);
  const last = new Map<string, number>();
  for (const { text } of found) {
    assert.ok(!told.refused.has(text), `${text.slice(0, 20)} was refused and is there`);
    const [round, writer, n] = text.split('-');
    const key = `${round}-${writer}`;
    assert.ok(Number(n) > (last.get(key) ?? -1), `${text.slice(0, 20)} stands out of its writer's order`);
    last.set(key, Number(n));
  }
}

async function judgeFlip(dir: string, rng: Rng, told: Told, tally: Tally): Promise<void> {
  const copy = `${dir}-flipped`;
  await cp(dir, copy, { recursive: true, filter: (path) => !path.endsWith('.sock') });
  try {
    const flipped = await flipBit(copy, rng);
    if (flipped === undefined) return;
    const before = await contents(copy);
    try {
      judge((await opened(copy)).entries, told);
      tally.flipsHarmless++;
    } catch (error) {
      assert.ok(error instanceof LogError, `${flipped}: ${(error as Error).message}`);
      assert.equal(error.code, 'log_corrupt', `${flipped}: ${error.message}`);
      assert.ok(
        error.file?.startsWith(copy) && error.offset !== undefined,
        `${flipped}: file and offset are named`,
      );
      assert.deepEqual(
        await contents(copy),
        before,
        `${flipped}: what is damaged must be left for the operator`,
      );
      tally.flipsNoticed++;
    }
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

/** Of everything but the lock and what was never finished. */
async function contents(dir: string): Promise<ReadonlyMap<string, string>> {
  const names = (await readdir(dir)).filter((name) => /^(?:segment|snapshot)-/.test(name)).sort();
  return new Map(
    await Promise.all(
      names.map(async (name) => [name, (await readFile(join(dir, name))).toString('base64')] as const),
    ),
  );
}
