/**
 * extent.ts: where a msgpack value ends, in bytes that are still arriving.
 *
 * A stream may come byte by byte, and reading a half value anew with each byte would cost the square of its length. So
 * this only counts: values still owed, a container owes its items, and every byte is looked at once. The value is read
 * when it is all there. msgpack specification, formats.
 * Lives here: lengths. Must not live here: what values mean (Reader), whether they belong there.
 */

/** Follows one value after another; `bytes` is always what has arrived so far, from the same start. */
export class ValueExtent {
  /** Where the value begins. */
  start: number;
  #at: number;
  #owed = 1;

  constructor(start: number) {
    this.start = start;
    this.#at = start;
  }

  /** The least number of bytes the value can have, arrived or only announced; its length once it is whole. */
  get length(): number {
    return this.#at - this.start + this.#owed; // each value owed has its descriptor at least
  }

  /** Goes on to the value that begins where this one ended. */
  next(): void {
    this.start = this.#at;
    this.#owed = 1;
  }

  /** Whether the value ends before `end`; it does so at `start + length`. */
  isWhole(bytes: Uint8Array, end: number): boolean {
    while (this.#owed > 0) {
      if (this.#at >= end) return false;
      const descriptor = bytes[this.#at]!;
      if (descriptor < 0xc0) {
        this.#pass(1 + fixedLength(descriptor), fixedItems(descriptor));
      } else if (descriptor >= 0xe0) {
        this.#pass(1, 0);
      } else {
        const form = forms[descriptor - 0xc0]!;
        const head = 1 + form.sizeBytes;
        if (this.#at + head > end) return false;
        const size = sizeAt(bytes, this.#at + 1, form.sizeBytes);
        this.#pass(head + form.fixed + size * form.bytesPerSize, size * form.itemsPerSize);
      }
    }
    return this.#at <= end;
  }

  #pass(length: number, items: number): void {
    this.#at += length;
    this.#owed += items - 1;
  }
}

/** Bytes behind a descriptor below c0: only short text has any. */
function fixedLength(descriptor: number): number {
  return descriptor >= 0xa0 ? descriptor & 0x1f : 0;
}

/** Items of a short map (two for each entry) or a short list. */
function fixedItems(descriptor: number): number {
  if (descriptor < 0x80 || descriptor >= 0xa0) return 0;
  return descriptor < 0x90 ? (descriptor & 0x0f) * 2 : descriptor & 0x0f;
}

function sizeAt(bytes: Uint8Array, offset: number, sizeBytes: number): number {
  let size = 0;
  for (let index = 0; index < sizeBytes; index++) size = size * 256 + bytes[offset + index]!;
  return size;
}

interface Form {
  /** Width of the size that follows the descriptor, 0 for none. */
  readonly sizeBytes: 0 | 1 | 2 | 4;
  /** Bytes that follow whatever the size. */
  readonly fixed: number;
  readonly bytesPerSize: 0 | 1;
  readonly itemsPerSize: 0 | 1 | 2;
}

const plain = (fixed: number): Form => ({ sizeBytes: 0, fixed, bytesPerSize: 0, itemsPerSize: 0 });
const sized = (sizeBytes: 1 | 2 | 4, fixed = 0): Form => ({
  sizeBytes,
  fixed,
  bytesPerSize: 1,
  itemsPerSize: 0,
});
const items = (sizeBytes: 2 | 4, itemsPerSize: 1 | 2): Form => ({
  sizeBytes,
  fixed: 0,
  bytesPerSize: 0,
  itemsPerSize,
});

/** c0 to df. c1 is no value: it passes as one byte, for the Reader to refuse. */
const forms: readonly Form[] = [
  ...[plain(0), plain(0), plain(0), plain(0)], // nil, c1, false, true
  ...[sized(1), sized(2), sized(4)], // bin
  ...[sized(1, 1), sized(2, 1), sized(4, 1)], // ext, with its type
  ...[plain(4), plain(8)], // float
  ...[plain(1), plain(2), plain(4), plain(8)], // uint
  ...[plain(1), plain(2), plain(4), plain(8)], // int
  ...[plain(2), plain(3), plain(5), plain(9), plain(17)], // fixext, with its type
  ...[sized(1), sized(2), sized(4)], // str
  ...[items(2, 1), items(4, 1)], // list
  ...[items(2, 2), items(4, 2)], // map
];
