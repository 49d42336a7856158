/**
 * @fed/msgpack: the msgpack dialect of go-msgpack 0.5.x, in which memberlist, serf, net/rpc and the raft log of
 * Consul are written.
 */

import type { DecodeOptions } from './reader.ts';
import { Reader } from './reader.ts';
import type { Value } from './value.ts';
import { Writer } from './writer.ts';

export { MsgpackError } from './errors.ts';
export { goTime, goTimeFromRfc3339, goTimeToRfc3339, goTimeToUnixMs, goTimeZero } from './go-time.ts';
export { type DecodeOptions, Reader } from './reader.ts';
export { Float, newMap, type Value } from './value.ts';
export { Writer } from './writer.ts';

/**
 * The first value in `bytes`; what follows it is ignored. Raw that is valid UTF-8 becomes a string, else a
 * Uint8Array; under a key in `binaryKeys` always a Uint8Array. Encoding the result again gives the same bytes,
 * where they were in canonical form.
 */
export function decode(bytes: Uint8Array, options?: DecodeOptions): Value {
  return new Reader(bytes).value(options);
}

/** Keys in each object's own order. */
export function encode(value: Value): Uint8Array {
  return new Writer().value(value).take();
}

/** Every map's keys sorted bytewise, as Go writes structs. */
export function encodeSorted(value: Value): Uint8Array {
  return new Writer().sorted(value).take();
}
