/**
 * binary.ts: which Envoy runs, and whether it is one we know how to talk to.
 *
 * Older ones than the floor lack fields we send; newer ones than the last tested are taken, with a word in the log,
 * because Envoy keeps its API for years.
 * Lives here: finding, the version, the verdict. Must not live here: starting it (plane.ts).
 * Source: Consul command/connect/envoy (findBinary, version check); `envoy --version`.
 */
import type { Programs } from '../programs.ts';

export const versionFloor = '1.30.0';
/** Newest minor version the interop tests have run against. */
export const versionTested = '1.40';

export class EnvoyError extends Error {
  override readonly name = 'EnvoyError';
  readonly code:
    | 'envoy_missing'
    | 'envoy_unusable'
    | 'envoy_too_old'
    | 'bootstrap_unwritable'
    | 'admin_bind_taken'
    | 'xds_address_unknown';
  constructor(code: EnvoyError['code'], detail: string, options?: ErrorOptions) {
    super(detail, options);
    this.code = code;
  }
}

export interface EnvoyBinary {
  readonly path: string;
  /** `major.minor.patch`. */
  readonly version: string;
  /** Newer than anything we have run against. */
  readonly untested: boolean;
}

/** Throws an EnvoyError. `given`: a path, instead of looking on PATH. `anyVersion`: do not refuse old ones. */
export async function findEnvoy(
  programs: Pick<Programs, 'find' | 'output'>,
  o: { readonly given?: string; readonly anyVersion?: boolean },
): Promise<EnvoyBinary> {
  const path = o.given ?? programs.find('envoy');
  if (path === undefined) {
    throw new EnvoyError(
      'envoy_missing',
      'no envoy on PATH: install Envoy, name it with --envoy-binary, or use --data-plane embedded',
    );
  }
  let said: string;
  try {
    said = await programs.output(path, ['--version']);
  } catch (cause) {
    const why = (cause as Error).message.trim().split('\n')[0];
    throw new EnvoyError('envoy_unusable', `${path} --version: ${why}; is this an Envoy for this machine?`, {
      cause,
    });
  }
  const version = /\d+\.\d+\.\d+/.exec(said)?.[0];
  if (version === undefined) {
    throw new EnvoyError(
      'envoy_unusable',
      `${path} --version names no version: is this Envoy? It said: ${said.trim().slice(0, 200)}`,
    );
  }
  if (compare(version, versionFloor) < 0 && o.anyVersion !== true) {
    throw new EnvoyError(
      'envoy_too_old',
      `${path} is Envoy ${version}, at least ${versionFloor} is needed: take a newer one, or try --ignore-envoy-compatibility`,
    );
  }
  return { path, version, untested: compare(minorOf(version), versionTested) > 0 };
}

function compare(a: string, b: string): number {
  const [left, right] = [a, b].map((v) => v.split('.').map(Number)) as [number[], number[]];
  const at = left.findIndex((n, i) => n !== right[i]);
  return at === -1 ? 0 : (left[at] as number) - (right[at] ?? 0);
}

const minorOf = (version: string): string => version.split('.').slice(0, 2).join('.');
