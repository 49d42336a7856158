/** credentials.ts: a server of our own making, for speaking to a federation's servers below HTTP. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TlsIdentity } from '@fed/alpn-mux';
import { fedCli } from '@fed/tooling/federation';

export interface Credentials {
  readonly identity: TlsIdentity;
  /** Files. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** `bench` of dc2; `folder` has the CA. */
export function makeCredentials(folder: string): Credentials {
  const args = ['tls', 'cert', 'create', '--server', '--dc', 'dc2', '--node', 'bench'];
  execFileSync(process.execPath, [fedCli, ...args], { cwd: folder });
  const ours = readdirSync(folder).filter((name) => /^dc2-server-consul-\d+\.pem$/.test(name)).length - 1;
  const file = (name: string): string => join(folder, name);
  const [ca, cert, key] = [
    file('consul-agent-ca.pem'),
    file(`dc2-server-consul-${ours}.pem`),
    file(`dc2-server-consul-${ours}-key.pem`),
  ] as const;
  const read = (path: string): string => readFileSync(path, 'utf8');
  return { identity: new TlsIdentity({ ca: [read(ca)], cert: read(cert), key: read(key) }), ca, cert, key };
}
