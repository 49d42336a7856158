/**
 * go-gossip.ts: the Go programs that do the same work over hashicorp/memberlist and hashicorp/serf, built when Go is there.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The package to build, below interop/, with the go.mod in the first of the two. */
const sources = { memberlist: ['memberlist', './bench'], serf: ['serf/bench', '.'] } as const;

/** Path of the program, built into `folder`; or why there is none. */
export function buildGo(
  library: keyof typeof sources,
  folder: string,
): { readonly path: string } | { readonly missing: string } {
  const go = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/go/bin', '/usr/lib/go/bin']
    .filter((place) => place !== '')
    .map((place) => join(place, 'go'))
    .find(isProgram);
  if (go === undefined) return { missing: "there is no 'go' on PATH" };
  const [module, program] = sources[library];
  const path = join(folder, `go-${library}`);
  const { GOFLAGS: _flags, GOROOT: _root, ...environment } = process.env; // set up for other builds
  const built = spawnSync(go, ['build', '-buildvcs=false', '-mod=readonly', '-o', path, program], {
    cwd: fileURLToPath(new URL(`../../interop/${module}/`, import.meta.url)),
    encoding: 'utf8',
    env: { ...environment, CGO_ENABLED: '0' },
  });
  if (built.status === 0) return { path };
  return {
    missing: `go build failed: ${built.error?.message ?? built.stderr.trim().split('\n').slice(-3).join(' ')}`,
  };
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
