/**
 * vectors-used.test.ts: no recording lies about unused. Those of go-msgpack are named by their version, after a prefix.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const here = new URL('./', import.meta.url);
const self = 'vectors-used.test.ts';

const sources = readdirSync(here)
  .filter((file) => file.endsWith('.ts') && file !== self)
  .map((file) => readFileSync(new URL(file, here), 'utf8'))
  .join('\n');

const recordings = readdirSync(new URL('vectors/', here)).filter((file) => file !== 'README.md');

test('there are recordings', () => {
  expect(recordings.length).toBeGreaterThan(0);
});

test.each(recordings)('%s is named by a test', (file) => {
  const version = /^msgpack-(.*)\.json$/.exec(file)?.[1];
  const named = version === undefined ? `vectors/${file}'` : `'${version}'`;
  expect(sources, `no source in test/ says ${named}: use the recording or delete it`).toContain(named);
});
