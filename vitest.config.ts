import { defineConfig } from 'vitest/config';

/** One run over all rooms; each keeps its own vitest.config.ts for working in it alone. */
export default defineConfig({ test: { projects: ['packages/*', 'apps/*'] } });
