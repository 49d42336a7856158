import { expect, test } from 'vitest';
import { Shelf } from './shelf.ts';

test('it is bounded by bytes, and keeps what is used', () => {
  const shelf = new Shelf<Uint8Array>((bytes) => bytes.length, 1_000);
  const often = shelf.get('often', () => new Uint8Array(90));
  for (let i = 0; i < 1_000; i++) {
    shelf.get(`${i}`, () => new Uint8Array(90));
    expect(shelf.get('often', () => new Uint8Array(0))).toBe(often);
    expect(shelf.size).toBeLessThanOrEqual(2 * 12);
  }
});

test('a value larger than everything is handed out, and gone soon after', () => {
  const shelf = new Shelf<Uint8Array>((bytes) => bytes.length, 1_000);
  shelf.get('huge', () => new Uint8Array(10_000));
  for (const key of ['a', 'b']) shelf.get(key, () => new Uint8Array(2_000));
  expect(shelf.get('huge', () => new Uint8Array(1))).toHaveLength(1);
});
