import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ConfigError } from '../config/config.ts';
import { openRing } from './ring.ts';

const [first, second, third] = [1, 2, 3].map((n) => new Uint8Array(32).fill(n)) as [
  Uint8Array,
  Uint8Array,
  Uint8Array,
];
const base64 = (key: Uint8Array): string => Buffer.from(key).toString('base64');
let dir: string;
let path: string;
let outdated: string[];
const open = (gossipKey?: Uint8Array, at: string | undefined = path) =>
  openRing({ gossipKey, path: at, outdated: (file) => outdated.push(file) });

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'fed-ring-'));
  path = join(dir, 'serf', 'local.keyring');
  outdated = [];
});
afterEach(() => rm(dir, { recursive: true, force: true }));

describe('ring', () => {
  test('the first start takes the configured key and writes it down', async () => {
    expect((await open(first)).keys()).toEqual([first]);
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual([base64(first)]);
  });

  test('afterwards the file has the word, its first key is the primary', async () => {
    await open(first);
    await writeFile(path, JSON.stringify([base64(second), base64(first)]));
    expect((await open(first)).keys()).toEqual([second, first]);
    expect((await open()).keys()).toEqual([second, first]);
    expect(outdated).toEqual([]);
  });

  test('a configured key that the file does not have is not used, and that is told', async () => {
    await open(first);
    expect((await open(third)).keys()).toEqual([first]);
    expect(outdated).toEqual([path]);
  });

  test('without key and file there is no encryption; without a place nothing is written', async () => {
    expect((await open()).size).toBe(0);
    expect((await openRing({ gossipKey: first, path: undefined, outdated: () => {} })).keys()).toEqual([
      first,
    ]);
    await expect(readFile(path)).rejects.toThrow('ENOENT');
  });

  for (const text of ['{', '[]', '["AAAA"]', '[1]'])
    test(`a file with ${text} is refused by name`, async () => {
      await open(first);
      await writeFile(path, text);
      await expect(open(first)).rejects.toThrow(ConfigError);
      await expect(open(first)).rejects.toThrow(path);
    });
});
