import { expect, test } from 'vitest';
import { ShortTexts } from './short-texts.ts';

test('texts: whatever was kept in a slot before, the text is that of the bytes', () => {
  const texts = new ShortTexts();
  const names = Array.from({ length: 20_000 }, (_, n) => `node-${n * 7919}`.slice(0, 31));
  for (let round = 0; round < 2; round++)
    for (const name of names) {
      const bytes = Buffer.from(`<${name}>`);
      expect(texts.at(bytes, 1, name.length)).toBe(name);
    }
});

test('texts: a part of a text, a longer one, and none at all are told apart', () => {
  const texts = new ShortTexts();
  const bytes = Buffer.from('abcabc');
  for (const [at, size, text] of [
    [0, 3, 'abc'],
    [0, 2, 'ab'],
    [0, 6, 'abcabc'],
    [3, 3, 'abc'],
    [1, 3, 'bca'],
    [2, 0, ''],
  ] as const)
    expect(texts.at(bytes, at, size)).toBe(text);
});

test('texts: what is not ASCII is left to others', () => {
  expect(new ShortTexts().at(Buffer.from('é'), 0, 2)).toBeUndefined();
});
