/**
 * values.ts: what stands under our keys, and refusing what is not ours.
 *
 * Entries are protobuf, because they are many; the rest is JSON, because an operator looks at it with etcdctl.
 * Lives here: values to bytes and back. Must not live here: when they are written.
 */
import { decode, encode, toNumber, WireError } from './codec.ts';

export interface Entry {
  /** Unique per entry ever written; the same again is the same write, tried twice. */
  readonly id: string;
  /** Index of the first command. */
  readonly first: number;
  readonly commands: readonly Uint8Array[];
  /** No commands: the state is replaced by the snapshot of index `first`. */
  readonly install: boolean;
}

/** Index of the last thing in an entry. */
export function lastOf(entry: Entry): number {
  return entry.install ? entry.first : entry.first + entry.commands.length - 1;
}

export function encodeEntry(entry: Entry): Uint8Array {
  return encode('fedlog.Entry', { ...entry });
}

/** Throws WireError. */
export function decodeEntry(bytes: Uint8Array): Entry {
  const message = decode('fedlog.Entry', bytes) as {
    readonly id: string;
    readonly first: unknown;
    readonly commands: readonly Uint8Array[];
    readonly install: boolean;
  };
  const first = toNumber(message.first);
  const { id, install } = message;
  const commands = [...message.commands];
  if (id === '' || !Number.isSafeInteger(first) || first < 1 || (commands.length === 0) !== install)
    throw new WireError('not an entry of a log');
  return { id, first, commands, install };
}

export interface LeaderValue {
  readonly node: string;
  readonly address: string;
}

export interface HeadValue {
  readonly index: number;
  readonly id: string;
}

export interface SnapshotValue {
  readonly index: number;
  readonly folder: string;
  readonly chunks: number;
  readonly bytes: number;
  readonly crc32: number;
}

export function encodeJson(value: LeaderValue | HeadValue | SnapshotValue): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

export function decodeLeader(bytes: Uint8Array): LeaderValue {
  const { node, address } = record(bytes);
  if (typeof node !== 'string' || typeof address !== 'string') throw new WireError('not a leader');
  return { node, address };
}

export function decodeHead(bytes: Uint8Array): HeadValue {
  const { index, id } = record(bytes);
  if (!isIndex(index) || typeof id !== 'string') throw new WireError('not the head of a log');
  return { index, id };
}

export function decodeSnapshotValue(bytes: Uint8Array): SnapshotValue {
  const { index, folder, chunks, bytes: size, crc32 } = record(bytes);
  if (!isIndex(index) || typeof folder !== 'string' || !isIndex(chunks) || !isIndex(size) || !isIndex(crc32))
    throw new WireError('not a snapshot');
  return { index, folder, chunks, bytes: size, crc32 };
}

function record(bytes: Uint8Array): { readonly [key: string]: unknown } {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString());
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  } catch (cause) {
    throw new WireError('not JSON', { cause });
  }
  throw new WireError('not a JSON object');
}

function isIndex(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
