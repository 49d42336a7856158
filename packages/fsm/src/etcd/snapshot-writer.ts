/**
 * snapshot-writer.ts: a snapshot in pieces small enough for etcd, and the one transaction that makes it count.
 *
 * Pieces go into a folder of their own; until the last transaction nobody looks there. Each transaction compares the
 * leader key, so a leader of an old term writes nothing. Lives here: pieces, trimming the log, dropping history.
 * Must not live here: when a snapshot is due.
 */
import { crc32 } from 'node:zlib';
import { EtcdCallError } from './errors.ts';
import type { Etcd, Op, TxnResult } from './ports.ts';
import { frame } from './wire/framing.ts';
import { endOf, type Keys } from './wire/keys.ts';
import { encodeJson, type SnapshotValue } from './wire/values.ts';

/** Another leader's key stands where ours did. */
export class Deposed extends Error {
  override readonly name = 'Deposed';
}

export interface SnapshotWriterOptions {
  readonly etcd: Etcd;
  readonly keys: Keys;
  readonly chunkBytesMax: number;
  readonly timeoutMs: number;
  readonly term: number;
}

/** Writes the pieces; the snapshot does not count yet. */
export async function writeChunks(
  o: SnapshotWriterOptions,
  index: number,
  records: Iterable<Uint8Array>,
): Promise<SnapshotValue> {
  const folder = o.keys.folder(index, o.term);
  let chunks = 0;
  let bytes = 0;
  let sum = 0;
  const put = async (chunk: Uint8Array): Promise<void> => {
    bytes += chunk.length;
    sum = crc32(chunk, sum);
    await leading(o, [{ put: o.keys.chunk(folder, chunks++), value: chunk }]);
  };
  let gathered: Uint8Array[] = [];
  let gatheredBytes = 0;
  for (const record of records) {
    for (let rest: Uint8Array = frame(record); rest.length > 0; ) {
      const part = rest.subarray(0, o.chunkBytesMax - gatheredBytes);
      gathered.push(part);
      gatheredBytes += part.length;
      rest = rest.subarray(part.length);
      if (gatheredBytes < o.chunkBytesMax) continue;
      await put(Buffer.concat(gathered));
      gathered = [];
      gatheredBytes = 0;
    }
  }
  if (gatheredBytes > 0) await put(Buffer.concat(gathered));
  return { index, folder, chunks, bytes, crc32: sum };
}

/** From here on the snapshot stands for the log up to its index. Returns the revision of the one before; 0 for none. */
export async function commitSnapshot(o: SnapshotWriterOptions, snapshot: SnapshotValue): Promise<number> {
  const { keys } = o;
  const { found } = await leading(o, [
    { range: { key: keys.snapshot } },
    { put: keys.snapshot, value: encodeJson(snapshot) },
    { delete: keys.logStart, end: keys.entry(snapshot.index + 1) },
  ]);
  await leading(o, otherFolders(keys, snapshot.folder));
  return found[0]?.[0]?.modRevision ?? 0;
}

/** What is left of older snapshots and of ones that were never finished. */
export function otherFolders(keys: Keys, folder: string): readonly Op[] {
  return [
    { delete: keys.chunks, end: folder },
    { delete: endOf(folder), end: endOf(keys.chunks) },
  ];
}

async function leading(o: SnapshotWriterOptions, success: readonly Op[]): Promise<TxnResult> {
  const request = { compare: [{ key: o.keys.leader, revision: o.term }], success };
  // Each of these may be done twice without harm, so one lost answer need not cost the whole snapshot.
  let result: TxnResult;
  try {
    result = await o.etcd.txn(request, { timeoutMs: o.timeoutMs });
  } catch (error) {
    if (!(error instanceof EtcdCallError) || error.sure) throw error;
    result = await o.etcd.txn(request, { timeoutMs: o.timeoutMs });
  }
  if (!result.succeeded) throw new Deposed('another server leads');
  return result;
}
