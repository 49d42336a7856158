/** The door: engine underneath, store to read, one error channel. */
import assert from 'node:assert/strict';
import { SteppedClock, settled } from '@fed/tooling/virtual-clock';
import { describe, test } from 'vitest';
import { newDeregisterRequest, newRegisterRequest } from './command.ts';
import { FsmError, SnapshotError } from './errors.ts';
import { openFsm } from './fsm.ts';
import { createMemoryFs, type MemoryFs } from './log/memory-fs.ts';
import { embeddedLog } from './log/open.ts';
import { newFederationState } from './new-row.ts';
import type { FederationState } from './rows.ts';

const clock = new SteppedClock();
const rng = { below: () => 0 };
const open = (fs: MemoryFs = createMemoryFs()) =>
  openFsm({ engine: embeddedLog({ dir: '/data', fs }), clock, rng });
const upsert = (Datacenter: string, more: Partial<FederationState> = {}) =>
  ({ type: 'federationState', op: 'upsert', state: newFederationState({ Datacenter, ...more }) }) as const;

describe('apply', () => {
  test('resolves with index and result once the command can be read', async () => {
    await using fsm = await open();
    assert.deepEqual(await fsm.apply(upsert('dc1')), { index: 1, result: true });
    assert.equal(fsm.store.federationState('dc1').row?.ModifyIndex, 1);
    assert.deepEqual(await fsm.apply({ type: 'register', request: newRegisterRequest({ Node: 'n' }) }), {
      index: 2,
      result: null,
    });
    assert.deepEqual(await fsm.apply({ type: 'deregister', request: newDeregisterRequest({ Node: 'n' }) }), {
      index: 3,
      result: null,
    });
    assert.deepEqual(fsm.stats(), { appliedIndex: 3, parked: 0 });
  });

  test('a refused command rejects with what the state machine said, and keeps its place in the log', async () => {
    await using fsm = await open();
    await assert.rejects(
      fsm.apply(upsert('')),
      (error) => error instanceof FsmError && error.code === 'invalid',
    );
    assert.equal((await fsm.apply(upsert('dc1'))).index, 2);
  });

  test('a failing disk rejects with the engine’s error', async () => {
    const fs = createMemoryFs();
    await using fsm = await open(fs);
    fs.fault = (op) => (op === 'write' ? 'ENOSPC' : undefined);
    await assert.rejects(fsm.apply(upsert('dc1')), { code: 'log_disk_full' });
    fs.fault = () => undefined;
    await fsm.apply(upsert('dc1'));
  });
});

test('a restart finds the same state, from the log, from a snapshot, and from both', async () => {
  const fs = createMemoryFs();
  const names = async (): Promise<readonly string[]> => {
    await using fsm = await open(fs);
    return fsm.store.federationStates().rows.map((row) => `${row.Datacenter}@${row.ModifyIndex}`);
  };
  {
    await using fsm = await open(fs);
    await fsm.apply(upsert('dc1'));
  }
  assert.deepEqual(await names(), ['dc1@1']);
  {
    await using fsm = await open(fs);
    await fsm.engine.compact();
  }
  assert.deepEqual(await names(), ['dc1@1']);
  {
    await using fsm = await open(fs);
    await fsm.apply(upsert('dc2'));
  }
  assert.deepEqual(await names(), ['dc1@1', 'dc2@2']);
});

describe('snapshot and restore', () => {
  test('a snapshot restored elsewhere brings the state, at an index above both, and wakes all who wait', async () => {
    await using source = await open();
    for (let i = 0; i < 5; i++) await source.apply(upsert(`dc${i}`));
    await using target = await open();
    await target.apply(upsert('old'));
    const heard: (readonly string[])[] = [];
    using _watch = target.watch(
      (s) => s.federationStates().rows.map((row) => row.Datacenter),
      (names) => heard.push(names),
    );
    const parked = target.query({ minIndex: 100, waitMs: 0 }, (s) => {
      const { index, rows } = s.federationStates();
      return { index, value: rows.length };
    });
    const reader = target.store;
    assert.deepEqual(await target.restore(source.snapshot()), { index: 6 });
    assert.deepEqual(await parked, { index: 5, value: 5 });
    await settled();
    assert.deepEqual(heard, [['old'], ['dc0', 'dc1', 'dc2', 'dc3', 'dc4']]);
    // A reader taken before the restore reads what is there now.
    assert.equal(reader.federationState('old').row, undefined);
    assert.equal((await target.apply(upsert('new'))).index, 7);
  });

  test('a broken snapshot is refused before anything is touched', async () => {
    await using fsm = await open();
    await fsm.apply(upsert('dc1'));
    const snapshot = fsm.snapshot();
    for (let end = 0; end < snapshot.length; end++) {
      const cut = snapshot.subarray(0, end);
      // A cut between two records cannot be seen: the format has no end mark. The archive around it has a checksum.
      await fsm.restore(cut).then(
        () => {},
        (error) => assert.ok(error instanceof SnapshotError, String(error)),
      );
    }
    await assert.rejects(fsm.restore(Buffer.of(0x81, 0xa1, 0x78, 0x01)), { code: 'malformed_header' });
    await assert.rejects(fsm.restore(Buffer.concat([snapshot, Buffer.of(1, 0x80)])), {
      code: 'malformed_record',
    });
    const orphan = Buffer.from('0081a5436865636b82a44e6f6465a16ea7436865636b4944a163', 'hex');
    await assert.rejects(fsm.restore(Buffer.concat([snapshot, orphan])), { code: 'refused_record' });
    await assert.rejects(fsm.restore(Buffer.of(0xc0)), { code: 'malformed_header' });
  });

  test('records of types we give no meaning to come out where the original puts them', async () => {
    await using fsm = await open();
    await fsm.apply(upsert('dc1'));
    const kv = Buffer.of(2, 0x80);
    const metadata = Buffer.of(31, 0x80);
    const chunking = Buffer.of(29, 0x80);
    await fsm.restore(Buffer.concat([fsm.snapshot(), chunking, metadata, kv]));
    const again = Buffer.from(fsm.snapshot());
    const at = (record: Buffer): number => again.indexOf(record);
    const state = again.indexOf(Buffer.from('1e84', 'hex'));
    const index = again.indexOf(Buffer.from('1082', 'hex'));
    assert.ok(at(kv) < state && state < at(metadata) && at(metadata) < index && index < at(chunking));
  });
});
