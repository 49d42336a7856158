/** Where values end, found without knowing what they mean. */
import { encode, Float, type Value } from '@fed/msgpack';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ValueScanner } from './value-scanner.ts';

const value: fc.Arbitrary<Value> = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.double().map((n) => new Float(n)),
    fc.string({ maxLength: 300 }),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie('value'), { maxLength: 20 }),
    fc.dictionary(fc.string({ maxLength: 40 }), tie('value'), { maxKeys: 20 }),
  ),
})).value;

describe('value scanner', () => {
  test('every value ends where it ends, and at no prefix, however it is cut', () => {
    fc.assert(
      fc.property(value, value, fc.integer({ min: 1, max: 50 }), (first, second, cut) => {
        const one = encode(first);
        const both = Buffer.concat([one, encode(second)]);
        const scanner = new ValueScanner();
        const ends: number[] = [];
        for (let at = 0; at < both.length; at += cut) {
          const chunk = both.subarray(0, Math.min(at + cut, both.length));
          for (let from: number | undefined = at; from !== undefined && from < chunk.length; ) {
            from = scanner.scan(chunk, from);
            if (from !== undefined) ends.push(from);
          }
        }
        expect(ends).toEqual([one.length, both.length]);
      }),
    );
  });

  const sizes: readonly [string, string, number][] = [
    ['bin8', 'c403', 5],
    ['bin16', 'c50003', 6],
    ['bin32', 'c600000003', 8],
    ['ext8', 'c70305', 6],
    ['ext16', 'c8000305', 7],
    ['ext32', 'c90000000305', 9],
    ['fixext1', 'd405', 3],
    ['fixext16', 'd805', 18],
    ['float32', 'ca', 5],
    ['uint64', 'cf', 9],
    ['int8', 'd0', 2],
    ['str8', 'd903', 5],
    ['raw32', 'db00000003', 8],
    ['array16', 'dc0003', 6],
    ['array32', 'dd00000003', 8],
    ['map16', 'de0001', 5],
    ['map32', 'df00000001', 7],
  ];
  test.each(sizes)('%s is as long as the msgpack spec says', (_name, prefix, length) => {
    const bytes = Buffer.concat([Buffer.from(prefix, 'hex'), Buffer.alloc(20)]);
    expect(new ValueScanner().scan(bytes, 0)).toBe(length);
  });

  test('byte c1 begins no value', () => {
    expect(() => new ValueScanner().scan(Buffer.from([0x91, 0xc1]), 0)).toThrowError(
      expect.objectContaining({ code: 'malformed' }),
    );
  });

  test('containers inside each other without end are refused', () => {
    expect(() => new ValueScanner().scan(Buffer.alloc(1_000, 0x91), 0)).toThrowError(
      expect.objectContaining({ code: 'malformed' }),
    );
  });

  test('4 GiB announced takes no memory: the scanner says what is due', () => {
    const scanner = new ValueScanner();
    expect(scanner.scan(Buffer.from('dbffffffff', 'hex'), 0)).toBeUndefined();
    expect(scanner.bytesDue).toBe(0xffff_ffff);
  });
});
