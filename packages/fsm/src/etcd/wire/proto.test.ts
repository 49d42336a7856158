import { fileURLToPath } from 'node:url';
import { descriptors } from '@fed/tooling/proto';
import { expect, test } from 'vitest';
import { bundle } from './bundle.ts';

test('the bundle is what the .proto files say (npm run proto)', () => {
  const folder = fileURLToPath(new URL('../../../proto/', import.meta.url));
  expect(descriptors(folder)).toEqual(JSON.parse(bundle));
});
