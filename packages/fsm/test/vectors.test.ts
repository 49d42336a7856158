/** Every recorded value is read and written again, byte for byte; the snapshot also as a whole. */
import assert from 'node:assert/strict';
import { decode, encode, encodeSorted, goTimeFromRfc3339 } from '@fed/msgpack';
import { describe, test } from 'vitest';
import { decodeCommand, encodeCommand } from '../src/command.ts';
import { binaryKeys, newFederationState } from '../src/index.ts';
import {
  decodeHeader,
  decodeRecord,
  encodeHeader,
  encodeRecord,
  restoreRecords,
  snapshotRecords,
  splitRecords,
} from '../src/snapshot.ts';
import { Store } from '../src/store.ts';
import { vector } from './vector.ts';

const raft = vector('raft-and-snapshot.json');
const value = vector('federation-state-value.json');

describe('raft log entries', () => {
  for (const { name, hex, decoded } of raft.raftLog) {
    test(`${name}: read and written again`, () => {
      const bytes = Buffer.from(hex, 'hex');
      const command = decodeCommand(bytes);
      assert.equal(hexOf(encodeCommand(command)), hex);
      assert.equal(command.type, 'federationState');
      assert.equal(command.op, decoded.Op);
      assert.equal(command.datacenter, decoded.Datacenter);
      assert.deepEqual(plain(command.state), expected(decoded.State));
    });
  }
});

describe('federation state value', () => {
  test('read as a row and written again', () => {
    const row = newFederationState(decode(Buffer.from(value.hex, 'hex'), { binaryKeys }));
    assert.equal(hexOf(encode(row)), value.hex);
    assert.deepEqual(plain(row), expected(value.decoded));
  });

  test('a row made by hand carries every key the original emits, in its order', () => {
    const made = newFederationState({
      Datacenter: 'dc3',
      MeshGateways: [{ Checks: [{}], Node: {}, Service: { Weights: {} } }] as never,
    });
    const keysOf = (v: unknown): unknown =>
      Array.isArray(v)
        ? [keysOf(v[0])]
        : isMap(v)
          ? Object.entries(v).map(([key, item]) => [key, keysOf(item)])
          : '';
    const strip = (keys: string): string => keys.replace(/\[\["(wan|lan|consul)[^\]]*\]/g, '');
    // Compared on what both have: the recorded row also has user maps filled, ours has them nil.
    const recorded = decode(Buffer.from(value.hex, 'hex'), { binaryKeys }) as ReturnType<
      typeof newFederationState
    >;
    const names = (v: object): readonly string[] => Object.keys(v);
    const [a, b] = [made.MeshGateways?.[0], recorded.MeshGateways?.[0]];
    assert.ok(a && b);
    assert.deepEqual(names(made), names(recorded));
    assert.deepEqual(names(a), names(b));
    for (const part of ['Node', 'Service'] as const) assert.deepEqual(names(a[part]), names(b[part]));
    assert.deepEqual(keysOf(a.Service.Connect), keysOf(b.Service.Connect));
    assert.deepEqual(names(a.Service.Proxy), names(b.Service.Proxy));
    assert.deepEqual(keysOf(a.Service.Proxy.Expose), keysOf(b.Service.Proxy.Expose));
    assert.deepEqual(keysOf(a.Service.Proxy.MeshGateway), keysOf(b.Service.Proxy.MeshGateway));
    assert.deepEqual(keysOf(a.Service.Weights), keysOf(b.Service.Weights));
    assert.equal(strip(JSON.stringify(keysOf(a.Checks))), strip(JSON.stringify(keysOf(b.Checks))));
  });
});

describe('snapshot', () => {
  const records = splitRecords(Buffer.from(raft.snapshotHex, 'hex'));

  test('is cut where the original ended its records', () => {
    assert.deepEqual(
      records.map(hexOf),
      raft.snapshotRecords.map((record) => record.hex),
    );
  });

  test('record 0, header: read and written again', () => {
    const { hex } = raft.snapshotRecords[0] as { hex: string };
    const { lastIndex } = decodeHeader(Buffer.from(hex, 'hex'));
    assert.equal(lastIndex, 57);
    assert.equal(hexOf(encodeHeader(lastIndex)), hex);
  });

  for (const [i, { record, hex }] of raft.snapshotRecords.entries()) {
    if (i === 0) continue;
    test(`record ${i}, ${record}: read and written again`, () => {
      assert.equal(hexOf(encodeRecord(decodeRecord(Buffer.from(hex, 'hex')))), hex);
    });
  }

  test('restored and taken again it has the same records, in the same order', () => {
    const store = new Store();
    restoreRecords(store, records);
    const again = [...snapshotRecords(store)];
    // Go writes the same map in another order each time, so maps are put in order before comparing.
    const normal = (record: Uint8Array, i: number): string =>
      i === 0
        ? hexOf(record)
        : `${record[0]}:${hexOf(encodeSorted(decode(record.subarray(1), { binaryKeys })))}`;
    assert.deepEqual(again.map(normal), records.map(normal));
  });

  test('restored, it answers with the indexes the original wrote', () => {
    const store = new Store();
    restoreRecords(store, records);
    const reader = store;
    assert.equal(store.appliedIndex, 57);
    assert.equal(reader.federationStates().index, 57);
    assert.equal(reader.serviceKind('mesh-gateway').index, 51);
    assert.equal(reader.checkServiceNodes('mesh-gateway').index, 51);
    assert.deepEqual(
      reader.nodes().rows.map((row) => [row.Node, row.CreateIndex, row.ModifyIndex]),
      [
        ['gw-a', 50, 50],
        ['gw-b', 51, 51],
      ],
    );
    // The federation state was made from this very catalog by the original.
    assert.deepEqual(
      plain(reader.serviceKind('mesh-gateway').rows),
      plain(reader.federationState('DC2').row?.MeshGateways),
    );
  });
});

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function isMap(v: unknown): v is object {
  return typeof v === 'object' && v !== null && !(v instanceof Uint8Array);
}

/** Rows as ordinary objects, so that deepEqual looks at content alone. */
function plain(v: unknown): unknown {
  if (Array.isArray(v)) return v.map(plain);
  if (!isMap(v)) return v instanceof Uint8Array ? hexOf(v) : v;
  return Object.fromEntries(Object.entries(v).map(([key, item]) => [key, plain(item)]));
}

/** The recording's notation, in the same form. */
function expected(v: unknown): unknown {
  if (Array.isArray(v)) return v.map(expected);
  if (!isMap(v)) return v;
  const marks = v as { $durationNs?: number; $time?: string; bytes?: string };
  if (marks.$durationNs !== undefined) return marks.$durationNs;
  if (marks.$time !== undefined) {
    assert.equal(hexOf(goTimeFromRfc3339(marks.$time)), marks.bytes);
    return marks.bytes;
  }
  return Object.fromEntries(Object.entries(v).map(([key, item]) => [key, expected(item)]));
}
