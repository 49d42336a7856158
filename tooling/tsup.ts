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

/**
 * An app is one file with the rooms inside, taken from their sources: it starts faster and smaller than a tree of
 * packages, and cannot be installed with a mixture of versions. What comes from npm stays outside.
 */
export function application(extra: Options = {}): Options {
  return library({
    entry: ['src/cli.ts'],
    format: ['esm'],
    dts: false,
    noExternal: [/^@fed\//],
    esbuildOptions(options) {
      options.conditions = ['@fed/source', 'import', 'node'];
    },
    ...extra,
  });
}
