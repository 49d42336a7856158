/**
 * keyring-file.ts: a ring of keys on a disk, in serf's format: a JSON list of base64, primary first.
 *
 * serf serf.go, writeKeyringFile. The file is replaced in one step and readable by its owner only.
 */
import { open, readFile, rename } from 'node:fs/promises';
import { base64 } from './core/keys.ts';
import { SerfError } from './errors.ts';

export async function writeKeyringFile(path: string, keys: readonly Uint8Array[]): Promise<void> {
  const beside = `${path}.new`;
  const file = await open(beside, 'w', 0o600);
  try {
    await file.writeFile(JSON.stringify(keys.map(base64), null, 2));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(beside, path);
}

/** Keys, primary first. Throws SerfError 'bad_config' when the file is no keyring. */
export async function readKeyringFile(path: string): Promise<readonly Uint8Array[]> {
  return parseKeyring(await readFile(path, 'utf8'), path);
}

/** The text of the file at `path`. Throws SerfError 'bad_config'. */
export function parseKeyring(text: string, path: string): readonly Uint8Array[] {
  try {
    const list: unknown = JSON.parse(text);
    if (
      !Array.isArray(list) ||
      !list.every((key) => typeof key === 'string' && /^[A-Za-z0-9+/]+=*$/.test(key))
    )
      throw new TypeError('not a list of base64 texts');
    return list.map((key: string) => Uint8Array.from(Buffer.from(key, 'base64')));
  } catch (cause) {
    throw new SerfError('bad_config', `keyring ${path} is no JSON list of base64 keys`, { cause });
  }
}
