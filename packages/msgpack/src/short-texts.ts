/**
 * short-texts.ts: short ASCII texts that were seen before, found again by their bytes.
 *
 * Rows repeat themselves: the same field names in every row, the same node, status and tag in thousands of them. A text
 * found here costs a comparison; made anew it costs a copy, a hash, and its place in memory once per row.
 * Lives here: a table of fixed size, in which a newcomer takes the place of whoever had it. Must not live here: msgpack.
 */

/** Slots, a power of two: some thousand names of fields, nodes and services, below 200 KiB together. */
const slots = 4096;

export class ShortTexts {
  readonly #texts: (string | undefined)[] = new Array<string | undefined>(slots).fill(undefined);

  /** The text of `size` bytes (0..31) at `at`; undefined when they are not all ASCII. */
  at(bytes: Buffer, at: number, size: number): string | undefined {
    if (size === 0) return '';
    let hash = size;
    let high = 0;
    for (let i = at; i < at + size; i++) {
      const byte = bytes[i] as number;
      hash = (hash * 31 + byte) | 0;
      high |= byte;
    }
    if (high > 0x7f) return undefined;
    const slot = (hash ^ (hash >>> 12)) & (slots - 1);
    const known = this.#texts[slot];
    if (known !== undefined && isAt(known, bytes, at, size)) return known;
    const text = bytes.toString('latin1', at, at + size);
    this.#texts[slot] = text;
    return text;
  }
}

function isAt(text: string, bytes: Buffer, at: number, size: number): boolean {
  if (text.length !== size) return false;
  for (let i = 0; i < size; i++) if (text.charCodeAt(i) !== bytes[at + i]) return false;
  return true;
}
