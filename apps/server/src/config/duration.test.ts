import { expect, test } from 'vitest';
import { parseDuration } from './duration.ts';

for (const [text, ms] of [
  ['0', 0],
  ['10s', 10_000],
  ['1m30s', 90_000],
  ['1.5h', 5_400_000],
  ['250ms', 250],
  ['-2s', -2000],
  ['1us', 0.001],
] as const)
  test(`duration: ${text} is ${ms} ms`, () => expect(parseDuration(text)).toBe(ms));

for (const text of ['', '5', '5 s', 's', '1d', '1s foo', '--1s'])
  test(`duration: '${text}' is none`, () => expect(parseDuration(text)).toBeUndefined());
