import { unit } from '@fed/tooling/vitest';
import type { ViteUserConfig } from 'vitest/config';

const base = unit();
/**
 * Real programs take real time: a test that hangs is ended here, one that is merely slow is not. One file at a time,
 * because free ports are looked for before they are used, and two files would find the same ones.
 */
const config: ViteUserConfig = {
  ...base,
  test: { include: ['**/*.test.ts'], testTimeout: 90_000, teardownTimeout: 10_000, fileParallelism: false },
};
export default config;
