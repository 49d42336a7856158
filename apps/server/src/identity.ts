/**
 * identity.ts: who this server is: its node id, kept across restarts, and its certificate, checked before it is used.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TlsMaterial } from '@fed/alpn-mux';
import { checkServerCertificate, expiry, readTls } from '@fed/pki';
import { type Config, ConfigError } from './config/config.ts';

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** The configured id, or the one in `<data_dir>/node-id`, or a new one put there. */
export function readNodeId(config: Config, randomBytes: (size: number) => Uint8Array): string {
  if (config.nodeId !== undefined) {
    if (!uuid.test(config.nodeId))
      throw new ConfigError([`node_id '${config.nodeId}' is not a UUID in lower case`]);
    return config.nodeId;
  }
  const file = join(config.dataDir, 'node-id');
  try {
    mkdirSync(config.dataDir, { recursive: true });
    try {
      const known = readFileSync(file, 'utf8').trim();
      if (uuid.test(known)) return known;
      throw new ConfigError([`${file}: does not hold a node id; remove the file to have a new one made`]);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    const id = formatUuid(randomBytes(16));
    writeFileSync(`${file}.tmp`, id, { mode: 0o600 });
    renameSync(`${file}.tmp`, file);
    return id;
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError([`data_dir ${config.dataDir}: cannot be used (${(error as Error).message})`]);
  }
}

/** Reads the files and refuses what peers would refuse later, naming the file and the remedy. Throws ConfigError. */
export function readIdentity(
  config: Config,
  wallMs: number,
): { readonly material: TlsMaterial; readonly expiresAtMs: number } {
  const { caFile, certFile, keyFile } = config.tls;
  let material: TlsMaterial;
  try {
    material = readTls({ caFile, certFile, keyFile });
  } catch (error) {
    throw new ConfigError([(error as Error).message]);
  }
  const { datacenter, nodeName: node, domain } = config;
  const problems = checkServerCertificate({ ...material, datacenter, node, domain, now: wallMs });
  if (problems.length > 0) throw new ConfigError(problems.map((p) => `cert_file ${certFile}: ${p.text}`));
  return { material, expiresAtMs: expiry(material.cert).notAfter };
}

export function formatUuid(bytes: Uint8Array): string {
  const b = Buffer.from(bytes);
  b[6] = ((b[6] as number) & 0x0f) | 0x40;
  b[8] = ((b[8] as number) & 0x3f) | 0x80;
  const hex = b.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
