import { decode, encode, type Value, Writer } from '@fed/msgpack';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { withResult } from './row-bytes.ts';

const written = (result: Value): string =>
  Buffer.concat(withResult(new Writer().u8(0xc3), result)).toString('hex');
const plain = (result: Value): string => `c3${Buffer.from(encode(result)).toString('hex')}`;

test('rows written again and again are the bytes they were, between whatever else there is', () => {
  const rows = Array.from({ length: 20 }, (_, n) =>
    Object.freeze({ Node: `n${n}`, Tags: Object.freeze(['a', n]) }),
  );
  const replies: Value[] = [
    { Index: 7, Nodes: rows },
    { Nodes: rows.slice(3, 9), More: [1, null, 'x', rows[0] as Value, ['y']], Index: 8 },
    { Nodes: [...rows, { Node: 'not frozen' }] },
    { Nodes: [] },
  ];
  for (let turn = 0; turn < 4; turn += 1)
    for (const reply of replies) expect(written(reply)).toBe(plain(reply));
});

test('a large reply is the same whether its body was sent before or not', () => {
  const rows = Array.from({ length: 40 }, (_, n) =>
    Object.freeze({ Node: `n${n}`, Text: 'x'.repeat(4_000) }),
  );
  const replies: Value[] = [
    { Index: 7, Nodes: rows },
    { Index: 8, Nodes: rows },
    { Index: 7, Nodes: rows.slice(0, 30) },
    { Index: 7, Nodes: rows, More: rows.slice(20) },
    { Index: 7, Nodes: [...rows.slice(0, 39), Object.freeze({ Node: 'other' })] },
  ];
  for (let turn = 0; turn < 4; turn += 1)
    for (const reply of replies) for (let n = 0; n < 2; n += 1) expect(written(reply)).toBe(plain(reply));
});

test('a row that can still change is written as it is now', () => {
  const row = { Node: 'a' };
  for (const name of ['a', 'b', 'c']) {
    row.Node = name;
    expect(written({ Nodes: [row] })).toBe(plain({ Nodes: [row] }));
  }
});

test('any value goes out as the codec writes it', () => {
  const value = fc.letrec<{ value: Value }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      fc.constantFrom<Value>(null, true, 3, -1, 'text', 'x'.repeat(40)),
      fc.uint8Array({ maxLength: 9 }),
      fc.array(tie('value'), { maxLength: 4 }),
      fc
        .dictionary(fc.string({ maxLength: 5 }), tie('value'), { maxKeys: 4, noNullPrototype: true })
        .map(Object.freeze),
    ) as fc.Arbitrary<Value>,
  })).value;
  fc.assert(
    fc.property(value, (v) => {
      for (let turn = 0; turn < 3; turn += 1) expect(written(v)).toBe(plain(v));
      expect(decode(encode(v))).toBeDefined();
    }),
  );
});
