/**
 * lzw.test.ts: the same bytes as Go's compress/lzw, and the same refusals.
 */
import { describe, expect, test } from 'vitest';
import { lzwCompressInto, lzwDecompress, lzwLengthMax } from '../../src/wire/lzw.ts';
import { bytes, type GoBytes, hex, load, lzwCompress } from './go-form.ts';

interface LzwVector {
  readonly name: string;
  readonly kind: 'compress' | 'decompress';
  readonly inputHex?: string;
  readonly input?: { readonly repeat: string; readonly times: number };
  readonly inputLength?: number;
  readonly hex: string;
  readonly ok?: boolean;
  readonly decoded: GoBytes | null;
}

const vectors = load<LzwVector>('lzw');
const plenty = 64 * 1024 * 1024;

describe('lzw: compress', () => {
  for (const v of vectors.filter(({ kind }) => kind === 'compress')) {
    const input = v.input === undefined ? bytes(v.inputHex!) : bytes(v.input.repeat.repeat(v.input.times));

    test(`${v.name}: the bytes are Go's`, () => {
      expect(input.length).toBe(v.inputLength);
      expect(hex(lzwCompress(input))).toBe(v.hex);
    });
    test(`${v.name}: comes back`, () => {
      const budget = { bytesLeft: plenty };
      expect(Buffer.compare(lzwDecompress(bytes(v.hex), budget), input)).toBe(0);
      expect(plenty - budget.bytesLeft).toBe(input.length);
    });
    test(`${v.name}: fits the most it may take, and stops where it would not fit`, () => {
      const length = v.hex.length / 2;
      expect(length).toBeLessThanOrEqual(lzwLengthMax(input.length));
      const into = new Uint8Array(length + 8);
      expect(lzwCompressInto(input, into, 0, length)).toBe(length);
      expect(lzwCompressInto(input, into, 0, length - 1)).toBe(-1);
    });
    test(`${v.name}: expands up to the limit and not beyond`, () => {
      const exact = { bytesLeft: input.length };
      expect(lzwDecompress(bytes(v.hex), exact).length).toBe(input.length);
      expect(exact.bytesLeft).toBe(0);
      if (input.length === 0) return;
      const tight = { bytesLeft: input.length - 1 };
      expect(() => lzwDecompress(bytes(v.hex), tight)).toThrow(
        expect.objectContaining({ code: 'compression_too_large' }),
      );
      expect(tight.bytesLeft).toBeGreaterThanOrEqual(0);
    });
  }
});

describe('lzw: decompress', () => {
  for (const v of vectors.filter(({ kind }) => kind === 'decompress')) {
    test(`${v.name}: ${v.ok ? 'is read' : 'is refused'} as by Go`, () => {
      const read = (): Uint8Array => lzwDecompress(bytes(v.hex), { bytesLeft: plenty });
      if (v.ok) expect(hex(read())).toBe(v.decoded!.$bytes);
      else expect(read).toThrow(expect.objectContaining({ code: 'compression_malformed' }));
    });
  }
});
