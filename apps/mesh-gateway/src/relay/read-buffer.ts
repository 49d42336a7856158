/**
 * read-buffer.ts: the memory one direction of a connection is read into: little while it whispers, much while it pours.
 *
 * A buffer that is used again stays in the processor's cache; that halves what a byte costs. A connection that fills
 * its buffer gets the next size, one that keeps using a corner of it goes back. Of the largest size there are only so
 * many in the process, because a connection that has fallen silent cannot give its buffer back; and they go from hand
 * to hand, because a garbage collection for each connection that poured would cost more than its bytes did.
 * Lives here: sizes and when they change. Must not live here: sockets.
 */

/** A TLS record of gossip fits. Every idle direction holds one. */
export const readBytesMin = 2_048;
/** What every busy direction may have. */
const readBytesBusy = 16_384;
/** What the busiest have: so large that two system calls and a turn of JavaScript are little beside the copying. */
export const readBytesMax = 1_048_576;
/** Of those; 32 MiB in all. */
export const largeBuffersMax = 32;
/** Of those nobody has at the moment, so many are kept for the next. */
export const spareBuffersMax = 4;
/** Small reads in a row before a buffer is given up: a pause between two bursts is no reason. */
const smallReadsMax = 32;

/** The largest ones; one collection for a process. */
export class LargeBuffers {
  #out = 0;
  readonly #spare: Buffer[] = [];

  /** Undefined when all are out. */
  take(): Buffer | undefined {
    if (this.#out >= largeBuffersMax) return undefined;
    this.#out += 1;
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(readBytesMax);
  }

  giveBack(buffer: Buffer): void {
    this.#out -= 1;
    if (this.#spare.length < spareBuffersMax) this.#spare.push(buffer);
  }
}

export class ReadBuffer implements Disposable {
  readonly #large: LargeBuffers;
  #buffer: Buffer = Buffer.allocUnsafeSlow(readBytesMin);
  #smallReads = 0;

  constructor(large: LargeBuffers) {
    this.#large = large;
  }

  get current(): Buffer {
    return this.#buffer;
  }

  /** The buffer for the next read, after one of `bytes` bytes whose bytes are no longer needed. */
  next(bytes: number): Buffer {
    const { length } = this.#buffer;
    if (bytes === length) {
      this.#smallReads = 0;
      if (length === readBytesMin) this.#buffer = Buffer.allocUnsafeSlow(readBytesBusy);
      else if (length === readBytesBusy) this.#buffer = this.#large.take() ?? this.#buffer;
    } else if (length > readBytesMin) {
      this.#smallReads = bytes <= readBytesMin ? this.#smallReads + 1 : 0;
      if (this.#smallReads >= smallReadsMax) {
        this.#smallReads = 0;
        this[Symbol.dispose]();
      }
    }
    return this.#buffer;
  }

  /** Back to the smallest; what was out of the largest is given back. */
  [Symbol.dispose](): void {
    if (this.#buffer.length === readBytesMax) this.#large.giveBack(this.#buffer);
    if (this.#buffer.length > readBytesMin) this.#buffer = Buffer.allocUnsafeSlow(readBytesMin);
  }
}
