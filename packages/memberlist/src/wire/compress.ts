/**
 * compress.ts: a message inside a message: 09, then {Algo: 0, Buf: what LZW made of it}.
 *
 * Packets take the compressed form only if it is shorter, streams always. memberlist util.go, net.go.
 * Lives here: the message around LZW and its limits. Must not live here: LZW (lzw.ts), who compresses.
 */
import { MsgpackError, Reader } from '@fed/msgpack';
import { WireError } from './errors.ts';
import { type ExpansionBudget, lzwCompressInto, lzwDecompress, lzwLengthMax } from './lzw.ts';
import { messageType } from './message.ts';

/** Compressed bytes we take in one message (20 MiB): as much as an encrypted stream may carry. Guards our memory. */
const compressedBytesMax = 20 * 1024 * 1024;
/**
 * Bytes that the compress message may have besides `Buf`; its own take a dozen. Guards our time: on a dripping stream
 * they are read anew with every piece that arrives.
 */
const otherFieldsBytesMax = 256;

/** 09, a map of two: "Algo": 0, and the key "Buf". */
const prefix = Uint8Array.of(
  messageType.compress,
  0x82,
  0xa4,
  0x41,
  0x6c,
  0x67,
  0x6f,
  0,
  0xa3,
  0x42,
  0x75,
  0x66,
);
/** A descriptor and a length of 32 bits. */
const bufHeaderBytesMax = 5;
/** The prefix and the longest header of `Buf`. */
const headroom = prefix.length + bufHeaderBytesMax;
const shortestOverheadBytes = prefix.length + 1;

/** The compress message around `message`, whatever its size. */
export function compress(message: Uint8Array): Uint8Array {
  const into = new Uint8Array(headroom + lzwLengthMax(message.length));
  return withHeader(into, lzwCompressInto(message, into, headroom, into.length));
}

/** As much as a datagram; what is longer gets room of its own. */
const scratch = new Uint8Array(64 * 1024);

/** The same if it is shorter than `message`. The result is good until the next call. */
export function compressIfShorter(message: Uint8Array): Uint8Array | undefined {
  const lzwBytesMax = message.length - shortestOverheadBytes;
  if (lzwBytesMax <= 0) return undefined;
  const limit = headroom + lzwBytesMax;
  const into = limit <= scratch.length ? scratch : new Uint8Array(limit);
  const end = lzwCompressInto(message, into, headroom, limit);
  if (end === -1) return undefined;
  const compressed = withHeader(into, end);
  return compressed.length < message.length ? compressed : undefined;
}

/** Puts the header right in front of what LZW wrote. */
function withHeader(into: Uint8Array, end: number): Uint8Array {
  const length = end - headroom;
  let start = headroom;
  if (length < 32) {
    into[--start] = 0xa0 | length;
  } else {
    into[--start] = length;
    into[--start] = length >>> 8;
    if (length > 0xffff) {
      into[--start] = length >>> 16;
      into[--start] = length >>> 24;
    }
    into[--start] = length > 0xffff ? 0xdb : 0xda;
  }
  start -= prefix.length;
  into.set(prefix, start);
  return into.subarray(start, end);
}

/**
 * What a compress message (with its type byte) contains. Takes what it produces off `budget`.
 * @throws WireError compression_algorithm | compression_malformed | compression_too_large
 */
export function decompress(message: Uint8Array, budget: ExpansionBudget): Uint8Array {
  const compressed = readCompressed(message, 1, message.length);
  if (compressed === undefined) throw new WireError('compression_malformed', 'compress message is cut short');
  return expand(compressed, budget);
}

export interface Compressed {
  readonly algorithm: number;
  readonly bytes: Uint8Array;
  /** Where the message ends. */
  readonly end: number;
}

/** @throws WireError compression_algorithm | compression_malformed | compression_too_large */
export function expand(compressed: Compressed, budget: ExpansionBudget): Uint8Array {
  if (compressed.algorithm !== 0) {
    throw new WireError(
      'compression_algorithm',
      `cannot decompress unknown algorithm ${compressed.algorithm}`,
    );
  }
  return lzwDecompress(compressed.bytes, budget);
}

/**
 * Reads the body of a compress message between `offset` and `end`; undefined while it is not all there.
 * @throws WireError compression_malformed | compression_too_large
 */
export function readCompressed(bytes: Uint8Array, offset: number, end: number): Compressed | undefined {
  const reader = new Reader(bytes, offset, end);
  let algorithm = 0;
  let buf: Uint8Array = new Uint8Array(0);
  let bufStart = -1;
  let bufBytes = 0;
  try {
    const list = isList(reader.peek());
    const size = list ? reader.array() : reader.map();
    for (let index = 0; index < size; index++) {
      const field = list ? fieldOrder[index] : reader.key();
      if (field === 'Algo') algorithm = reader.uint(255);
      else if (field === 'Buf') {
        // A list of small integers is read item by item: it counts as one of the other fields.
        bufStart = isList(reader.peek()) ? -1 : reader.offset;
        buf = reader.bytes();
        if (bufStart !== -1) bufBytes += reader.offset - bufStart;
        bufStart = -1;
      } else reader.skip();
    }
  } catch (cause) {
    if (!(cause instanceof MsgpackError)) throw cause;
    if (cause.code !== 'truncated') throw new WireError('compression_malformed', cause.message, { cause });
    if (bufStart !== -1) bufBytes += end - bufStart;
    checkSize(bufBytes, end - offset - bufBytes);
    return undefined;
  }
  checkSize(bufBytes, reader.offset - offset - bufBytes);
  return { algorithm, bytes: buf, end: reader.offset };
}

/** As memberlist declares them. */
const fieldOrder = ['Algo', 'Buf'];

function isList(descriptor: number): boolean {
  return (descriptor & 0xf0) === 0x90 || descriptor === 0xdc || descriptor === 0xdd;
}

function checkSize(bufBytes: number, otherBytes: number): void {
  if (bufBytes > compressedBytesMax + bufHeaderBytesMax) {
    throw new WireError('compression_too_large', `more than ${compressedBytesMax} compressed bytes`);
  }
  if (otherBytes > otherFieldsBytesMax) {
    throw new WireError('compression_too_large', 'compress message with more than its two fields');
  }
}
