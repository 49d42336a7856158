import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readAuthorities } from './authorities.ts';

const pem = readFileSync(new URL('../test/fixtures/ca.pem', import.meta.url), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'fed-authorities-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = (name: string, text: string): string => {
  const path = join(folder, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, text);
  return path;
};

test('none named, one file, a folder of files', () => {
  expect(readAuthorities({})).toBeUndefined();
  expect(readAuthorities({ grpcCaFile: file('ca.pem', pem) })).toBe(pem);
  file('all/1.pem', pem);
  file('all/2.pem', pem);
  expect(readAuthorities({ grpcCaPath: join(folder, 'all') })).toBe(`${pem}\n${pem}`);
});

test.each([
  ['grpc-ca-file', { grpcCaFile: join(folder, 'nowhere.pem') }, /nowhere\.pem/],
  ['grpc-ca-file', { grpcCaFile: file('note.txt', 'hello') }, /no certificate in PEM/],
  ['grpc-ca-path', { grpcCaPath: join(folder, 'nowhere') }, /nowhere/],
  ['grpc-ca-path', { grpcCaPath: join(file('empty/x/y', ''), '../..') }, /holds no files/],
])('--%s that cannot be used is said to be so: %j', (flag, named, words) => {
  expect(() => readAuthorities(named)).toThrow(
    expect.objectContaining({ code: 'ca_unusable', flag, message: expect.stringMatching(words) }),
  );
});
