import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decode, encode, encodeSorted, Float, MsgpackError, Reader, type Value } from './index.ts';

const leaf: fc.Arbitrary<Value> = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.maxSafeInteger(),
  fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
  fc.bigInt({ min: -(2n ** 63n), max: -(2n ** 53n) }),
  fc.double({ noNaN: true }).map((n) => (Number.isSafeInteger(n) ? new Float(n) : n)),
  fc.string({ unit: 'binary', maxLength: 80 }),
);
const { value } = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    leaf,
    fc.array(tie('value')),
    fc.dictionary(fc.string(), tie('value')),
  ),
}));

test('round trip: any value comes back, and encodes to the same bytes again', () => {
  fc.assert(
    fc.property(value, (v) => {
      const bytes = encode(v);
      expect(encode(decode(bytes))).toEqual(bytes);
    }),
  );
});

test('truncation: no prefix of a value is taken for a whole one', () => {
  fc.assert(
    fc.property(value, (v) => {
      const bytes = encode(v);
      for (let end = 0; end < bytes.length; end++)
        expect(() => new Reader(bytes, 0, end).value()).toThrow(
          expect.objectContaining({ code: 'truncated' }),
        );
    }),
    { numRuns: 50 },
  );
});

test('hostile bytes: nothing but a MsgpackError ever comes out', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const read of [(r: Reader) => void r.value(), (r: Reader) => r.skip()]) {
        try {
          read(new Reader(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(MsgpackError);
        }
      }
    }),
  );
});

test('announced sizes: a list of four billion items in five bytes costs nothing', () => {
  expect(() => decode(Buffer.from('ddffffffff', 'hex'))).toThrow(/truncated/);
  expect(() => decode(Buffer.from('dbffffffff', 'hex'))).toThrow(/truncated/);
});

test('nesting: a thousand lists in one another are refused, not overflowing the stack', () => {
  const deep = Buffer.alloc(1000, 0x91);
  expect(() => decode(deep)).toThrow(/too_deep/);
  expect(() => new Reader(deep).skip()).toThrow(/too_deep/);
});

test('prototype: the key __proto__ is only a key', () => {
  const bytes = encodeSorted({ a: 1, ['__proto__']: { polluted: true } });
  const out = decode(Buffer.concat([Buffer.from('81a95f5f70726f746f5f5f81a178c3', 'hex')])) as Record<
    string,
    unknown
  >;
  expect('constructor' in out || 'toString' in out).toBe(false);
  expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  expect(bytes.length).toBeGreaterThan(0);
});

test('bytes under a key named binary stay bytes though they happen to be text', () => {
  const bytes = encode({ Key: Buffer.from('abc'), Name: 'abc' });
  const out = decode(bytes, { binaryKeys: new Set(['Key']) }) as { Key: Uint8Array; Name: string };
  expect(out.Key).toEqual(Uint8Array.from([97, 98, 99]));
  expect(out.Name).toBe('abc');
});

test('sorted: keys go out in byte order, capitals first', () => {
  expect(decode(encodeSorted({ b: 1, TTL: 2, TLSSkipVerify: 3 }))).toEqual({
    TLSSkipVerify: 3,
    TTL: 2,
    b: 1,
  });
  expect(Object.keys(decode(encodeSorted({ b: 1, TTL: 2, TLSSkipVerify: 3 })) as object)).toEqual([
    'TLSSkipVerify',
    'TTL',
    'b',
  ]);
});
