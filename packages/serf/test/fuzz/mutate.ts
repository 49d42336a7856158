/**
 * mutate.ts: recorded bytes, spoiled in the ways that hurt parsers, from a seed.
 *
 * Lives here: chance and edits. Must not live here: who reads the result (parsers.ts).
 */

/** Sizes and counts that are one too many, too big, negative as signed, or a type of msgpack. */
const nasty = [
  0x00, 0x01, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc4, 0xc6, 0xc9, 0xca, 0xcb,
];
const nastier = [
  0xcf, 0xd3, 0xd4, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xf4, 0xff, 0x07, 0x09, 0x0c,
];
const nastyBytes: readonly number[] = [...nasty, ...nastier];
/** An input grows to no more than this, in bytes, so that a run takes as long as its count says. */
const inputBytesMax = 8_192;

/** xorshift32 (Marsaglia 2003). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed ^ 0x9e37_79b9) >>> 0 || 1;
  }

  below(n: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state % n;
  }
}

/** One to eight edits of one of `corpus`. */
export function mutate(corpus: readonly Uint8Array[], dice: Dice): Uint8Array {
  const pick = (): Uint8Array => corpus[dice.below(corpus.length)]!;
  let bytes: Uint8Array = Buffer.from(pick().subarray(0, inputBytesMax));
  for (let edits = 1 + dice.below(8); edits > 0; edits--) {
    const at = dice.below(bytes.length + 1);
    switch (dice.below(9)) {
      case 0:
        if (at < bytes.length) bytes[at] = dice.below(256);
        break;
      case 1:
      case 2:
        if (at < bytes.length) bytes[at] = nastyBytes[dice.below(nastyBytes.length)]!;
        break;
      case 3:
        if (at < bytes.length) bytes[at]! ^= 1 << dice.below(8);
        break;
      case 4: // wrong lengths: an end that does not come
        bytes = bytes.subarray(0, at);
        break;
      case 5: // something taken out
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + dice.below(8))]);
        break;
      case 6: // something said again, many times: nesting
        bytes = again(bytes, at, dice);
        break;
      case 7: // the beginning of one, the end of another
        bytes = Buffer.concat([bytes.subarray(0, at), pick().subarray(0, inputBytesMax)]);
        break;
      case 8: // a size of 32 bits, as big as it gets
        if (at + 4 <= bytes.length) bytes.fill(dice.below(2) === 0 ? 0xff : 0x7f, at, at + 4);
        break;
    }
  }
  return bytes.length > inputBytesMax ? bytes.subarray(0, inputBytesMax) : bytes;
}

function again(bytes: Uint8Array, at: number, dice: Dice): Uint8Array {
  const piece = bytes.subarray(at, at + 1 + dice.below(6));
  const copies = Array.from({ length: 1 + dice.below(200) }, () => piece);
  return Buffer.concat([bytes.subarray(0, at), ...copies, bytes.subarray(at)]);
}
