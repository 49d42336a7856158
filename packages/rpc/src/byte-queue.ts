/**
 * byte-queue.ts: bytes of a stream that nobody has read yet.
 *
 * Bytes arrive as views of whatever the socket read, and a view keeps all of that alive: a peer that sends one byte per
 * frame could pin 64 KiB with each, and an object besides. So a view is kept only if it makes up at least half of its
 * memory; smaller pieces are copied together. What this queue pins is then at most about twice what it holds.
 * Lives here: that choice. Must not live here: credit.
 */
import { ownsItsMemory, together } from './pieces.ts';

/** Small pieces are gathered in blocks of this size, in bytes. */
const blockBytes = 4096;

export class ByteQueue {
  #pieces: Uint8Array[] = [];
  #first = 0;
  #block: Uint8Array | undefined; // the memory of the last piece, while it has room
  #blockUsed = 0;

  get isEmpty(): boolean {
    return this.#first === this.#pieces.length;
  }

  push(bytes: Uint8Array): void {
    const own = ownsItsMemory(bytes);
    if (own || bytes.length >= blockBytes) {
      this.#block = undefined;
      this.#pieces.push(own ? bytes : together(bytes.length, [bytes]));
      return;
    }
    for (let at = 0; at < bytes.length; ) at += this.#gather(bytes.subarray(at));
  }

  /** The oldest piece. The queue must not be empty. */
  shift(): Uint8Array {
    const piece = this.#pieces[this.#first]!;
    this.#first += 1;
    if (this.isEmpty) {
      this.#pieces = [];
      this.#first = 0;
      this.#block = undefined; // the piece was handed on: nothing may be added to it any more
    }
    return piece;
  }

  #gather(bytes: Uint8Array): number {
    if (this.#block === undefined || this.#blockUsed === blockBytes) {
      this.#block = Buffer.allocUnsafeSlow(blockBytes);
      this.#blockUsed = 0;
      this.#pieces.push(this.#block.subarray(0, 0));
    }
    const size = Math.min(bytes.length, blockBytes - this.#blockUsed);
    this.#block.set(bytes.subarray(0, size), this.#blockUsed);
    this.#blockUsed += size;
    this.#pieces[this.#pieces.length - 1] = this.#block.subarray(0, this.#blockUsed);
    return size;
  }
}
