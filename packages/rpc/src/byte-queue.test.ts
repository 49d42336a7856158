/** Bytes nobody has read yet: their order, and what they keep alive. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteQueue } from './byte-queue.ts';

test('bytes come out in the order they went in, however they were cut', () => {
  const piece = fc.record({
    size: fc.integer({ min: 0, max: 9_000 }),
    spare: fc.integer({ min: 0, max: 30_000 }),
  });
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), fc.array(fc.boolean()), (pieces, reads) => {
      const queue = new ByteQueue();
      const went: Buffer[] = [];
      const came: Uint8Array[] = [];
      pieces.forEach(({ size, spare }, index) => {
        const bytes = Buffer.alloc(size + spare, index + 1).subarray(0, size);
        went.push(Buffer.from(bytes));
        queue.push(bytes);
        if (reads[index] === true && !queue.isEmpty) came.push(Buffer.from(queue.shift()));
      });
      while (!queue.isEmpty) came.push(queue.shift());
      expect(Buffer.concat(came).equals(Buffer.concat(went))).toBe(true);
    }),
  );
});

test('one byte per frame pins no socket buffers: 1,000 of them share a block', () => {
  const queue = new ByteQueue();
  for (let n = 0; n < 1_000; n += 1) queue.push(Buffer.alloc(65_536, n & 0xff).subarray(7, 8));
  const piece = queue.shift();
  expect([piece.length, piece.buffer.byteLength, queue.isEmpty]).toEqual([1_000, 4_096, true]);
});

test('a slice that is most of its memory is kept as it is, not copied', () => {
  const queue = new ByteQueue();
  const bytes = new Uint8Array(65_536).subarray(12);
  queue.push(bytes);
  expect(queue.shift()).toBe(bytes);
});

test('a large slice of a much larger memory is copied', () => {
  const queue = new ByteQueue();
  queue.push(new Uint8Array(1_000_000).subarray(0, 10_000));
  expect(queue.shift().buffer.byteLength).toBe(10_000);
});
