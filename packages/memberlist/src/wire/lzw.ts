/**
 * lzw.ts: the compression of every memberlist: LZW, least significant bit first, literals of 8 bits (the GIF flavour).
 *
 * Both sides grow the same dictionary from what was said so far: a code is worth more the longer the conversation, until
 * the dictionary is full and both forget. Codes 0..255 are literals, 256 forgets, 257 ends; the rest are strings seen
 * before. The writer gives byte for byte what Go's gives. Go compress/lzw, reader.go and writer.go.
 * Lives here: codes and bits. Must not live here: when to compress, the message around it.
 */
import { WireError } from './errors.ts';

const clearCode = 256;
const endCode = 257;
const widthFirst = 9;
const widthMax = 12;
/** The writer forgets when it gets here, so that 4095 itself is never written. */
const codeMax = (1 << widthMax) - 1;
const literals = 256;

/** Slots of the writer's hash table: four per possible code, a power of two. */
const tableSlots = 1 << (widthMax + 2);
/** A slot holds `key << 12 | code`, where a key is a code and the byte that follows it; 0 is free, no code is below 258. */
const table = new Uint32Array(tableSlots);

/** Bytes that n bytes take at most: a code of 12 bits each, and the clear and end codes. */
export function lzwLengthMax(inputBytes: number): number {
  const codes = inputBytes + 3 + Math.ceil((inputBytes + 1) / (codeMax - endCode));
  return Math.ceil((codes * widthMax) / 8) + 1;
}

/**
 * Compresses into `into` from `offset`, and returns where the result ends, or -1 as soon as that passes `limit`.
 * A few bytes behind the limit may be overwritten then.
 */
export function lzwCompressInto(input: Uint8Array, into: Uint8Array, offset: number, limit: number): number {
  let end = offset;
  let bits = clearCode; // the clear code comes first
  let bitCount = widthFirst;
  let width = widthFirst;
  let high = endCode;
  let overflow = 1 << widthFirst;
  table.fill(0);

  let code = input[0] ?? endCode;
  next: for (let index = 1; index <= input.length; index++) {
    const last = index === input.length;
    const key = (code << 8) | (last ? 0 : input[index]!);
    let slot = ((key >>> widthMax) ^ key) & (tableSlots - 1);
    if (!last) {
      for (let entry = table[slot]!; entry !== 0; entry = table[slot]!) {
        if (entry >>> widthMax === key) {
          code = entry & codeMax;
          continue next;
        }
        slot = (slot + 1) & (tableSlots - 1);
      }
    }
    bits |= code << bitCount;
    bitCount += width;
    while (bitCount >= 8) {
      into[end++] = bits;
      bits >>>= 8;
      bitCount -= 8;
    }
    if (end > limit) return -1;
    // The code that fills a width is still written with it; the next one is a bit wider.
    high++;
    if (high === overflow) {
      width++;
      overflow <<= 1;
    }
    if (high === codeMax) {
      bits |= clearCode << bitCount;
      bitCount += width;
      width = widthFirst;
      high = endCode;
      overflow = 1 << widthFirst;
      table.fill(0);
    } else {
      table[slot] = (key << widthMax) | high;
    }
    code = last ? endCode : input[index]!;
  }
  bits |= endCode << bitCount;
  bitCount += width;
  while (bitCount > 0) {
    into[end++] = bits;
    bits >>>= 8;
    bitCount -= 8;
  }
  return end > limit ? -1 : end;
}

/** How much somebody may still make us produce, in bytes. Shared by everything that one packet or stream contains. */
export interface ExpansionBudget {
  bytesLeft: number;
}

/** Where each code's string begins in the output, and its length. What was said is the dictionary. */
const stringStart = new Uint32Array(codeMax + 1);
const stringLength = new Uint32Array(codeMax + 1);

/**
 * Expands up to the end code; what follows it is ignored. Takes what it produces off `budget`, also when it fails.
 * @throws WireError compression_malformed | compression_too_large
 */
export function lzwDecompress(input: Uint8Array, budget: ExpansionBudget): Uint8Array {
  const bytesMax = budget.bytesLeft;
  let out = new Uint8Array(Math.min(bytesMax, Math.max(512, input.length * 4)));
  let end = 0;
  let bits = 0;
  let bitCount = 0;
  let read = 0;
  let width = widthFirst;
  let high = endCode;
  let overflow = 1 << widthFirst;
  /** The string before: where it begins, how long; 0 while there is none. */
  let lastStart = 0;
  let lastLength = 0;
  try {
    for (;;) {
      while (bitCount < width) {
        if (read === input.length)
          throw new WireError('compression_malformed', 'lzw data ends before its end code');
        bits |= input[read++]! << bitCount;
        bitCount += 8;
      }
      const code = bits & ((1 << width) - 1);
      bits >>>= width;
      bitCount -= width;
      if (code === clearCode) {
        width = widthFirst;
        high = endCode;
        overflow = 1 << widthFirst;
        lastLength = 0;
        continue;
      }
      if (code === endCode) return out.subarray(0, end);

      // The new entry is the last string and the byte after it, which is where that string stands in the output.
      if (lastLength > 0) {
        stringStart[high] = lastStart;
        stringLength[high] = lastLength + 1;
      }
      const length = code < literals ? 1 : stringLength[code]!;
      if (code > high || (code === high && lastLength === 0 && high < codeMax)) {
        throw new WireError('compression_malformed', 'lzw code that nothing has defined');
      }
      if (end + length > bytesMax) {
        throw new WireError('compression_too_large', `expands to more than ${bytesMax} bytes`);
      }
      if (end + length > out.length) out = grow(out, end + length, bytesMax);
      if (code < literals) out[end] = code;
      else copyString(out, stringStart[code]!, end, length);
      lastStart = end;
      lastLength = length;
      end += length;

      high++;
      if (high >= overflow) {
        if (width === widthMax) {
          lastLength = 0; // full: nothing more is entered until a clear
          high--;
        } else {
          width++;
          overflow <<= 1;
        }
      }
    }
  } finally {
    budget.bytesLeft = bytesMax - end;
  }
}

/** `length` bytes from `start` to `end` of the same output; the last may be one that is written here. */
function copyString(out: Uint8Array, start: number, end: number, length: number): void {
  if (length > 32 && start + length <= end) {
    out.copyWithin(end, start, start + length);
    return;
  }
  for (let index = 0; index < length; index++) out[end + index] = out[start + index]!;
}

function grow(out: Uint8Array<ArrayBuffer>, atLeast: number, atMost: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(Math.min(atMost, Math.max(atLeast, out.length * 2)));
  larger.set(out);
  return larger;
}
