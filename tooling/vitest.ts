/** vitest.ts: tests read the sources of sibling packages, so an edit is seen without a build. */
import { defaultServerConditions } from 'vite';
import type { ViteUserConfig } from 'vitest/config';

export function unit(): ViteUserConfig {
  const conditions = ['@fed/source', ...defaultServerConditions];
  return {
    resolve: { conditions },
    ssr: { resolve: { conditions } },
    // Generous, because a busy machine is slow, not wrong; what must be fast is measured by benchmarks.
    test: { include: ['src/**/*.test.ts', 'test/**/*.test.ts'], testTimeout: 30_000, hookTimeout: 30_000 },
  };
}
