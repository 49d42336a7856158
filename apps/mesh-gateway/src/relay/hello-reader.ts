/**
 * hello-reader.ts: collects the first bytes of a client until they say whom it wants.
 *
 * Nothing is consumed: all bytes collected, those after the hello too, belong to the upstream. The usual hello comes in
 * one segment and is judged where it lies; only a slow one is copied together.
 * Lives here: the buffer. Must not live here: the parser (alpn-mux), timers, sockets.
 */
import { helloWireBytesMax, type Peek, peekClientHello } from '@fed/alpn-mux';

export class HelloReader {
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  /** The chunks in one piece, as far as the parser looks; made only when one chunk was not enough. */
  #joined: Buffer | undefined;
  #verdict: Peek = { kind: 'needMore' };

  /** Takes the next bytes and judges all of them. After a verdict it only keeps them. */
  add(chunk: Buffer): Peek {
    this.#chunks.push(chunk);
    const from = this.#bytes;
    this.#bytes += chunk.length;
    if (this.#verdict.kind !== 'needMore') return this.#verdict;
    if (from === 0) {
      this.#verdict = peekClientHello(chunk);
      return this.#verdict;
    }
    this.#joined ??= this.#first();
    chunk.copy(this.#joined, from); // what lies beyond the limit is cut off, and not looked at anyway
    this.#verdict = peekClientHello(this.#joined.subarray(0, Math.min(this.#bytes, helloWireBytesMax)));
    return this.#verdict;
  }

  #first(): Buffer {
    const joined = Buffer.allocUnsafe(helloWireBytesMax);
    this.#chunks[0]?.copy(joined);
    return joined;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Everything collected, in order; the reader is empty afterwards. */
  take(): readonly Buffer[] {
    this.#joined = undefined;
    this.#bytes = 0;
    return this.#chunks.splice(0);
  }
}
