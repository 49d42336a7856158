/**
 * frame.ts: gossip packets on a byte stream: four bytes of length, big endian, then the packet, over and
 * over.
 *
 * Nothing is ever written back and there is no version field. The parser holds at most one unfinished packet
 * and lets its memory grow with what has really arrived, so announcing 4 MiB costs the announcer 4 MiB as
 * well.
 * Lives here: the bytes. Must not live here: connections, time, what a packet means.
 * Source: Consul agent/consul/wanfed/wanfed.go (IngestionAwareTransport), agent/consul/rpc.go
 * (handleALPN_WANGossipPacketStream).
 */
import { PeerProtocolError } from './errors.ts';

const frameHeaderBytes = 4;

/** Largest packet on the wire, in bytes (4 MiB). A larger length makes the receiver drop the connection. */
export const framePayloadBytesMax: number = 4 * 1024 * 1024;

/** First allocation for a packet that did not arrive in one piece; ordinary gossip fits. */
const partialBytesMin = 2048;

/** What these packets take on the wire. */
export function framedBytes(packets: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const packet of packets) bytes += frameHeaderBytes + packet.length;
  return bytes;
}

export function frameHeader(payloadBytes: number): Buffer {
  const header = Buffer.allocUnsafe(frameHeaderBytes);
  header.writeUInt32BE(payloadBytes, 0);
  return header;
}

/**
 * All packets, framed, in one buffer: one write, and one TLS record where the original made two per packet.
 */
export function encodeFrames(packets: readonly Uint8Array[]): Buffer {
  const out = Buffer.allocUnsafe(framedBytes(packets));
  let at = 0;
  for (const packet of packets) {
    at = out.writeUInt32BE(packet.length, at);
    out.set(packet, at);
    at += packet.length;
  }
  return out;
}

/** Fed with chunks of any size; hands out whole packets, each once and in order (I7). */
export class FrameParser {
  /** Bytes of the length seen so far (0 to 3), and their value. */
  #headerSeen = 0;
  #header = 0;
  /** Length of the packet being read; 0 while between packets. */
  #wanted = 0;
  #filled = 0;
  #partial: Buffer | undefined;
  #fault: PeerProtocolError | undefined;

  /** Whether the stream would end within a frame if it ended now. */
  get midFrame(): boolean {
    return this.#headerSeen > 0 || this.#wanted > 0;
  }

  /**
   * Calls `onPacket` for each packet that is now whole: a view into `chunk` where possible, else a buffer of
   * its own. Returns the fault that ended the stream; from then on nothing is handed out any more.
   */
  push(chunk: Uint8Array, onPacket: (packet: Uint8Array) => void): PeerProtocolError | undefined {
    let at = 0;
    while (at < chunk.length && this.#fault === undefined) {
      if (this.#wanted === 0) {
        at = this.#readHeader(chunk, at);
        continue;
      }
      const take = Math.min(this.#wanted - this.#filled, chunk.length - at);
      if (take === this.#wanted) {
        this.#wanted = 0; // before the call: it may well throw
        onPacket(chunk.subarray(at, at + take));
      } else {
        this.#keep(chunk.subarray(at, at + take));
        if (this.#filled === this.#wanted) onPacket(this.#takePartial());
      }
      at += take;
    }
    return this.#fault;
  }

  #readHeader(chunk: Uint8Array, from: number): number {
    let at = from;
    while (this.#headerSeen < frameHeaderBytes && at < chunk.length) {
      this.#header = this.#header * 256 + chunk[at]!;
      this.#headerSeen++;
      at++;
    }
    if (this.#headerSeen < frameHeaderBytes) return at;
    const length = this.#header;
    this.#header = 0;
    this.#headerSeen = 0;
    if (length === 0) {
      this.#fault = new PeerProtocolError('empty_frame', 'gossip packet too short (0 bytes)');
    } else if (length > framePayloadBytesMax) {
      const detail = `gossip packet size ${length} exceeds threshold of ${framePayloadBytesMax} bytes`;
      this.#fault = new PeerProtocolError('frame_too_large', detail);
    } else {
      this.#wanted = length;
      this.#filled = 0;
    }
    return at;
  }

  #keep(bytes: Uint8Array): void {
    const needed = this.#filled + bytes.length;
    const room = this.#partial?.length ?? 0;
    if (needed > room) {
      const size = Math.min(this.#wanted, Math.max(needed, room * 2, partialBytesMin));
      const grown = Buffer.allocUnsafeSlow(size);
      if (this.#partial) grown.set(this.#partial.subarray(0, this.#filled));
      this.#partial = grown;
    }
    this.#partial!.set(bytes, this.#filled);
    this.#filled = needed;
  }

  #takePartial(): Uint8Array {
    const packet = this.#partial!.subarray(0, this.#wanted);
    this.#partial = undefined;
    this.#wanted = 0;
    return packet;
  }
}
