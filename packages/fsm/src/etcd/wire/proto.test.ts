import { readdirSync } from 'node:fs';
import protobuf from 'protobufjs';
import { expect, test } from 'vitest';
import { bundle } from './bundle.ts';

test('the bundle is what the .proto files say (npm run proto)', () => {
  const folder = new URL('../../../proto/', import.meta.url).pathname;
  const parsed = new protobuf.Root();
  parsed.resolvePath = (_origin, target) => (target.startsWith(folder) ? target : folder + target);
  const files = readdirSync(folder).filter((name) => name.endsWith('.proto'));
  expect(parsed.loadSync(files.sort()).toJSON()).toEqual(JSON.parse(bundle));
});
