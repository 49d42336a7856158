/**
 * compound.ts: several messages in one packet: 07, u8 count, count times u16 length, then the parts back to back.
 *
 * Releases up to 0.2.3 compute the size of the length table in 8 bits and slice 128 parts or more at the wrong place:
 * so we never write more than 127, and read up to 255. memberlist util.go, net.go.
 * Lives here: the table and the slicing. Must not live here: what the parts are.
 */
import { WireError, WireUsageError } from './errors.ts';
import { messageType } from './message.ts';

/** What every release slices rightly. */
export const compoundPartsMax = 127;
/** One u16 length. */
const compoundPartBytesMax = 65_535;
/** What a compound costs: its type and count, and the length of each part. */
export const compoundHeaderBytes = 2;
const compoundPartHeaderBytes = 2;

/** Length of the compound of `parts`. @throws WireUsageError too_many_parts | part_too_large | empty_message */
export function compoundLength(parts: readonly Uint8Array[]): number {
  if (parts.length > compoundPartsMax) {
    throw new WireUsageError(
      'too_many_parts',
      `a compound has at most ${compoundPartsMax} parts, not ${parts.length}`,
    );
  }
  let length = compoundHeaderBytes;
  for (const part of parts) {
    // An empty part kills releases before 0.2.4.
    if (part.length === 0) throw new WireUsageError('empty_message', 'a message has at least its type byte');
    if (part.length > compoundPartBytesMax) {
      throw new WireUsageError(
        'part_too_large',
        `a part of a compound has at most ${compoundPartBytesMax} bytes, not ${part.length}: send it on a stream`,
      );
    }
    length += compoundPartHeaderBytes + part.length;
  }
  return length;
}

/** Writes the compound at `offset`, with room for `compoundLength(parts)` bytes; returns where it ends. */
export function writeCompound(parts: readonly Uint8Array[], into: Uint8Array, offset: number): number {
  into[offset] = messageType.compound;
  into[offset + 1] = parts.length;
  let table = offset + compoundHeaderBytes;
  let end = table + compoundPartHeaderBytes * parts.length;
  for (const part of parts) {
    into[table] = part.length >>> 8;
    into[table + 1] = part.length;
    table += compoundPartHeaderBytes;
    into.set(part, end);
    end += part.length;
  }
  return end;
}

/** One compound, as bytes of its own. @throws WireUsageError as `compoundLength` */
export function encodeCompound(parts: readonly Uint8Array[]): Uint8Array {
  const compound = new Uint8Array(compoundLength(parts));
  writeCompound(parts, compound, 0);
  return compound;
}

export interface CompoundParts {
  /** Views, in wire order; empty ones are left out. */
  readonly parts: readonly Uint8Array[];
  /** How many parts at the end were cut off with the packet. */
  readonly truncated: number;
}

/** Takes a compound (with its type byte) apart. @throws WireError truncated: no count, or a cut table of lengths */
export function openCompound(compound: Uint8Array): CompoundParts {
  const count = compound[1];
  if (count === undefined) throw new WireError('truncated', 'a compound without its count of parts');
  const tableEnd = compoundHeaderBytes + count * compoundPartHeaderBytes;
  if (compound.length < tableEnd) {
    throw new WireError('truncated', `a compound of ${count} parts whose table of lengths is cut short`);
  }
  const parts: Uint8Array[] = [];
  let start = tableEnd;
  for (let index = 0; index < count; index++) {
    const table = compoundHeaderBytes + index * compoundPartHeaderBytes;
    const end = start + ((compound[table]! << 8) | compound[table + 1]!);
    if (end > compound.length) return { parts, truncated: count - index };
    if (end > start) parts.push(compound.subarray(start, end));
    start = end;
  }
  return { parts, truncated: 0 };
}
