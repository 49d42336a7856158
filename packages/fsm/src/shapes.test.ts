/** What is made of strangers' rows. */
import assert from 'node:assert/strict';
import { decode, encode } from '@fed/msgpack';
import { describe, test } from 'vitest';
import { decodeCommand } from './command.ts';
import { RowError } from './errors.ts';
import { newCheck, newFederationState, newNode, newService, sameButIndexes, withIndexes } from './new-row.ts';
import { binaryKeys } from './row-shapes.ts';
import { same } from './shapes.ts';

describe('rows', () => {
  test('a row that lacks nothing is the same object, frozen', () => {
    const decoded = decode(encode(newNode({ Node: 'n', Meta: { b: '1', a: '2' } })));
    const row = newNode(decoded);
    assert.equal(row, decoded);
    assert.ok(Object.isFrozen(row) && Object.isFrozen(row.Meta));
  });

  test('missing keys become Go’s zero values, in key order; a nil inside becomes zero, a nil list stays nil', () => {
    const row = newService({ Service: 'web', Connect: null as never, Tags: null, Port: null as never });
    assert.deepEqual(Object.keys(row), [...Object.keys(row)].sort());
    assert.deepEqual(
      [row.Port, row.Connect.Native, row.Tags, row.Proxy.MeshGateway.Mode],
      [0, false, null, ''],
    );
  });

  test('keys we have never heard of stay, in order, at any depth', () => {
    const row = newService({ Zone: 'z', AA: 1, Proxy: { Mode: 'direct' }, ID: 'x' } as never) as unknown as {
      Zone: string;
      AA: number;
      Proxy: { Mode: string };
    };
    assert.deepEqual([row.Zone, row.AA, row.Proxy.Mode], ['z', 1, 'direct']);
    assert.deepEqual(Object.keys(row).slice(0, 2), ['AA', 'Address']);
  });

  test('a key that elsewhere means a time may be a user’s own, and stays text', () => {
    const bytes = encode(newNode({ Node: 'n', Meta: { UpdatedAt: 'yesterday' } }));
    const row = newNode(decode(bytes, { binaryKeys }));
    assert.deepEqual({ ...row.Meta }, { UpdatedAt: 'yesterday' });
    assert.deepEqual(encode(row), bytes);
  });

  test('output that is no UTF-8 is kept as bytes, and written as it came', () => {
    const Output = Uint8Array.of(0xff, 0x00, 0x80);
    const row = newCheck(decode(encode(newCheck({ Output }))));
    assert.deepEqual(row.Output, Output);
  });

  test('a key __proto__ is only a key', () => {
    const bytes = Buffer.from('81a44d65746181a95f5f70726f746f5f5fa178', 'hex');
    const row = newNode(decode(bytes));
    assert.deepEqual(Object.keys(row.Meta ?? {}), ['__proto__']);
    assert.ok(Buffer.from(encode(row)).includes(Buffer.from('a95f5f70726f746f5f5fa178', 'hex')));
  });

  test('a row does not keep the message alive that it came in', () => {
    const big = Buffer.concat([
      Buffer.from('1e81a5537461746581a9557064617465644174af01', 'hex'),
      Buffer.alloc(100_000),
    ]);
    const command = decodeCommand(big);
    assert.ok(command.type === 'federationState');
    assert.equal(command.state?.UpdatedAt.buffer.byteLength, 15);
  });

  for (const [what, make, path] of [
    ['text', () => newNode({ Node: 5 as never }), 'Node'],
    ['an integer', () => newService({ Port: 1.5 }), 'Port'],
    ['a boolean', () => newService({ EnableTagOverride: 'yes' as never }), 'EnableTagOverride'],
    ['a list', () => newService({ Tags: {} as never }), 'Tags'],
    ['a map', () => newNode({ Meta: [] as never }), 'Meta'],
    ['text inside a map', () => newNode({ Meta: { k: 1 as never } }), 'Meta.k'],
    ['text inside a list', () => newService({ Tags: ['a', 2 as never] }), 'Tags[1]'],
    [
      'a row inside a list',
      () => newFederationState({ MeshGateways: [{ Node: 'n' } as never] }),
      'MeshGateways[0].Node',
    ],
    ['a time', () => newFederationState({ UpdatedAt: new Uint8Array(3) }), 'UpdatedAt'],
  ] as const)
    test(`what is not ${what} is refused with the path to it`, () => {
      assert.throws(make, (error) => error instanceof RowError && error.path === path);
    });
});

describe('sameness', () => {
  test('nil is not empty, order of keys is nothing, order of lists is something', () => {
    assert.ok(same({ a: 1, b: [1, 2] }, { b: [1, 2], a: 1 }));
    assert.ok(!same([1, 2], [2, 1]));
    assert.ok(!same({ a: null }, { a: [] }));
    assert.ok(!same({ a: null }, {}));
    assert.ok(!same({ a: {} }, { a: [] }));
    assert.ok(!same({ a: undefined }, { b: undefined }));
    assert.ok(!same(Uint8Array.of(1), Uint8Array.of(2)));
    assert.ok(same(Uint8Array.of(1), Buffer.of(1)));
    assert.ok(!same(Uint8Array.of(1), [1]));
  });

  test('indexes do not count, everything else does', () => {
    const a = newNode({ Node: 'n' });
    assert.ok(sameButIndexes(a, withIndexes(a, 4, 5)));
    assert.ok(!sameButIndexes(a, newNode({ Node: 'n', Address: 'x' })));
  });
});
