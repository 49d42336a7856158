/** certificates.ts: the fixtures as TLS material. */
import { readFileSync } from 'node:fs';
import { TlsIdentity, type TlsMaterial } from '../src/tls-identity.ts';

export const pem = (name: string): string =>
  readFileSync(new URL(`./fixtures/${name}.pem`, import.meta.url), 'utf8');

export const material = (name: string, ca: readonly string[] = ['ca']): TlsMaterial => ({
  ca: ca.map(pem),
  cert: pem(name),
  key: pem(`${name}-key`),
});

export const identity = (name: string, ca?: readonly string[]): TlsIdentity =>
  new TlsIdentity(material(name, ca));
