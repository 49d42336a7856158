/**
 * archive.ts: a snapshot as people keep it: a gzipped tar of meta.json, state.bin and SHA256SUMS, in the original's form.
 *
 * Lives here: packing, unpacking, checking. Must not live here: what state.bin means (@fed/fsm), HTTP.
 * Source: Consul snapshot/archive.go; hashicorp/raft snapshot.go (SnapshotMeta).
 */
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { encode } from '@fed/msgpack';
import { readTar, TarError, writeTar } from './tar.ts';

/** Largest archive taken off the network, and largest it may become unpacked, in bytes (256 MiB, 1 GiB). */
export const archiveBytesMax: number = 256 * 1024 * 1024;
const unpackedBytesMax = 1024 * 1024 * 1024;

export interface SnapshotMeta {
  readonly Version: number;
  readonly ID: string;
  readonly Index: number;
  readonly Term: number;
  readonly Size: number;
}

/** The archive cannot be used; nothing was changed. */
export class ArchiveError extends Error {
  override readonly name = 'ArchiveError';
  readonly code: 'not_gzip' | 'not_tar' | 'file_missing' | 'checksum' | 'malformed_meta' | 'unknown_version';

  constructor(code: ArchiveError['code'], detail: string, options?: ErrorOptions) {
    super(detail, options);
    this.code = code;
  }
}

const compress = promisify(gzip);
const decompress = promisify(gunzip);

export async function writeArchive(o: {
  readonly state: Uint8Array;
  readonly index: number;
  readonly term: number;
  readonly server: { readonly id: string; readonly address: string };
  readonly wallMs: number;
}): Promise<Buffer> {
  const { state, index, term, server } = o;
  const meta = {
    Version: 1,
    ID: `${term}-${index}-${o.wallMs}`,
    Index: index,
    Term: term,
    Peers: Buffer.from(encode([server.address])).toString('base64'),
    Configuration: { Servers: [{ Suffrage: 0, ID: server.id, Address: server.address }] },
    ConfigurationIndex: 1,
    Size: state.length,
  };
  const metaBytes = Buffer.from(`${JSON.stringify(meta)}\n`);
  const sums = `${sha256(metaBytes)}  meta.json\n${sha256(state)}  state.bin\n`;
  const files = [
    { name: 'meta.json', bytes: metaBytes },
    { name: 'state.bin', bytes: state },
    { name: 'SHA256SUMS', bytes: Buffer.from(sums) },
  ];
  return compress(writeTar(files, Math.floor(o.wallMs / 1000)));
}

/** Unpacked and checked. Throws ArchiveError. */
export async function readArchive(
  archive: Uint8Array,
): Promise<{ readonly meta: SnapshotMeta; readonly state: Uint8Array }> {
  const files = new Map(unpacked(await gunzipped(archive)).map(({ name, bytes }) => [name, bytes]));
  const file = (name: string): Uint8Array => {
    const bytes = files.get(name);
    if (bytes === undefined) throw new ArchiveError('file_missing', `the archive has no ${name}`);
    return bytes;
  };
  const [metaBytes, state, sums] = [file('meta.json'), file('state.bin'), file('SHA256SUMS')];
  const said = new Map(
    Buffer.from(sums)
      .toString('latin1')
      .split('\n')
      .map((line) => line.split('  ') as [string, string])
      .map(([sum, name]) => [name, sum]),
  );
  for (const [name, bytes] of [
    ['meta.json', metaBytes],
    ['state.bin', state],
  ] as const)
    if (said.get(name) !== sha256(bytes))
      throw new ArchiveError('checksum', `hash check failed for "${name}"`);
  return { meta: metaOf(metaBytes), state };
}

async function gunzipped(archive: Uint8Array): Promise<Buffer> {
  try {
    return await decompress(archive, { maxOutputLength: unpackedBytesMax });
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const why = code === 'Z_BUF_ERROR' ? 'unexpected EOF' : message;
    throw new ArchiveError('not_gzip', `failed to decompress snapshot: ${why}`, { cause });
  }
}

function unpacked(tar: Buffer) {
  try {
    return readTar(tar);
  } catch (cause) {
    if (!(cause instanceof TarError)) throw cause;
    throw new ArchiveError('not_tar', `failed reading snapshot: ${cause.message}`, { cause });
  }
}

function metaOf(bytes: Uint8Array): SnapshotMeta {
  let meta: Partial<SnapshotMeta> | null;
  try {
    meta = JSON.parse(Buffer.from(bytes).toString('utf8')) as Partial<SnapshotMeta> | null;
  } catch (cause) {
    throw new ArchiveError(
      'malformed_meta',
      `failed to decode snapshot metadata: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
  const { Version, ID, Index, Term, Size } = meta ?? {};
  for (const [name, value] of Object.entries({ Version, Index, Term, Size }))
    if (!Number.isSafeInteger(value) || (value as number) < 0)
      throw new ArchiveError('malformed_meta', `failed to decode snapshot metadata: ${name} is no number`);
  if (Version !== 1 && Version !== 0)
    throw new ArchiveError('unknown_version', `meta.json: Version ${Version} is unknown; 1 is understood`);
  return { Version, ID: String(ID), Index, Term, Size } as SnapshotMeta;
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
