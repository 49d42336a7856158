/** kill -9 at random moments of a real process on a real disk: every acknowledged write is there, and indexes never go back. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { test } from 'vitest';
import { openFsm } from '../src/fsm.ts';
import { embeddedLog } from '../src/log/open.ts';
import { seededRng, seedOfRun } from './chance.ts';

const rounds = 6;

test(`${rounds} rounds of kill -9`, { timeout: 60_000 }, async () => {
  const seed = seedOfRun();
  const rng = seededRng(seed);
  const dir = await mkdtemp(join(tmpdir(), 'fed-kill-'));
  const story = `FSM_SEED=${seed}`;
  /** Datacenter to the last index acknowledged for it. */
  const acknowledged = new Map<string, number>();
  let highest = 0;
  try {
    for (let round = 0; round < rounds; round++) {
      for (const [datacenter, index] of await killedAfter(dir, 1 + rng.below(200), 1 + rng.below(8))) {
        assert.ok(index > highest, `${story} round ${round}: index ${index} was given out again`);
        acknowledged.set(datacenter, index);
      }
      highest = Math.max(highest, ...acknowledged.values());
      const fsm = await openFsm({ engine: embeddedLog({ dir }) });
      const { appliedIndex } = fsm.stats();
      assert.ok(appliedIndex >= highest, `${story} round ${round}: ${appliedIndex} < ${highest}`);
      highest = appliedIndex;
      for (const [datacenter, index] of acknowledged) {
        const found = fsm.store.federationState(datacenter).row?.ModifyIndex ?? 0;
        // A later write to the same row may have become durable without its answer getting out.
        assert.ok(
          found >= index,
          `${story} round ${round}: ${datacenter} is at ${found}, ${index} was acknowledged`,
        );
      }
      await fsm[Symbol.asyncDispose]();
    }
    console.log(`${story}: ${highest} writes, ${acknowledged.size} rows, ${rounds} kills`);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

/** Starts a writer, kills it after so many lines, and returns every line that got out, in order. */
async function killedAfter(
  dir: string,
  lines: number,
  writers: number,
): Promise<readonly (readonly [string, number])[]> {
  const child = spawn(
    process.execPath,
    [
      '--conditions=@fed/source',
      fileURLToPath(new URL('./killed-writer.ts', import.meta.url)),
      dir,
      String(writers),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const out: [string, number][] = [];
  const exit = once(child, 'exit');
  for await (const line of createInterface({ input: child.stdout })) {
    const [index, datacenter] = line.split(' ');
    if (index === 'open') continue;
    // The last line may have been cut by the kill.
    if (datacenter !== undefined && /^dc-\d+-\d+-\d+$/.test(datacenter))
      out.push([datacenter, Number(index)]);
    if (out.length === lines) child.kill('SIGKILL');
  }
  const [code, signal] = await exit;
  assert.deepEqual([code, signal], [null, 'SIGKILL']);
  return out;
}
