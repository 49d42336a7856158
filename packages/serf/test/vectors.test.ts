/**
 * vectors.test.ts: no recording lies about unused. A file that no test names proves nothing, and nobody would notice.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const here = new URL('./', import.meta.url);
const self = 'vectors.test.ts';

/** The text of all tests and of what they share, this one left out. */
const sources = readdirSync(here, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && file !== self)
  .map((file) => readFileSync(new URL(file, here), 'utf8'))
  .join('\n');

const recordings = readdirSync(new URL('vectors/', here)).filter((file) => file !== 'README.md');

test('there are recordings', () => {
  expect(recordings.length).toBeGreaterThan(0);
});

test.each(recordings)('%s is named by a test', (file) => {
  const named = [`'${file.replace(/\.json$/, '')}'`, `vectors/${file}'`];
  expect(
    named.filter((name) => sources.includes(name)),
    `no source below test/ says ${named.join(' or ')}: use the recording or delete it`,
  ).not.toEqual([]);
});
