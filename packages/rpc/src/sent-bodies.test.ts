import { expect, test } from 'vitest';
import { SentBodies } from './sent-bodies.ts';

const row = (fill: number, length = 80_000): Uint8Array => new Uint8Array(length).fill(fill);
const head = (...bytes: number[]): Uint8Array => Uint8Array.from([...bytes, 7]); // of the body: 7
const put = (sent: SentBodies, ...pieces: Uint8Array[]): readonly Uint8Array[] =>
  sent.put(2, [...pieces, Uint8Array.of(9)]);

test('the same rows behind another head are the same memory from the second time on', () => {
  const sent = new SentBodies();
  const rows = row(1);
  const [whole, ...rest] = put(sent, head(1, 2), rows) as [Uint8Array];
  expect(rest).toEqual([]);
  const again = put(sent, head(3, 4), rows);
  expect(Buffer.concat(again)).toEqual(Buffer.concat([Uint8Array.of(3, 4, 7), rows, Uint8Array.of(9)]));
  expect(again[1]?.buffer).toBe(whole.buffer);
  expect(again[1]).toBe(put(sent, head(5, 6), rows)[1]);
});

test('what is too small, too large or not the same is put together anew', () => {
  const sent = new SentBodies(100_000);
  const [small, fits, large] = [row(1, 100), row(2), row(3, 200_000)];
  for (const rows of [small, large, fits]) {
    expect(put(sent, head(1, 2), rows)).toHaveLength(1);
    expect(put(sent, head(1, 2), rows)).toHaveLength(rows === fits ? 2 : 1);
  }
  expect(put(sent, Uint8Array.of(1, 2, 8), fits)).toHaveLength(1); // another byte before the row
  expect(put(sent, Uint8Array.of(1, 2, 8), fits, Uint8Array.of(), row(2, 10))).toHaveLength(1);
});

test('the longest unsent goes first when there is no room', () => {
  const sent = new SentBodies(200_000);
  const [a, b, c] = [row(1), row(2), row(3)];
  for (const rows of [a, b, a, c]) put(sent, head(1, 2), rows);
  expect(sent.keptBytes).toBeLessThanOrEqual(200_000);
  expect(put(sent, head(1, 2), a)).toHaveLength(2);
  expect(put(sent, head(1, 2), b)).toHaveLength(1);
  expect(sent.keptBytes).toBe(2 * 80_002);
});
