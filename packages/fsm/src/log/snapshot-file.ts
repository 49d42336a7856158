/**
 * snapshot-file.ts: snapshot records on disk, so framed that damage is noticed before a single record is believed.
 *
 *   header   "FEDSNAP" 01 | index u64 | crc32 of the 16 bytes before
 *   record   length u32 | crc32 u32 | bytes
 *   end      ffffffff | number of records u32 | crc32 of all record checksums in order
 *
 * Lives here: the framing, writing it safely. Must not live here: what records mean (../snapshot.ts).
 */
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { LogError } from './errors.ts';
import type { LogFs } from './fs.ts';

const magic = Buffer.from('FEDSNAP\x01', 'latin1');
const headerBytes = 20;
const endMark = 0xffffffff;

/** Bytes gathered before they are handed to the disk (256 KiB): between two such writes other work goes on. */
const chunkBytes = 256 * 1024;

/** Digits of an index in a file name: enough for 2^53, so that names sort as numbers. */
const indexDigits = 16;
const fileName = /^snapshot-(\d{16})$/;
const temporaryName = 'snapshot.tmp';

export function snapshotFileName(index: number): string {
  return `snapshot-${String(index).padStart(indexDigits, '0')}`;
}

export function snapshotFileIndex(name: string): number | undefined {
  const digits = fileName.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

export function isTemporary(name: string): boolean {
  return name === temporaryName;
}

/** Temporary file, sync, rename, directory sync: under its final name there is only ever a whole snapshot. Only one at a time. */
export async function writeSnapshotFile(
  fs: LogFs,
  dir: string,
  index: number,
  records: Iterable<Uint8Array>,
): Promise<{ readonly bytes: number }> {
  const temporary = join(dir, temporaryName);
  await fs.remove(temporary);
  const file = await fs.create(temporary);
  let position = 0;
  try {
    let gathered: Uint8Array[] = [];
    let gatheredBytes = 0;
    const put = async (): Promise<void> => {
      await file.write(Buffer.concat(gathered), position);
      position += gatheredBytes;
      gathered = [];
      gatheredBytes = 0;
    };
    for (const part of framed(index, records)) {
      gathered.push(part);
      gatheredBytes += part.length;
      if (gatheredBytes >= chunkBytes) await put();
    }
    await put();
    await file.sync();
  } catch (error) {
    await file.close().catch(() => {});
    await fs.remove(temporary).catch(() => {});
    throw error;
  }
  await file.close();
  await fs.rename(temporary, join(dir, snapshotFileName(index)));
  await fs.syncDir(dir);
  return { bytes: position };
}

function* framed(index: number, records: Iterable<Uint8Array>): Generator<Uint8Array> {
  const header = Buffer.alloc(headerBytes);
  magic.copy(header);
  header.writeBigUInt64BE(BigInt(index), 8);
  header.writeUInt32BE(crc32(header.subarray(0, 16)), 16);
  yield header;
  let count = 0;
  let all = 0;
  for (const record of records) {
    const head = Buffer.allocUnsafe(8);
    head.writeUInt32BE(record.length, 0);
    head.writeUInt32BE(crc32(record), 4);
    all = crc32(head.subarray(4), all);
    count++;
    yield head;
    yield record;
  }
  const end = Buffer.allocUnsafe(12);
  end.writeUInt32BE(endMark, 0);
  end.writeUInt32BE(count, 4);
  end.writeUInt32BE(all, 8);
  yield end;
}

/** Checks the whole file; throws LogError `log_corrupt` naming file and offset. Records are views into it. */
export async function readSnapshotFile(
  fs: LogFs,
  dir: string,
  name: string,
): Promise<{ readonly index: number; readonly records: readonly Uint8Array[]; readonly bytes: number }> {
  const path = join(dir, name);
  const read = await fs.read(path);
  const bytes = Buffer.from(read.buffer, read.byteOffset, read.length);
  const corrupt = (offset: number, why: string): LogError =>
    new LogError(
      'log_corrupt',
      dir,
      `${path} is damaged at offset ${offset}: ${why}; restore it from a backup`,
      {
        file: path,
        offset,
      },
    );
  if (
    bytes.length < headerBytes ||
    !bytes.subarray(0, magic.length).equals(magic) ||
    crc32(bytes.subarray(0, 16)) !== bytes.readUInt32BE(16)
  )
    throw corrupt(0, 'the header is not that of a snapshot');
  const records: Uint8Array[] = [];
  let all = 0;
  let at = headerBytes;
  for (;;) {
    if (bytes.length - at < 12) throw corrupt(at, 'the file ends early');
    const length = bytes.readUInt32BE(at);
    if (length === endMark) break;
    if (length > bytes.length - at - 8) throw corrupt(at, 'a record reaches beyond the end');
    const record = bytes.subarray(at + 8, at + 8 + length);
    if (crc32(record) !== bytes.readUInt32BE(at + 4)) throw corrupt(at, 'a record fails its checksum');
    all = crc32(bytes.subarray(at + 4, at + 8), all);
    records.push(record);
    at += 8 + length;
  }
  if (bytes.readUInt32BE(at + 4) !== records.length || bytes.readUInt32BE(at + 8) !== all)
    throw corrupt(at, 'records are missing or doubled');
  if (bytes.length !== at + 12) throw corrupt(at + 12, 'there is more after the end');
  return { index: Number(bytes.readBigUInt64BE(8)), records, bytes: bytes.length };
}
