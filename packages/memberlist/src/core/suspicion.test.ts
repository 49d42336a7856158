import { expect, test } from 'vitest';
import { Suspicion } from './suspicion.ts';

const o = { since: 1_000, minMs: 2_000, maxMs: 30_000 };

test('suspicion: each new witness shortens the wait, down to the minimum', () => {
  const suspicion = new Suspicion('a', { ...o, wanted: 3 });
  expect(suspicion.deadline).toBe(31_000);
  expect(suspicion.confirm('b')).toBe(true);
  expect(suspicion.deadline).toBe(1_000 + 16_000);
  expect(suspicion.confirm('c')).toBe(true);
  expect(suspicion.deadline).toBe(1_000 + 7_810);
  expect(suspicion.confirm('d')).toBe(true);
  expect(suspicion.deadline).toBe(3_000);
});

test('suspicion: neither the first accuser, nor a repetition, nor one too many counts', () => {
  const suspicion = new Suspicion('a', { ...o, wanted: 1 });
  expect(suspicion.confirm('a')).toBe(false);
  expect(suspicion.confirm('b')).toBe(true);
  expect(suspicion.confirm('b')).toBe(false);
  expect(suspicion.confirm('c')).toBe(false);
  expect(suspicion.confirmed).toBe(1);
});

test('suspicion: with no further witness wanted it lasts the minimum', () => {
  const suspicion = new Suspicion('a', { ...o, wanted: 0 });
  expect(suspicion.deadline).toBe(3_000);
  expect(suspicion.confirm('b')).toBe(false);
});
