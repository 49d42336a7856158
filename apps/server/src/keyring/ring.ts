/**
 * ring.ts: the gossip keys of a pool, as they were when the server ran last: a key that was installed or removed stays so.
 *
 * The configured key is for the first start. Afterwards the pool's file has the word, as in the original: otherwise a server
 * would come back with a key that everybody else has given up.
 * Lives here: file or configuration. Must not live here: changing keys (operation.ts, @fed/serf).
 */
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Keyring } from '@fed/memberlist';
import { readKeyringFile, writeKeyringFile } from '@fed/serf';
import { ConfigError } from '../config/config.ts';

export interface RingOptions {
  /** The configuration's `encrypt`. */
  readonly gossipKey: Uint8Array | undefined;
  /** Where the pool keeps its keys; undefined: nowhere. */
  readonly path: string | undefined;
  /** The configured key is not used any more. */
  readonly outdated: (path: string) => void;
}

/** Throws ConfigError for a file that holds no keys. */
export async function openRing({ gossipKey, path, outdated }: RingOptions): Promise<Keyring> {
  const kept = path === undefined ? undefined : await keysIn(path);
  if (kept === undefined) {
    if (gossipKey === undefined) return new Keyring();
    if (path !== undefined) {
      await mkdir(dirname(path), { recursive: true });
      await writeKeyringFile(path, [gossipKey]);
    }
    return new Keyring([], gossipKey);
  }
  const [primary, ...others] = kept;
  if (gossipKey !== undefined && !kept.some((key) => Buffer.compare(key, gossipKey) === 0))
    outdated(path as string);
  return new Keyring(others, primary);
}

async function keysIn(path: string): Promise<readonly Uint8Array[] | undefined> {
  try {
    const keys = await readKeyringFile(path);
    if (keys.length === 0 || keys.some(({ length }) => ![16, 24, 32].includes(length)))
      throw new Error('a gossip key has 16, 24 or 32 bytes');
    return keys;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new ConfigError([
      `${path} holds no gossip keys (${(cause as Error).message}); restore it, or remove it to begin anew with 'encrypt'`,
    ]);
  }
}
