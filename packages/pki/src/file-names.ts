/**
 * file-names.ts: what the files are called, as Consul calls them.
 *
 * Lives here: names. Must not live here: files.
 * Source: Consul command/tls/ca/create, command/tls/cert/create.
 */
import type { CertificateKind } from './create.ts';

export interface FilePair {
  readonly certificate: string;
  readonly key: string;
}

/** Numbers are tried up to this one. */
export const fileNumberMax = 10_000;

export function caFileNames(domain: string): FilePair {
  return { certificate: `${domain}-agent-ca.pem`, key: `${domain}-agent-ca-key.pem` };
}

/** The first numbered pair of which neither file exists; undefined when every number is taken. */
export function certificateFileNames(
  o: { readonly kind: CertificateKind; readonly datacenter: string; readonly domain: string },
  exists: (path: string) => boolean,
): FilePair | undefined {
  const prefix = `${o.datacenter}-${o.kind}-${o.domain}`;
  for (let n = 0; n <= fileNumberMax; n += 1) {
    const pair = { certificate: `${prefix}-${n}.pem`, key: `${prefix}-${n}-key.pem` };
    if (!exists(pair.certificate) && !exists(pair.key)) return pair;
  }
  return undefined;
}
