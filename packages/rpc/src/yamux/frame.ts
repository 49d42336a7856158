/**
 * frame.ts: yamux frames, bytes in and bytes out.
 *
 * Twelve bytes say what comes: version, type, flags, stream, length. Only data frames carry a payload, and it is handed
 * on in slices as it arrives: a frame may announce 4 GiB, and nobody here waits for it, or makes room for it.
 * Lives here: the header's layout and the incremental parser. Must not live here: what a frame means for a session.
 * Source: hashicorp/yamux const.go, spec.md.
 */
import { assert } from '../errors.ts';

const frameHeaderBytes = 12;
const protocolVersion = 0;

export const frameType = { data: 0, windowUpdate: 1, ping: 2, goAway: 3 } as const;
export type FrameType = (typeof frameType)[keyof typeof frameType];

export const frameFlag = { syn: 1, ack: 2, fin: 4, rst: 8 } as const;

export const goAwayCode = { normal: 0, protocolError: 1, internalError: 2 } as const;

/** Credit of a fresh stream, in both directions, in bytes. Fixed by the protocol: it is never negotiated. */
export const initialWindowBytes = 262_144;

export function encodeFrameHeader(
  type: FrameType,
  flags: number,
  streamId: number,
  length: number,
): Uint8Array {
  const header = Buffer.allocUnsafe(frameHeaderBytes);
  header[0] = protocolVersion;
  header[1] = type;
  header.writeUInt16BE(flags, 2);
  header.writeUInt32BE(streamId, 4);
  header.writeUInt32BE(length, 8);
  return header;
}

/** What `FrameParser.next` found. Details are in the parser's fields until the next call. */
export type FramePart =
  | 'header' // type, flags, streamId and length are set
  | 'payload' // payload is a slice of the current data frame; payloadLeft tells how much is still to come
  | 'badVersion' // terminal
  | 'badType'; // terminal

/**
 * Cuts a byte stream into headers and payload slices. Feed a chunk, then call `next` until it answers undefined.
 * Holds at most one partial header of its own; payload slices are views of what was fed.
 */
export class FrameParser {
  version = 0;
  type: FrameType = frameType.data;
  flags = 0;
  streamId = 0;
  length = 0;
  payload: Uint8Array = nothing;
  payloadLeft = 0;

  readonly #partial: Uint8Array = new Uint8Array(frameHeaderBytes);
  #partialBytes = 0;
  #chunk: Uint8Array = nothing;
  #offset = 0;

  /** The chunk before must have been read to its end. */
  feed(chunk: Uint8Array): void {
    assert(
      this.#offset === this.#chunk.length,
      'a frame parser is fed only when it has nothing left to read',
    );
    this.#chunk = chunk;
    this.#offset = 0;
  }

  /** A data frame of no bytes is followed by no payload part. */
  next(): FramePart | undefined {
    return this.payloadLeft > 0 ? this.#nextPayload() : this.#nextHeader();
  }

  #nextPayload(): FramePart | undefined {
    const available = this.#chunk.length - this.#offset;
    if (available === 0) return undefined;
    const taken = Math.min(available, this.payloadLeft);
    this.payload = this.#chunk.subarray(this.#offset, this.#offset + taken);
    this.#offset += taken;
    this.payloadLeft -= taken;
    return 'payload';
  }

  #nextHeader(): FramePart | undefined {
    const available = this.#chunk.length - this.#offset;
    if (this.#partialBytes === 0 && available >= frameHeaderBytes) {
      this.#read(this.#chunk, this.#offset);
      this.#offset += frameHeaderBytes;
    } else {
      const taken = Math.min(available, frameHeaderBytes - this.#partialBytes);
      this.#partial.set(this.#chunk.subarray(this.#offset, this.#offset + taken), this.#partialBytes);
      this.#partialBytes += taken;
      this.#offset += taken;
      if (this.#partialBytes < frameHeaderBytes) return undefined;
      this.#partialBytes = 0;
      this.#read(this.#partial, 0);
    }
    if (this.version !== protocolVersion) return 'badVersion';
    if (this.type > frameType.goAway) return 'badType';
    if (this.type === frameType.data) this.payloadLeft = this.length;
    return 'header';
  }

  #read(from: Uint8Array, at: number): void {
    this.version = from[at]!;
    this.type = from[at + 1]! as FrameType;
    this.flags = (from[at + 2]! << 8) | from[at + 3]!;
    this.streamId = readUint32(from, at + 4);
    this.length = readUint32(from, at + 8);
  }
}

const nothing = new Uint8Array(0);

function readUint32(from: Uint8Array, at: number): number {
  return ((from[at]! << 24) | (from[at + 1]! << 16) | (from[at + 2]! << 8) | from[at + 3]!) >>> 0;
}
