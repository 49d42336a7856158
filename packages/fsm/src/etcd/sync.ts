/**
 * sync.ts: reading the state from etcd as of one revision: a snapshot if we are behind it, then the log.
 *
 * Lives here: the order of reading, in pages. Must not live here: applying, watching, trying again.
 */
import { crc32 } from 'node:zlib';
import type { Seen } from './core/events.ts';
import { EtcdCallError } from './errors.ts';
import type { Etcd, KeyValue } from './ports.ts';
import { WireError } from './wire/codec.ts';
import { splitFramed } from './wire/framing.ts';
import { endOf, type Keys } from './wire/keys.ts';
import {
  decodeEntry,
  decodeHead,
  decodeLeader,
  decodeSnapshotValue,
  type Entry,
  type SnapshotValue,
} from './wire/values.ts';

/** Keys read at once: entries and chunks are at most about 1 MiB each. */
const pageKeys = 16;
const pageTimeoutMs = 5_000;

export interface Synced {
  readonly revision: number;
  readonly leader: Seen | undefined;
  readonly head: { readonly index: number; readonly id: string };
  readonly snapshotIndex: number;
}

export interface SyncListener {
  readonly snapshot: (records: readonly Uint8Array[], at: { index: number; bytes: number }) => void;
  readonly entry: (entry: Entry, at: { bytes: number; revision: number }) => void;
  /** Whether nobody wants to know any more. */
  readonly cancelled: () => boolean;
}

/** Throws EtcdCallError, `compacted` when history went away under it; WireError for what is not ours. */
export async function readState(
  etcd: Etcd,
  keys: Keys,
  o: { readonly after: number; readonly timeoutMs: number },
  on: SyncListener,
): Promise<Synced | undefined> {
  const { revision, found } = await etcd.txn(
    {
      success: [
        { range: { key: keys.snapshot } },
        { range: { key: keys.head } },
        { range: { key: keys.leader } },
      ],
    },
    { timeoutMs: o.timeoutMs },
  );
  const [snapshotAt, headAt, leaderAt] = found.map(([kv]) => kv);
  const snapshot = read(snapshotAt, decodeSnapshotValue);
  const head = read(headAt, decodeHead) ?? { index: 0, id: '' };
  const leader = leaderOf(leaderAt);
  let after = o.after;
  if (snapshot !== undefined && snapshot.index > after) {
    const records = await readSnapshot(etcd, keys, snapshot, revision);
    if (on.cancelled()) return undefined;
    on.snapshot(records, { index: snapshot.index, bytes: snapshot.bytes });
    after = snapshot.index;
  }
  // An entry that begins before and ends after cannot be: snapshots are taken between entries.
  let key = keys.entry(after + 1);
  for (let more = true; more; ) {
    const page = await etcd.range(
      { key, end: keys.logEnd, limit: pageKeys, revision },
      { timeoutMs: pageTimeoutMs },
    );
    if (on.cancelled()) return undefined;
    for (const kv of page.kvs) {
      on.entry(readEntry(keys, kv.key, kv.value), { bytes: kv.value.length, revision: kv.modRevision });
      key = `${kv.key}\0`;
    }
    more = page.more;
  }
  return { revision, leader, head, snapshotIndex: snapshot?.index ?? 0 };
}

/** Throws WireError naming the key. */
export function readEntry(keys: Keys, key: string, value: Uint8Array): Entry {
  const entry = naming(key, () => decodeEntry(value));
  if (keys.indexOf(key) !== entry.first)
    throw new WireError(`${key}: holds the entry of index ${entry.first}`);
  return entry;
}

/** Throws WireError naming the key. */
export function leaderOf(
  kv: Pick<KeyValue, 'key' | 'value' | 'modRevision' | 'lease'> | undefined,
): Seen | undefined {
  if (kv === undefined) return undefined;
  const { address } = naming(kv.key, () => decodeLeader(kv.value));
  return { term: kv.modRevision, address, lease: kv.lease };
}

async function readSnapshot(
  etcd: Etcd,
  keys: Keys,
  snapshot: SnapshotValue,
  revision: number,
): Promise<readonly Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  let key = snapshot.folder;
  for (let more = true; more; ) {
    const page = await etcd.range(
      { key, end: endOf(snapshot.folder), limit: pageKeys, revision },
      { timeoutMs: pageTimeoutMs },
    );
    for (const kv of page.kvs) {
      if (kv.key !== keys.chunk(snapshot.folder, chunks.length))
        throw new WireError(`${kv.key}: chunk ${chunks.length} of the snapshot is missing before it`);
      chunks.push(kv.value);
      key = `${kv.key}\0`;
    }
    more = page.more;
  }
  const bytes = Buffer.concat(chunks);
  if (chunks.length !== snapshot.chunks || bytes.length !== snapshot.bytes || crc32(bytes) !== snapshot.crc32)
    throw new WireError(`${snapshot.folder}: the snapshot is damaged or incomplete`);
  return splitFramed(bytes);
}

function read<T>(kv: KeyValue | undefined, decode: (bytes: Uint8Array) => T): T | undefined {
  return kv === undefined ? undefined : naming(kv.key, () => decode(kv.value));
}

function naming<T>(key: string, decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    if (!(cause instanceof WireError)) throw cause;
    throw new WireError(`${key}: ${cause.message}; nobody else may write below this prefix`, { cause });
  }
}

/** What the core wants to know of what went wrong; throws what is a bug. */
export function failureOf(error: unknown): {
  readonly code: EtcdCallError['code'] | 'corrupt';
  readonly sure: boolean;
  readonly detail: string;
} {
  if (error instanceof EtcdCallError) return { code: error.code, sure: error.sure, detail: error.message };
  if (error instanceof WireError) return { code: 'corrupt', sure: true, detail: error.message };
  throw error;
}
