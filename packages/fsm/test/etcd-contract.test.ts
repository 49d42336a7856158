/**
 * What the log relies on, asked of the etcd in memory; and of a real one, empty, when FSM_ETCD names its endpoint, as
 * `npm run interop -- etcd` does. What holds here for one only would make every test on virtual time worthless.
 */
import assert from 'node:assert/strict';
import { afterAll, describe, test } from 'vitest';
import { openEtcd } from '../src/etcd/client.ts';
import { EtcdCallError } from '../src/etcd/errors.ts';
import type { Etcd, WatchChange, WatchRange } from '../src/etcd/ports.ts';
import { steadyClock } from '../src/system.ts';
import { seededRng } from './chance.ts';
import { MemoryEtcd } from './memory-etcd.ts';

const o = { timeoutMs: 10_000 };
const bytes = (text: string): Uint8Array => Buffer.from(text);
const endpoint = process.env['FSM_ETCD'];

const kinds: Record<string, () => Promise<Etcd>> = {
  'in memory': async () => new MemoryEtcd(steadyClock, seededRng(1)).connect(),
  ...(endpoint === undefined ? {} : { real: () => openEtcd({ endpoints: [endpoint] }, steadyClock) }),
};

for (const [name, open] of Object.entries(kinds))
  describe(`etcd ${name}`, async () => {
    const etcd = await open();
    afterAll(() => etcd[Symbol.asyncDispose]());
    const put = async (key: string, value: string): Promise<number> =>
      (await etcd.txn({ success: [{ put: key, value: bytes(value) }] }, o)).revision;

    test('a transaction runs one branch, and a range in it sees the puts before it', async () => {
      const request = {
        compare: [{ key: 'a/x', revision: 0 }],
        success: [{ put: 'a/x', value: bytes('1') }, { range: { key: 'a/x' } }],
        failure: [{ range: { key: 'a/x' } }],
      };
      const first = await etcd.txn(request, o);
      const second = await etcd.txn(request, o);
      assert.deepEqual([first.succeeded, second.succeeded], [true, false]);
      assert.equal(second.revision, first.revision);
      for (const kv of [first.found[1]![0]!, second.found[0]![0]!]) {
        assert.deepEqual([kv.key, Buffer.from(kv.value).toString()], ['a/x', '1']);
        assert.deepEqual([kv.modRevision, kv.lease], [first.revision, 0]);
      }
      const behind = { compare: [{ key: 'a/x', revision: first.revision }], success: [{ delete: 'a/x' }] };
      const deleted = await etcd.txn(behind, o);
      assert.deepEqual([deleted.succeeded, deleted.revision], [true, first.revision + 1]);
      assert.equal((await etcd.txn(behind, o)).succeeded, false);
    });

    test('deleting nothing makes no revision; all writes of a transaction share one', async () => {
      const before = await put('b/x', '1');
      const nothing = await etcd.txn({ success: [{ delete: 'b/y', end: 'b/z' }] }, o);
      assert.equal(nothing.revision, before);
      const two = await etcd.txn(
        { success: [{ put: 'b/1', value: bytes('') }, { put: 'b/2', value: bytes('') }, { delete: 'b/x' }] },
        o,
      );
      assert.equal(two.revision, before + 1);
    });

    test('a range is of one revision, sorted, in pages', async () => {
      for (const key of ['c/2', 'c/1', 'c/3']) await put(key, key);
      const revision = await put('c/4', 'c/4');
      await etcd.txn({ success: [{ delete: 'c/', end: 'c0' }] }, o);
      const page = await etcd.range({ key: 'c/', end: 'c0', limit: 3, revision }, o);
      assert.deepEqual([page.kvs.map(({ key }) => key), page.more], [['c/1', 'c/2', 'c/3'], true]);
      const rest = await etcd.range({ key: 'c/3\0', end: 'c0', limit: 3, revision }, o);
      assert.deepEqual([rest.kvs.map(({ key }) => key), rest.more], [['c/4'], false]);
    });

    test('a watch tells the past since a revision and then the present, of its ranges, deletions if asked for', async () => {
      const from = await put('d/log/1', 'one');
      const watched = watch(etcd, from, [
        { key: 'd/log/', end: 'd/log0', puts: 'only' },
        { key: 'd/leader' },
      ]);
      await watched.count(1);
      await put('d/other', 'x');
      const led = await put('d/leader', 'me');
      await etcd.txn({ success: [{ delete: 'd/log/1' }, { put: 'd/log/2', value: bytes('two') }] }, o);
      await etcd.txn({ success: [{ delete: 'd/leader' }] }, o);
      const seen = await watched.count(4);
      const of = (prefix: string): readonly unknown[] =>
        seen
          .filter(({ key }) => key.startsWith(prefix))
          .map(({ revision, value }) => [revision, value && Buffer.from(value).toString()]);
      assert.deepEqual(of('d/log/'), [
        [from, 'one'],
        [led + 1, 'two'],
      ]);
      assert.deepEqual(of('d/leader'), [
        [led, 'me'],
        [led + 2, undefined],
      ]);
      watched[Symbol.dispose]();
    });

    test('a lease: unknown, its keys cannot be put; revoked, they are gone and the watch tells', async () => {
      assert.equal(
        await code(etcd.txn({ success: [{ put: 'e/x', value: bytes(''), lease: 4711 }] }, o)),
        'gone',
      );
      assert.equal(await code(etcd.keepAlive(4711, o)), 'gone');
      assert.equal(await code(etcd.revoke(4711, o)), 'gone');
      const lease = 1_000_000_000_000_007;
      const { ttlMs } = await etcd.grant(lease, 60_000, o);
      assert.equal(ttlMs, 60_000);
      assert.deepEqual(await etcd.keepAlive(lease, o), { ttlMs });
      const { leftMs, ttlMs: whole } = await etcd.timeToLive(lease, o);
      assert.equal(whole, ttlMs);
      assert.ok(leftMs % 1000 === 0 && leftMs < ttlMs && leftMs > 30_000, `${leftMs}`);
      const { revision } = await etcd.txn({ success: [{ put: 'e/x', value: bytes('mine'), lease }] }, o);
      const watched = watch(etcd, revision, [{ key: 'e/x' }]);
      await etcd.revoke(lease, o);
      const [mine, gone] = await watched.count(2);
      assert.deepEqual([mine?.lease, gone?.value, gone?.revision], [lease, undefined, revision + 1]);
      assert.ok((await etcd.timeToLive(lease, o)).leftMs <= 0);
      watched[Symbol.dispose]();
    });

    test('put by another, a key leaves its lease', async () => {
      await etcd.grant(1001, 60_000, o);
      await etcd.grant(1002, 60_000, o);
      await etcd.txn({ success: [{ put: 'f/x', value: bytes('one'), lease: 1001 }] }, o);
      const { revision } = await etcd.txn({ success: [{ put: 'f/x', value: bytes('two'), lease: 1002 }] }, o);
      await etcd.revoke(1001, o);
      const { found } = await etcd.txn({ success: [{ range: { key: 'f/x' } }] }, o);
      assert.equal(found[0]?.[0]?.modRevision, revision);
      await etcd.revoke(1002, o);
    });

    test('dropped history is neither read nor watched, and cannot be dropped again', async () => {
      const old = await put('g/x', '1');
      await put('g/x', '2');
      const last = await put('g/x', '3');
      await etcd.compact(last, o);
      assert.equal(await code(etcd.range({ key: 'g/x', revision: old }, o)), 'compacted');
      assert.equal(await code(etcd.compact(old, o)), 'compacted');
      assert.equal((await etcd.range({ key: 'g/x', revision: last }, o)).kvs.length, 1);
      const watched = watch(etcd, old, [{ key: 'g/x' }]);
      assert.equal((await watched.lost).code, 'compacted');
    });
  });

async function code(call: Promise<unknown>): Promise<string> {
  const error = await call.catch((cause: unknown) => cause);
  assert.ok(error instanceof EtcdCallError && error.sure, String(error));
  return error.code;
}

function watch(etcd: Etcd, from: number, ranges: readonly WatchRange[]) {
  const seen: WatchChange[] = [];
  const lost = Promise.withResolvers<EtcdCallError>();
  let wake = (): void => {};
  const watching = etcd.watch(
    { ranges, from },
    {
      change: (change) => {
        seen.push(change);
        wake();
      },
      heard: () => {},
      lost: lost.resolve,
    },
  );
  return {
    lost: lost.promise,
    async count(n: number): Promise<readonly WatchChange[]> {
      while (seen.length < n)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      return seen;
    },
    [Symbol.dispose]: () => watching[Symbol.dispose](),
  };
}
