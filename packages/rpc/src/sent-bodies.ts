/**
 * sent-bodies.ts: the bodies of large replies, put together once for as long as the same is answered.
 *
 * Copies cost less than the memory for them, which V8 has to find again: at 1 MiB a reply it looked through all of the heap every
 * dozen replies. Lives here: what is kept, and for how long. Must not live here: how rows become bytes.
 */
import { together } from './pieces.ts';

/** Below, a copy costs nothing worth remembering. */
const bodyBytesMin = 64 * 1024;
const keptBytesMaxDefault = 4 * 1024 * 1024;

interface Sent {
  /** Of the body. */
  readonly pieces: readonly Uint8Array[];
  readonly body: Uint8Array;
}

export class SentBodies {
  readonly #keptBytesMax: number;
  /** By the second piece, which is the first of the rows; least recently sent first. */
  readonly #sent = new Map<Uint8Array, Sent>();
  #keptBytes = 0;

  /** Keeps at most `keptBytesMax` bytes of bodies, and their pieces. */
  constructor(keptBytesMax: number = keptBytesMaxDefault) {
    this.#keptBytesMax = keptBytesMax;
  }

  get keptBytes(): number {
    return this.#keptBytes;
  }

  /**
   * What to send, in one piece or two. The first of `pieces` begins with a head of `headBytes` which is another each time, every
   * second one is a row's; a row's bytes are the same object whenever they are the same.
   */
  put(headBytes: number, pieces: readonly Uint8Array[]): readonly Uint8Array[] {
    const [first, row] = pieces as [Uint8Array, Uint8Array];
    const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
    if (bytes < bodyBytesMin || bytes > this.#keptBytesMax) return [together(bytes, pieces)];
    const known = this.#sent.get(row);
    this.#forget(row);
    const ofBody = [first.subarray(headBytes), ...pieces.slice(1)];
    if (known !== undefined && known.pieces.length === ofBody.length && known.pieces.every(same, ofBody)) {
      this.#keep(row, known);
      return [first.subarray(0, headBytes), known.body];
    }
    const whole = together(bytes, pieces);
    this.#keep(row, { pieces: ofBody, body: whole.subarray(headBytes) });
    return [whole];
  }

  #keep(row: Uint8Array, sent: Sent): void {
    this.#sent.set(row, sent);
    this.#keptBytes += sent.body.length;
    for (const oldest of this.#sent.keys()) {
      if (this.#keptBytes <= this.#keptBytesMax) return;
      this.#forget(oldest);
    }
  }

  #forget(row: Uint8Array): void {
    this.#keptBytes -= this.#sent.get(row)?.body.length ?? 0;
    this.#sent.delete(row);
  }
}

/** Rows are compared by identity, what is between them by its bytes. */
function same(this: readonly Uint8Array[], piece: Uint8Array, at: number): boolean {
  const other = this[at] as Uint8Array;
  return piece === other || (at % 2 === 0 && Buffer.compare(piece, other) === 0);
}
