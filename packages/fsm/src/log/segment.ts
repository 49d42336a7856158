/**
 * segment.ts: bytes of a log segment, and the judgement over its end.
 *
 * A segment is a header and frames; a frame is one batch of commands, written and synced as one. The next frame is begun
 * only when the one before is durable. That makes a broken frame tell its own story: with anything after it, it was once
 * durable and has been damaged since; at the very end and incomplete, it is the write during which the machine stopped,
 * which nobody was told of.
 *
 *   segment  "FEDLOG" 00 01 | first index u64 | crc32 of the 16 bytes before
 *   frame    "FRAM" | body bytes u32 | first index u64 | crc32 of body | crc32 of the 20 bytes before | body
 *   body     (length u32 | command)…            all numbers big-endian
 *
 * Lives here: encode, decode, judge. Must not live here: files, recovery.
 */
import { crc32 } from 'node:zlib';

export const segmentHeaderBytes = 20;
export const frameHeaderBytes = 24;

/** Largest body that is believed, in bytes (256 MiB): four times what a writer may gather, so a wild length is caught. */
export const frameBodyBytesMax: number = 256 * 1024 * 1024;

/** What a disk writes or does not write as a whole, in bytes. */
const sectorBytes = 512;

const segmentMagic = Buffer.from('FEDLOG\x00\x01', 'latin1');
const frameMagic = Buffer.from('FRAM', 'latin1');

export interface Entry {
  readonly index: number;
  readonly command: Uint8Array;
}

/**
 * `end`: bytes that are good. `torn`: what follows them was never acknowledged and may be cut. `corrupt`: what was once
 * durable is not what it was, beginning at `end`.
 */
export type Scan = {
  readonly firstIndex: number;
  readonly entries: readonly Entry[];
  readonly end: number;
} & (
  | { readonly verdict: 'clean' }
  | { readonly verdict: 'torn'; readonly why: string }
  | { readonly verdict: 'corrupt'; readonly why: string }
);

export function encodeSegmentHeader(firstIndex: number): Uint8Array {
  const out = Buffer.alloc(segmentHeaderBytes);
  segmentMagic.copy(out);
  out.writeBigUInt64BE(BigInt(firstIndex), 8);
  out.writeUInt32BE(crc32(out.subarray(0, 16)), 16);
  return out;
}

export function encodeFrame(firstIndex: number, commands: readonly Uint8Array[]): Uint8Array {
  let bodyBytes = 0;
  for (const command of commands) bodyBytes += 4 + command.length;
  const out = Buffer.allocUnsafe(frameHeaderBytes + bodyBytes);
  let at = frameHeaderBytes;
  for (const command of commands) {
    at = out.writeUInt32BE(command.length, at);
    out.set(command, at);
    at += command.length;
  }
  frameMagic.copy(out);
  out.writeUInt32BE(bodyBytes, 4);
  out.writeBigUInt64BE(BigInt(firstIndex), 8);
  out.writeUInt32BE(crc32(out.subarray(frameHeaderBytes)), 16);
  out.writeUInt32BE(crc32(out.subarray(0, 20)), 20);
  return out;
}

/** Reads a whole segment. Commands are views into `file`. */
export function scanSegment(file: Uint8Array): Scan {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.length);
  const none = { firstIndex: 0, entries: [], end: 0 } as const;
  if (bytes.length < segmentHeaderBytes)
    return { ...none, verdict: 'torn', why: 'the segment header is incomplete' };
  if (!segmentHeaderOk(bytes)) {
    // A header is synced before the first frame is begun: one that never reached the disk has nothing behind it.
    return allZero(bytes, 0, bytes.length)
      ? { ...none, verdict: 'torn', why: 'the segment was never written' }
      : { ...none, verdict: 'corrupt', why: 'the segment header is damaged' };
  }
  const firstIndex = Number(bytes.readBigUInt64BE(8));
  const entries: Entry[] = [];
  let end = segmentHeaderBytes;
  let next = firstIndex;
  while (end < bytes.length) {
    const frame = readFrame(bytes, end);
    if (frame.kind === 'good' && frame.firstIndex !== next)
      return {
        firstIndex,
        entries,
        end,
        verdict: 'corrupt',
        why: `index ${frame.firstIndex} where ${next} is due`,
      };
    if (frame.kind !== 'good') return { firstIndex, entries, end, ...judge(bytes, end, frame) };
    for (const command of frame.commands) entries.push({ index: next++, command });
    end = frame.end;
  }
  return { firstIndex, entries, end, verdict: 'clean' };
}

type Frame =
  | {
      readonly kind: 'good';
      readonly firstIndex: number;
      readonly commands: readonly Uint8Array[];
      readonly end: number;
    }
  | { readonly kind: 'cut'; readonly why: string }
  | { readonly kind: 'badHeader' }
  | { readonly kind: 'badBody'; readonly end: number };

function readFrame(bytes: Buffer, at: number): Frame {
  if (bytes.length - at < frameHeaderBytes) return { kind: 'cut', why: 'a frame header is incomplete' };
  if (!frameHeaderOk(bytes, at)) return { kind: 'badHeader' };
  const end = at + frameHeaderBytes + bytes.readUInt32BE(at + 4);
  if (end > bytes.length) return { kind: 'cut', why: 'a frame is incomplete' };
  const body = bytes.subarray(at + frameHeaderBytes, end);
  if (crc32(body) !== bytes.readUInt32BE(at + 16)) return { kind: 'badBody', end };
  const commands: Uint8Array[] = [];
  for (let offset = 0; offset < body.length; ) {
    const length = body.readUInt32BE(offset);
    commands.push(body.subarray(offset + 4, offset + 4 + length));
    offset += 4 + length;
  }
  return { kind: 'good', firstIndex: Number(bytes.readBigUInt64BE(at + 8)), commands, end };
}

function judge(
  bytes: Buffer,
  at: number,
  frame: Exclude<Frame, { kind: 'good' }>,
): { verdict: 'torn' | 'corrupt'; why: string } {
  switch (frame.kind) {
    case 'cut':
      return { verdict: 'torn', why: frame.why };
    case 'badBody':
      if (frame.end < bytes.length)
        return { verdict: 'corrupt', why: 'a frame in the middle fails its checksum' };
      // Complete in length and still wrong: torn only if a sector of it was never written.
      return hasUnwrittenSector(bytes, at, frame.end)
        ? { verdict: 'torn', why: 'sectors of the last frame were not written' }
        : { verdict: 'corrupt', why: 'the last frame is complete but fails its checksum' };
    case 'badHeader':
      if (findFrame(bytes, at + 1) !== undefined)
        return { verdict: 'corrupt', why: 'a frame header is damaged, with good frames after it' };
      return hasUnwrittenSector(bytes, at, bytes.length)
        ? { verdict: 'torn', why: 'sectors of the last frame were not written' }
        : { verdict: 'corrupt', why: 'a frame header is damaged' };
  }
}

function segmentHeaderOk(bytes: Buffer): boolean {
  return (
    bytes.subarray(0, segmentMagic.length).equals(segmentMagic) &&
    crc32(bytes.subarray(0, 16)) === bytes.readUInt32BE(16)
  );
}

function frameHeaderOk(bytes: Buffer, at: number): boolean {
  return (
    bytes.subarray(at, at + frameMagic.length).equals(frameMagic) &&
    crc32(bytes.subarray(at, at + 20)) === bytes.readUInt32BE(at + 20) &&
    bytes.readUInt32BE(at + 4) <= frameBodyBytesMax
  );
}

function findFrame(bytes: Buffer, from: number): number | undefined {
  for (let at = bytes.indexOf(frameMagic, from); at !== -1; at = bytes.indexOf(frameMagic, at + 1))
    if (bytes.length - at >= frameHeaderBytes && readFrame(bytes, at).kind === 'good') return at;
  return undefined;
}

function hasUnwrittenSector(bytes: Buffer, from: number, to: number): boolean {
  for (let start = from; start < to; ) {
    const end = Math.min(to, (Math.floor(start / sectorBytes) + 1) * sectorBytes);
    if (allZero(bytes, start, end)) return true;
    start = end;
  }
  return false;
}

function allZero(bytes: Buffer, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (bytes[i] !== 0) return false;
  return true;
}
