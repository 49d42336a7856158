/**
 * corpus.ts: everything that was recorded from the Go programs, as bytes to start from.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

interface Recorded {
  readonly name: string;
  readonly kind?: string;
  readonly hex?: string;
  readonly content?: string;
  readonly key?: string;
  readonly label?: string;
  readonly [field: string]: unknown;
}

type Room = 'memberlist' | 'msgpack' | 'serf';

const folders: Readonly<Record<Room, URL>> = {
  memberlist: new URL('test/vectors/', import.meta.resolve('@fed/memberlist/package.json')),
  msgpack: new URL('test/vectors/', import.meta.resolve('@fed/msgpack/package.json')),
  serf: new URL('../vectors/', import.meta.url),
};

/** The vectors of all files whose name begins so. */
export function recorded(room: Room, prefix: string): readonly Recorded[] {
  const files = readdirSync(fileURLToPath(folders[room])).filter(
    (file) => file.startsWith(prefix) && file.endsWith('.json'),
  );
  if (files.length === 0) throw new Error(`no recording of ${room} is called ${prefix}...`);
  return files.flatMap((file) => {
    const all = JSON.parse(readFileSync(new URL(file, folders[room]), 'utf8')) as Record<string, unknown>;
    return Object.values(all).filter(Array.isArray).flat() as Recorded[];
  });
}

/** Every hex text anywhere in these vectors, as bytes. */
export function bytesIn(vectors: readonly unknown[], field = 'hex'): readonly Uint8Array[] {
  const found: Uint8Array[] = [];
  const look = (value: unknown, name: string): void => {
    if (typeof value === 'string' && name === field && value.length > 0 && /^([0-9a-f]{2})+$/.test(value))
      found.push(Buffer.from(value, 'hex'));
    if (typeof value === 'object' && value !== null)
      for (const [key, inner] of Object.entries(value)) look(inner, Array.isArray(value) ? name : key);
  };
  for (const vector of vectors) look(vector, '');
  return found;
}
