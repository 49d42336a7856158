import { expect, test } from 'vitest';
import {
  LargeBuffers,
  largeBuffersMax,
  ReadBuffer,
  readBytesMax,
  readBytesMin,
  spareBuffersMax,
} from './read-buffer.ts';

/** The sizes of the buffers for the next reads, each of them filled as far as `share` says. */
function sizes(buffer: ReadBuffer, reads: number, share: number): number[] {
  return Array.from({ length: reads }, () => buffer.next(Math.ceil(buffer.current.length * share)).length);
}

test('read buffer: one that is filled gets the next size; the same memory is used again until then', () => {
  const buffer = new ReadBuffer(new LargeBuffers());
  expect(buffer.current.length).toBe(readBytesMin);
  const { current } = buffer;
  expect(buffer.next(readBytesMin - 1)).toBe(current);
  expect(sizes(buffer, 3, 1)).toEqual([16_384, readBytesMax, readBytesMax]);
});

test('read buffer: a corner used 32 times in a row: back to little; a burst in between begins the count anew', () => {
  const buffer = new ReadBuffer(new LargeBuffers());
  sizes(buffer, 2, 1);
  for (let i = 0; i < 31; i++) buffer.next(100);
  buffer.next(readBytesMin + 1);
  for (let i = 0; i < 31; i++) expect(buffer.next(100).length).toBe(readBytesMax);
  expect(buffer.next(100).length).toBe(readBytesMin);
});

test('read buffer: of the largest there are so many, and those given up go to others', () => {
  const large = new LargeBuffers();
  const all = Array.from({ length: largeBuffersMax }, () => new ReadBuffer(large));
  for (const buffer of all) expect(sizes(buffer, 2, 1)).toEqual([16_384, readBytesMax]);
  const late = new ReadBuffer(large);
  expect(sizes(late, 3, 1)).toEqual([16_384, 16_384, 16_384]);
  all[0]?.[Symbol.dispose]();
  all[0]?.[Symbol.dispose](); // once is enough
  expect(sizes(late, 1, 1)).toEqual([readBytesMax]);
  const later = new ReadBuffer(large);
  expect(sizes(later, 2, 1)).toEqual([16_384, 16_384]);
});

test('read buffer: the largest go from hand to hand, and only some of them are kept for it', () => {
  const large = new LargeBuffers();
  const all = Array.from({ length: largeBuffersMax }, () => new ReadBuffer(large));
  for (const buffer of all) sizes(buffer, 2, 1);
  const given = all.map((buffer) => buffer.current);
  for (const buffer of all) buffer[Symbol.dispose]();
  const again = Array.from({ length: largeBuffersMax }, () => new ReadBuffer(large));
  for (const buffer of again) sizes(buffer, 2, 1);
  expect(new Set(again.map((buffer) => buffer.current)).size).toBe(largeBuffersMax);
  expect(again.filter((buffer) => given.includes(buffer.current))).toHaveLength(spareBuffersMax);
});
