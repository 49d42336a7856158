/** Who only checks certificates does not pay for the library that makes them. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const script = `
import { createRequire } from 'node:module';
const { expiry, createCa } = await import(${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)});
const loaded = () => Object.keys(createRequire(import.meta.url).cache).some((path) => path.includes('node-forge'));
const before = loaded();
const ca = await createCa({}, { randomBytes: (n) => crypto.getRandomValues(new Uint8Array(n)), now: () => 0 });
console.log(JSON.stringify({ before, after: loaded(), notBefore: expiry(ca.certificate).notBefore }));
`;

test('node-forge is loaded when the first certificate is created, not before', async () => {
  const args = ['--conditions=@fed/source', '--input-type=module', '--eval', script];
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
  });
  expect(JSON.parse(stdout)).toEqual({ before: false, after: true, notBefore: 0 });
});
