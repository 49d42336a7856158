/** The lock, on a real file system with real processes. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, test } from 'vitest';
import { LogError } from './errors.ts';
import { lockDirectory } from './lock.ts';

const dirs: string[] = [];
const children: ChildProcess[] = [];

async function temporary(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'fed-lock-'));
  dirs.push(dir);
  return dir;
}

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const dir of dirs.splice(0)) await rm(dir, { recursive: true, force: true });
});

/** A process that takes the lock, says so, and waits to be killed. */
async function holder(dir: string): Promise<ChildProcess> {
  const child = spawn(
    process.execPath,
    [
      '--conditions=@fed/source',
      '--input-type=module',
      '--eval',
      `import { lockDirectory } from ${JSON.stringify(new URL('./lock.ts', import.meta.url).href)};
       await lockDirectory(${JSON.stringify(dir)});
       setInterval(() => {}, 60_000);
       process.stdout.write('locked');`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  children.push(child);
  assert.ok(child.stdout);
  await once(child.stdout, 'data');
  return child;
}

const held = (dir: string, pid: number | undefined) => (error: unknown) => {
  assert.ok(error instanceof LogError);
  assert.equal(error.code, 'log_locked');
  assert.ok(error.message.includes(dir) && error.message.includes(`process ${pid}`), error.message);
  return true;
};

describe('lock', () => {
  test('a second taker is told the directory and the process that has it; released, it is free', async () => {
    const dir = await temporary();
    const lock = await lockDirectory(dir);
    await assert.rejects(lockDirectory(dir), held(dir, process.pid));
    await lock[Symbol.asyncDispose]();
    assert.deepEqual(await readdir(dir), []);
    await (await lockDirectory(dir))[Symbol.asyncDispose]();
  });

  test('another process holds it until it dies, however it dies', async () => {
    const dir = await temporary();
    const child = await holder(dir);
    await assert.rejects(lockDirectory(dir), held(dir, child.pid));
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.equal((await readdir(dir)).length, 1, 'the dead one left its socket');
    await using _lock = await lockDirectory(dir);
    assert.equal((await readdir(dir)).length, 1, 'only ours is left');
  });

  test('a stopped process is not a dead one', async () => {
    const dir = await temporary();
    const child = await holder(dir);
    child.kill('SIGSTOP');
    await assert.rejects(lockDirectory(dir), held(dir, child.pid));
  });

  test('of many who start at once at most one gets it, and none of the rest leaves a trace', async () => {
    for (let round = 0; round < 10; round++) {
      const dir = await temporary();
      const results = await Promise.allSettled(Array.from({ length: 6 }, () => lockDirectory(dir)));
      const winners = results.filter((result) => result.status === 'fulfilled');
      assert.ok(winners.length <= 1, `${winners.length} winners`);
      for (const result of results)
        if (result.status === 'rejected') assert.equal(result.reason.code, 'log_locked');
      assert.equal((await readdir(dir)).length, winners.length);
      for (const winner of winners) await winner.value[Symbol.asyncDispose]();
    }
  });

  test('other files in the directory are no locks', async () => {
    const dir = await temporary();
    await mkdir(join(dir, 'lock-1-zz.sock'));
    await using _lock = await lockDirectory(dir);
    assert.equal((await readdir(dir)).length, 2);
  });

  test.runIf(process.platform === 'linux')(
    'a directory with a name too long for a socket address can be locked',
    async () => {
      const dir = join(await temporary(), 'd'.repeat(150));
      await mkdir(dir);
      await using _lock = await lockDirectory(dir);
      await assert.rejects(lockDirectory(dir), held(dir, process.pid));
    },
  );
});
