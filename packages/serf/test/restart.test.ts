/**
 * Coming back after a restart, and who keeps a name that two claim.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Keyring } from '@fed/memberlist';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readSnapshot } from '../src/core/snapshot.ts';
import { readKeyringFile } from '../src/index.ts';
import { SnapshotFile } from '../src/snapshot-file.ts';
import { Pool, target, text } from './pool.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'serf-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const keep = { rejoinAfterLeave: false, log: (e: unknown) => expect(e).toBeUndefined() };
const vsn = { pMin: 1, pMax: 5, pCur: 2, dMin: 2, dMax: 5, dCur: 4 };
const joined = (name: string) =>
  ({
    kind: 'member-join',
    members: [
      { name, host: '10.0.0.1', port: 7946, addr: new Uint8Array(4), tags: {}, status: 'alive', vsn },
    ],
  }) as const;

test('a member that comes back finds its pool by its snapshot, and hears no old event again', async () => {
  await using pool = new Pool();
  const config = { snapshotPath: join(dir, 'back', 'serf.snapshot') };
  const a = await pool.open('a');
  const b = await pool.open('b', { config });
  await b.serf.join([target(a)]);
  await a.member('member-join', 'b');
  a.serf.userEvent('old', text('x'));
  await b.until((heard) => heard.some((e) => e.kind === 'user'));
  const clock = BigInt(b.serf.stats()['member_time']!);
  await b.serf[Symbol.asyncDispose]();
  await a.member('member-failed', 'b');

  const again = await pool.open('b', { config, port: b.serf.local().port });
  await again.member('member-join', 'a');
  expect(BigInt(again.serf.stats()['member_time']!)).toBeGreaterThanOrEqual(clock);
  a.serf.userEvent('new', text('x'));
  await again.until((heard) => heard.some((e) => e.kind === 'user'));
  expect(again.heard.flatMap((e) => (e.kind === 'user' ? [e.name] : []))).toEqual(['new']);
});

test('one who left remembers nobody', async () => {
  await using pool = new Pool();
  const snapshotPath = join(dir, 'left.snapshot');
  const a = await pool.open('a');
  const b = await pool.open('b', { config: { snapshotPath } });
  await b.serf.join([target(a)]);
  await a.member('member-join', 'b');
  await Promise.all([b.serf.leave(), b.serf.leave()]);
  await b.serf[Symbol.asyncDispose]();
  const log = await readFile(snapshotPath, 'utf8');
  expect(log).toMatch(/leave\n$/);
  expect(readSnapshot(log, { rejoinAfterLeave: false }).alive.size).toBe(0);
  expect(readSnapshot(log, { rejoinAfterLeave: true }).alive.has('a')).toBe(true);
});

test('a snapshot is appended to while it is short and rewritten when it is long', async () => {
  const path = join(dir, 'long.snapshot');
  await writeFile(path, `${'# filler\n'.repeat(20_000)}alive: a 10.0.0.1:7946\nclock: 9\ncut of`);
  {
    await using file = await SnapshotFile.open(path, keep);
    expect(file.found).toMatchObject({ clock: 9n, alive: new Map([['a', '10.0.0.1:7946']]) });
    file.record(joined('b'), 12n, 0);
    expect(file.deadline()).toBe(500);
    file.expire(499);
    expect(file.deadline()).toBe(500);
  }
  expect(await readFile(path, 'utf8')).toBe(
    'alive: a 10.0.0.1:7946\nalive: b 10.0.0.1:7946\nclock: 11\nevent-clock: 0\nquery-clock: 0\n',
  );
  {
    await using file = await SnapshotFile.open(path, keep);
    file.record({ ...joined('b'), kind: 'member-failed' }, 13n, 0);
  }
  expect(await readFile(path, 'utf8')).toMatch(/query-clock: 0\nnot-alive: b\nclock: 12\n$/);
});

test('lines that a slow disk cannot take are not piled up: the log is rewritten instead', async () => {
  const path = join(dir, 'slow.snapshot');
  {
    await using file = await SnapshotFile.open(path, keep);
    for (let i = 0; i < 60_000; i++) file.record(joined(`n${i % 10}`), BigInt(i), 0);
  }
  const log = await readFile(path, 'utf8');
  expect(log.length).toBeLessThan(1_000);
  expect(readSnapshot(log, keep)).toMatchObject({ clock: 59_998n });
});

test('changed keys are on the disk before the answer is sent, primary first', async () => {
  await using pool = new Pool();
  const keyringPath = join(dir, 'keyring');
  const key = (fill: number): Uint8Array => new Uint8Array(16).fill(fill);
  const a = await pool.open('a', { keyring: new Keyring([key(1)], key(1)), config: { keyringPath } });
  expect(await a.serf.keys.install(key(2))).toMatchObject({ failure: undefined });
  expect(await readKeyringFile(keyringPath)).toEqual([key(1), key(2)]);
  expect(await a.serf.keys.use(key(2))).toMatchObject({ failure: undefined });
  expect(JSON.parse(await readFile(keyringPath, 'utf8'))).toEqual(
    [key(2), key(1)].map((k) => Buffer.from(k).toString('base64')),
  );

  const broken = await pool.open('b', {
    keyring: new Keyring([key(1)], key(1)),
    config: { keyringPath: join(dir, 'no', 'such', 'directory') },
  });
  const outcome = await broken.serf.keys.install(key(2));
  expect(outcome.failure).toBe('1/1 nodes reported failure');
  expect(outcome.messages.get('b')).toMatch(/keyring file was not written/);
  await writeFile(join(dir, 'bad'), '{"not": "a ring"}');
  await expect(readKeyringFile(join(dir, 'bad'))).rejects.toMatchObject({ code: 'bad_config' });
});

test('of two that claim a name the one fewer know shuts itself down', async () => {
  await using pool = new Pool();
  const a = await pool.open('a');
  const first = await pool.open('twin');
  await first.serf.join([target(a)]);
  await a.member('member-join', 'twin');
  const second = await pool.open('twin', { config: { queryTimeoutMult: 50 } });
  await second.serf.join([`a/127.0.0.1:${a.serf.local().port}`]);
  expect(await second.serf.closed).toBe('name_conflict');
  expect(a.serf.member('twin')).toMatchObject({ status: 'alive', port: first.serf.local().port });
  const { responses } = await first.serf.query('still here', text(''), { timeoutMs: 50 }).done;
  expect(responses).toEqual([]);
});

test('what makes no sense is refused before anything is opened', async () => {
  await using pool = new Pool();
  await expect(pool.open('a', { config: { protocolVersion: 6 } })).rejects.toMatchObject({
    code: 'bad_config',
  });
  await expect(pool.open('a', { config: { reapIntervalMs: -1 } })).rejects.toMatchObject({
    code: 'bad_config',
  });
  await expect(pool.open('a b', { config: { validateNodeNames: true } })).rejects.toMatchObject({
    code: 'bad_name',
  });
  await expect(pool.open('a', { tags: { x: 'y'.repeat(600) } })).rejects.toMatchObject({
    code: 'tags_too_large',
  });
});
