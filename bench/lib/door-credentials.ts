/**
 * door-credentials.ts: with what a server port is visited: certificates as they must be, and as they must not be.
 *
 * As texts, so that visitors may be another process. Lives here: making them. Must not live here: visiting (strangers.ts).
 */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { type Created, createCa, createCertificate } from '@fed/pki';
import type { Door } from './strangers.ts';

export interface DoorCredentials {
  /** Of the server's CA. */
  readonly own: Created;
  readonly expired: Created;
  /** Of another CA. */
  readonly foreign: Created;
  /** Of the server's CA, and of another domain. */
  readonly misnamed: Created;
  readonly ca: string;
}

const now = { randomBytes, now: () => Date.now() };
const longAgo = { randomBytes, now: () => Date.now() - 2 * 365 * 86_400_000 };

/** The CA of a server to come, in the files `fed tls` would make: old enough to have certified what has expired since. */
export async function oldCa(folder: string): Promise<Created> {
  const ca = await createCa({}, longAgo);
  writeFileSync(join(folder, 'consul-agent-ca.pem'), ca.certificate);
  writeFileSync(join(folder, 'consul-agent-ca-key.pem'), ca.key);
  return ca;
}

export async function doorCredentials(ca: Created): Promise<DoorCredentials> {
  const server = { kind: 'server', datacenter: 'dc1', node: 'n1' } as const;
  return {
    ca: ca.certificate,
    own: await createCertificate(server, ca, now),
    expired: await createCertificate({ ...server, days: 365 }, ca, longAgo),
    foreign: await createCertificate(server, await createCa({}, now), now),
    misnamed: await createCertificate({ ...server, domain: 'example' }, ca, now),
  };
}

export function doorAt(port: number, { ca, own, expired, foreign, misnamed }: DoorCredentials): Door {
  const context = ({ certificate, key }: Created) => createSecureContext({ ca, cert: certificate, key });
  return {
    port,
    own: context(own),
    expired: context(expired),
    foreign: context(foreign),
    misnamed: context(misnamed),
  };
}
