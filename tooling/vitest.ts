/** vitest.ts: tests read the sources of sibling packages, so an edit is seen without a build. */
import { defaultServerConditions } from 'vite';
import type { ViteUserConfig } from 'vitest/config';

export function unit(): ViteUserConfig {
  const conditions = ['@fed/source', ...defaultServerConditions];
  return {
    resolve: { conditions },
    ssr: { resolve: { conditions } },
    test: { include: ['src/**/*.test.ts', 'test/**/*.test.ts'] },
  };
}
