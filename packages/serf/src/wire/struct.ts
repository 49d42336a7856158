/**
 * struct.ts: reads Go structs from msgpack, as tolerant as Go is.
 *
 * A struct comes as a map in any order (unknown keys skipped, missing ones zero, the last of duplicates wins), as a
 * list in declaration order (surplus skipped), or as nil (all zero). go-msgpack codec/decode.go, `kStruct`.
 * Lives here: that shape, integer fields of Go's widths, the translation of errors. Must not live here: any message.
 */
import { MsgpackError, type Reader } from '@fed/msgpack';
import { WireError } from '../errors.ts';

const u64Max = 2n ** 64n - 1n;
const i64Max = 2n ** 63n - 1n;

/** Calls `read` for every field present, positioned at its value. `fields` are in declaration order. */
export function readStruct<F extends string>(
  r: Reader,
  fields: readonly F[],
  read: (field: F) => void,
): void {
  if (r.nil()) return;
  const lead = r.peek();
  if ((lead & 0xf0) === 0x90 || lead === 0xdc || lead === 0xdd) {
    const size = r.array();
    for (let i = 0; i < size; i++) {
      const field = fields[i];
      if (field === undefined) r.skip();
      else read(field);
    }
    return;
  }
  const size = r.map();
  for (let i = 0; i < size; i++) {
    const key = r.key() as F;
    if (fields.includes(key)) read(key);
    else r.skip();
  }
}

/** An unsigned 64-bit integer of any width on the wire. */
export function readU64(r: Reader): bigint {
  const n = BigInt(r.int());
  if (n < 0n || n > u64Max) throw new WireError('out_of_range', `${n} is no unsigned 64-bit integer`);
  return n;
}

/** A signed 64-bit integer; what Go would wrap to a negative number is refused. */
export function readI64(r: Reader): bigint {
  const n = BigInt(r.int());
  if (n > i64Max) throw new WireError('out_of_range', `${n} is no signed 64-bit integer`);
  return n;
}

/** Bytes, with nil kept apart from empty. A view into the input. */
export function readBytes(r: Reader): Uint8Array | null {
  return r.nil() ? null : r.bytes();
}

/** Items of a list, or null for nil. Every item takes at least one byte, so the input's size bounds the result. */
export function readList<T>(r: Reader, countMax: number, item: () => T): T[] | null {
  const size = r.array();
  if (size < 0) return null;
  if (size > countMax) throw new WireError('too_many', `a list of ${size}, at most ${countMax} are taken`);
  const out: T[] = [];
  for (let i = 0; i < size; i++) out.push(item());
  return out;
}

/** Runs a decoder; whatever msgpack finds wrong is the peer's fault and comes out as a WireError. */
export function decoding<T>(what: string, decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    if (cause instanceof MsgpackError)
      throw new WireError(
        cause.code === 'out_of_range' ? 'out_of_range' : 'malformed',
        `${what}: ${cause.message}`,
        { cause },
      );
    throw cause;
  }
}
