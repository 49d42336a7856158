/** tsup.ts: how every library here is built: ESM and CJS with types for both, sources mapped, nothing minified. */
import type { Options } from 'tsup';

export function library(extra: Options = {}): Options {
  return {
    entry: ['src/index.ts'],
    format: ['esm', 'cjs'],
    target: 'node22',
    platform: 'node',
    dts: true,
    sourcemap: true,
    clean: true,
    treeshake: true,
    ...extra,
  };
}
