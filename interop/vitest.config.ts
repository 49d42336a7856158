import { unit } from '@fed/tooling/vitest';
import type { ViteUserConfig } from 'vitest/config';

const base = unit();
/**
 * Real programs take real time: a test that hangs is ended here, one that is merely slow is not. Two files at once, also on
 * two cores: gossip mostly waits.
 */
const config: ViteUserConfig = {
  ...base,
  test: { include: ['**/*.test.ts'], testTimeout: 90_000, teardownTimeout: 10_000, maxWorkers: 2 },
};
export default config;
