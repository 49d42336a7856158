import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RawBody } from './raw-body.ts';

const cut = (bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] => {
  const pieces: Uint8Array[] = [];
  for (let at = 0, n = 0; at < bytes.length; n += 1) {
    const size = sizes[n % sizes.length] as number;
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return pieces;
};
const bytes = fc.uint8Array({ minLength: 1, maxLength: 200 });
const sizes = fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 5 });

test('however it was cut, it is the same bytes and equals nothing else', () => {
  fc.assert(
    fc.property(bytes, sizes, fc.nat(), (whole, at, n) => {
      const body = new RawBody(cut(whole, at));
      const other = Uint8Array.from(whole);
      const place = n % whole.length;
      other[place] = (other[place] as number) ^ 1;
      for (let turn = 0; turn < 2; turn += 1) {
        expect(body.equals(whole)).toBe(true);
        expect(body.equals(other)).toBe(false);
        expect(body.equals(whole.subarray(1))).toBe(false);
        expect(body.length).toBe(whole.length);
        expect(Buffer.compare(body.bytes, whole)).toBe(0); // the second turn begins with one piece
      }
    }),
  );
});

test('in one piece it keeps no more memory than about its own', () => {
  const chunk = new Uint8Array(60_000);
  expect(new RawBody([chunk.subarray(0, 10)]).bytes.buffer.byteLength).toBeLessThan(1_000);
  const own = new Uint8Array(100);
  expect(new RawBody([own]).bytes).toBe(own);
});
