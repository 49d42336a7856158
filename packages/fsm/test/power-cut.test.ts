/**
 * The power goes at a random moment, and what was not synced is there or not, whole or in part. Whatever was acknowledged
 * is there, in order, once; what follows it is a prefix of what was asked for.
 */
import assert from 'node:assert/strict';
import { test } from 'vitest';
import type { LogEngine } from '../src/engine.ts';
import { LogError } from '../src/log/errors.ts';
import { createMemoryFs, type MemoryFs } from '../src/log/memory-fs.ts';
import { openEmbeddedLog } from '../src/log/open.ts';
import type { Rng } from '../src/ports.ts';
import { seededRng, seedOfRun } from './chance.ts';

/** FSM_ROUNDS runs more of them. */
const rounds = Number(process.env['FSM_ROUNDS'] ?? 400);

test(`${rounds} histories with power cuts, full disks and failing syncs: no acknowledged command is lost`, async () => {
  const seed = seedOfRun();
  for (let round = 0; round < rounds; round++) {
    try {
      await history(seededRng(seed + round));
    } catch (error) {
      throw new Error(`FSM_SEED=${seed} round ${round}: ${(error as Error).message}`, { cause: error });
    }
  }
});

interface Entry {
  readonly index: number;
  readonly text: string;
}

async function history(rng: Rng): Promise<void> {
  const fs = createMemoryFs();
  // What the world was told, over all lives of the log.
  const acknowledged: Entry[] = [];
  const refused = new Set<string>();
  let asked = 0;
  const lives = 1 + rng.below(5);
  for (let life = 0; life < lives; life++) {
    const { log, state } = await open(fs, rng);
    check(state(), acknowledged, refused);
    const cut = cutSomewhere(fs, rng);
    const pending: Promise<unknown>[] = [];
    for (let turn = rng.below(12); turn > 0 && !cut.happened(); turn--) {
      for (let burst = 1 + rng.below(4); burst > 0; burst--) {
        const text = `${asked++}:${'x'.repeat(rng.below(8) === 0 ? 1500 : rng.below(60))}`;
        pending.push(
          log.append(Buffer.from(text)).then(
            ({ index }) => {
              // An answer that crosses the power cut reaches nobody.
              if (!cut.happened()) acknowledged.push({ index, text });
            },
            (error) => {
              if (cut.happened()) return;
              assert.ok(error instanceof LogError, String(error));
              if (error.code !== 'log_outcome_unknown') refused.add(text);
            },
          ),
        );
      }
      if (rng.below(4) === 0) pending.push(log.compact().catch(() => {}));
      if (rng.below(3) !== 0) await Promise.all(pending);
    }
    await Promise.all(pending);
    fs.fault = () => undefined;
    const ending = rng.below(3);
    if (ending === 0) fs.crash(rng);
    if (ending === 1) fs.kill();
    await Promise.resolve(log[Symbol.asyncDispose]()).catch(() => {});
  }
  const { log, state } = await open(fs, rng);
  check(state(), acknowledged, refused);
  await log[Symbol.asyncDispose]();
}

/** Lets some operations fail, and at some operation cuts the power: from then on everything fails. */
function cutSomewhere(fs: MemoryFs, rng: Rng): { happened: () => boolean } {
  let left = 3 + rng.below(60);
  let dead = false;
  const flaky = rng.below(3) === 0;
  fs.fault = (operation) => {
    if (dead) return 'EIO';
    if (--left === 0) {
      dead = true;
      return 'EIO';
    }
    if (flaky && rng.below(10) === 0 && operation !== 'read' && operation !== 'list')
      return ['ENOSPC', 'EIO', 'EROFS'][rng.below(3)];
    return undefined;
  };
  return { happened: () => dead };
}

async function open(fs: MemoryFs, rng: Rng): Promise<{ log: LogEngine; state: () => readonly Entry[] }> {
  let entries: Entry[] = [];
  const log = await openEmbeddedLog({
    dir: '/data',
    fs,
    segmentBytesMax: 300 + rng.below(3000),
    compactAfterBytes: 500 + rng.below(5000),
    apply: (index, command) => entries.push({ index, text: Buffer.from(command).toString() }),
    snapshot: () => entries.map((entry) => Buffer.from(JSON.stringify(entry))),
    restore: (records) => {
      entries = [...records].map((record) => JSON.parse(Buffer.from(record).toString()));
    },
  });
  return { log, state: () => entries };
}

function check(found: readonly Entry[], acknowledged: readonly Entry[], refused: ReadonlySet<string>): void {
  for (const [i, { index }] of found.entries())
    assert.equal(index, i + 1, 'indexes have no gap and never go back');
  for (const { index, text } of acknowledged)
    assert.equal(found[index - 1]?.text, text, `index ${index} was acknowledged`);
  for (const { text } of found)
    assert.ok(!refused.has(text), `${text.slice(0, 20)} was refused and is there`);
  const order = found.map(({ text }) => Number(text.split(':')[0]));
  for (let i = 1; i < order.length; i++)
    assert.ok((order[i] as number) > (order[i - 1] as number), 'the order is that of asking');
}
