/**
 * raw-body.ts: the body of a message as it came, in pieces.
 *
 * A reply of 1 MiB comes in seventy of them. Whoever has the same bytes already needs no copy of them, and a copy is as much
 * memory for V8 to find again. Lives here: that. Must not live here: what the bytes mean.
 */
import { ownsItsMemory, together } from './pieces.ts';

export class RawBody {
  /** The number of bytes. */
  readonly length: number;
  #pieces: readonly Uint8Array[];

  constructor(pieces: readonly Uint8Array[]) {
    this.#pieces = pieces;
    this.length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  }

  /** In one piece, which is made once. It owns its memory: what is decoded from it may live long, and must not pin more. */
  get bytes(): Uint8Array {
    const [first] = this.#pieces;
    if (first !== undefined && this.#pieces.length === 1 && ownsItsMemory(first)) return first;
    const bytes = together(this.length, this.#pieces);
    this.#pieces = [bytes];
    return bytes;
  }

  equals(bytes: Uint8Array): boolean {
    if (bytes.length !== this.length) return false;
    const other = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    let at = 0;
    for (const piece of this.#pieces) {
      if (other.compare(piece, 0, piece.length, at, at + piece.length) !== 0) return false;
      at += piece.length;
    }
    return true;
  }
}
