/**
 * recover.ts: what a directory says happened before this process.
 *
 * The newest snapshot, then every command after it, without a gap. Only the end of the last segment may be incomplete: it
 * is cut, and said so. Anything else that is not as it was written is an error naming file and offset, never a shorter
 * history (I6).
 * One segment is in memory at a time: a log may be longer than memory is large.
 * Lives here: reading the directory. Must not live here: formats, writing on.
 */
import { join } from 'node:path';
import { LogError } from './errors.ts';
import type { LogFs } from './fs.ts';
import { type Entry, scanSegment } from './segment.ts';
import { isTemporary, readSnapshotFile, snapshotFileIndex } from './snapshot-file.ts';

/** Digits of an index in a file name: enough for 2^53, so that names sort as numbers. */
const indexDigits = 16;
const segmentName = /^segment-(\d{16})$/;

export interface Segment {
  readonly name: string;
  readonly firstIndex: number;
  readonly bytes: number;
}

/** What recovery finds, in this order. A call may be the last one: recovery fails at the first damage. */
export interface Findings {
  readonly snapshot: (found: { readonly index: number; readonly records: readonly Uint8Array[] }) => void;
  /** Commands after the snapshot, in order, without a gap. */
  readonly entry: (entry: Entry) => void;
  readonly torn: (tail: TornTail) => void;
}

export interface Recovered {
  readonly snapshotIndex: number;
  readonly lastIndex: number;
  /** Segments that stay, oldest first; the last is the one to write on. */
  readonly segments: readonly Segment[];
  readonly snapshotBytes: number;
  /** The last segment ends before the snapshot: what comes next would not follow on in it. */
  readonly rollFirst: boolean;
}

export interface TornTail {
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
  readonly why: string;
}

export function segmentFileName(firstIndex: number): string {
  return `segment-${String(firstIndex).padStart(indexDigits, '0')}`;
}

/** Reads everything, cuts a torn tail (durably, before anything is written after it), removes what a snapshot made superfluous. */
export async function recover(fs: LogFs, dir: string, on: Findings): Promise<Recovered> {
  const names = await fs.list(dir);
  for (const name of names) if (isTemporary(name)) await fs.remove(join(dir, name));
  const newest = names
    .filter((name) => snapshotFileIndex(name) !== undefined)
    .sort()
    .at(-1);
  const snapshot = newest === undefined ? undefined : await readSnapshotFile(fs, dir, newest);
  const snapshotIndex = snapshot?.index ?? 0;
  if (snapshot !== undefined) on.snapshot(snapshot);

  const all = names.filter((name) => segmentName.test(name)).sort();
  // A segment whose successor starts at or before the first command wanted holds nothing wanted.
  const wanted = all.filter(
    (_, i) => i === all.length - 1 || firstIndexOf(all[i + 1] as string) > snapshotIndex + 1,
  );
  const segments: Segment[] = [];
  let next = snapshotIndex + 1;
  let segmentEnd = 0;
  for (const name of wanted) {
    const path = join(dir, name);
    const bytes = await fs.read(path);
    const scan = scanSegment(bytes);
    const last = name === wanted.at(-1);
    if (scan.verdict === 'corrupt' || (scan.verdict === 'torn' && !last))
      throw damaged(dir, path, scan.end, scan.why);
    if (scan.verdict === 'torn')
      on.torn({ file: path, offset: scan.end, bytes: bytes.length - scan.end, why: scan.why });
    if (last) await settle(fs, path, scan.end);
    if (scan.end === 0) continue; // not even a header: the segment is gone
    if (scan.firstIndex !== firstIndexOf(name))
      throw damaged(dir, path, 0, `it begins with index ${scan.firstIndex}`);
    if (scan.firstIndex > next)
      throw damaged(dir, path, 0, `commands ${next} to ${scan.firstIndex - 1} are missing before it`);
    for (const entry of scan.entries) {
      if (entry.index < next) continue; // older than the snapshot
      on.entry(entry);
      next++;
    }
    segmentEnd = scan.firstIndex + scan.entries.length;
    segments.push({ name, firstIndex: scan.firstIndex, bytes: scan.end });
  }

  // Names, like bytes, may so far exist for this running system only; after this they outlast a power cut.
  await fs.syncDir(dir);
  const superfluous = [
    ...all.filter((name) => !wanted.includes(name)),
    ...names.filter((name) => snapshotFileIndex(name) !== undefined && name !== newest),
  ];
  for (const name of superfluous) await fs.remove(join(dir, name));
  return {
    snapshotIndex,
    lastIndex: next - 1,
    segments,
    snapshotBytes: snapshot?.bytes ?? 0,
    rollFirst: segmentEnd !== next,
  };
}

/**
 * Makes the good part of the last segment durable, and only that. The process before us may have been killed between a
 * write and its sync: we can read such a frame, and would build on it, but a power cut could still take it away.
 */
async function settle(fs: LogFs, path: string, goodBytes: number): Promise<void> {
  if (goodBytes === 0) return fs.remove(path);
  const file = await fs.open(path);
  try {
    if ((await file.size()) !== goodBytes) await file.truncate(goodBytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

function firstIndexOf(name: string): number {
  return Number(segmentName.exec(name)?.[1]);
}

function damaged(dir: string, file: string, offset: number, why: string): LogError {
  return new LogError(
    'log_corrupt',
    dir,
    `${file} is damaged at offset ${offset}: ${why}. Acknowledged commands would be lost by going on; restore ${dir} from a backup`,
    { file, offset },
  );
}
