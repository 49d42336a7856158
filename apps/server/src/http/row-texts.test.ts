import { expect, test } from 'vitest';
import { rowList, rowTexts } from './row-texts.ts';

test('rows: a list is its rows’ texts, whether they were made before or not', () => {
  let made = 0;
  const texts = rowTexts<{ readonly n: number }>((row) => {
    made++;
    return { N: row.n };
  });
  const rows = [Object.freeze({ n: 1 }), Object.freeze({ n: 2 })];
  const first = rowList(rows, texts);
  expect(first.bytes().toString()).toBe('[{"N":1},{"N":2}]');
  expect(first.bytes().toString()).toBe('[{"N":1},{"N":2}]');
  expect(made).toBe(2);
  expect(rowList([], texts).bytes().toString()).toBe('[]');
  expect(first.pretty()).toEqual([{ N: 1 }, { N: 2 }]);
});

test('rows: a list that is the same for good is put together once', () => {
  const texts = rowTexts<{ readonly n: number }>((row) => ({ N: row.n }));
  const rows = [Object.freeze({ n: 1 }), Object.freeze({ n: 2 })];
  expect(rowList(rows, texts).bytes()).not.toBe(rowList(rows, texts).bytes());
  rows.pop();
  const frozen = Object.freeze(rows);
  expect(rowList(frozen, texts).bytes().toString()).toBe('[{"N":1}]');
  expect(rowList(frozen, texts).bytes()).toBe(rowList(frozen, texts).bytes());
});

test('rows: what can still change is shown as it is now', () => {
  const texts = rowTexts<{ n: number }>((row) => ({ N: row.n }));
  const row = { n: 1 };
  expect(texts.bytes(row).toString()).toBe('{"N":1}');
  row.n = 2;
  expect(texts.bytes(row).toString()).toBe('{"N":2}');
});
