import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeFrames, FrameParser, framedBytes, framePayloadBytesMax } from './frame.ts';

interface FrameVector {
  readonly name: string;
  readonly payloadHex: string;
  readonly hex: string;
}
function vectors<T>(file: string, key: string): readonly T[] {
  const text = readFileSync(new URL(`../test/vectors/${file}`, import.meta.url), 'utf8');
  return (JSON.parse(text) as Record<string, readonly T[]>)[key]!;
}
const frames = vectors<FrameVector>('wan-gossip-packet-frame.json', 'frames');
const live = vectors<{ readonly frameHex: string }>('live-wan-gossip.json', 'packets');

describe('frame: bytes of the original', () => {
  for (const { name, payloadHex, hex } of frames) {
    test(`frame: ${name} is written as Consul writes it`, () => {
      expect(encodeFrames([Buffer.from(payloadHex, 'hex')]).toString('hex')).toBe(hex);
    });
  }
  for (const { name, payloadHex, hex } of frames.filter((f) => f.payloadHex !== '')) {
    test(`frame: ${name} is read as Consul wrote it`, () => {
      expect(parse([Buffer.from(hex, 'hex')])).toEqual({ packets: [payloadHex], fault: undefined });
    });
  }
  test('frame: a live conversation between two servers is cut at the same places, byte by byte too', () => {
    const stream = Buffer.concat(live.map(({ frameHex }) => Buffer.from(frameHex, 'hex')));
    const packets = live.map(({ frameHex }) => frameHex.slice(8));
    expect(parse([stream]).packets).toEqual(packets);
    expect(parse(Array.from(stream, (byte) => Uint8Array.of(byte))).packets).toEqual(packets);
    expect(encodeFrames(packets.map((p) => Buffer.from(p, 'hex')))).toEqual(stream);
  });
});

describe('frame: I7, no packet is delivered twice, split or joined', () => {
  test('frame: any packets, chunked anyhow, come out as they went in', () => {
    const packets = fc.array(fc.uint8Array({ minLength: 1, maxLength: 5000 }), { maxLength: 12 });
    const cuts = fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(packets, cuts, (given, sizes) => {
        const { packets: got, fault } = parse(chunked(encodeFrames(given), sizes));
        expect(fault).toBeUndefined();
        expect(got).toEqual(given.map(hexOf));
      }),
    );
  });

  test('frame: no prefix of a frame is taken for a whole one', () => {
    const frame = encodeFrames([Buffer.from('0a0b0c0d', 'hex')]);
    for (let end = 0; end < frame.length; end++) {
      const parser = new FrameParser();
      expect(parser.push(frame.subarray(0, end), () => expect.unreachable())).toBeUndefined();
      expect(parser.midFrame).toBe(end > 0);
    }
  });

  for (const length of [1, framePayloadBytesMax]) {
    test(`frame: ${length} bytes pass, whole or in pieces`, () => {
      const packet = Buffer.alloc(length, 0x5a);
      const frame = encodeFrames([packet, Buffer.of(7)]);
      for (const size of [frame.length, 65_536, length > 9 ? 1_000_003 : 1]) {
        const got: Uint8Array[] = [];
        const parser = new FrameParser();
        for (const chunk of chunked(frame, [size])) {
          expect(parser.push(chunk, (p) => got.push(p))).toBeUndefined();
        }
        expect(got.length).toBe(2);
        expect(packet.equals(got[0]!)).toBe(true);
        expect(got[1]).toEqual(Buffer.of(7));
        expect(parser.midFrame).toBe(false);
      }
    });
  }

  for (const [length, code] of [
    [0, 'empty_frame'],
    [framePayloadBytesMax + 1, 'frame_too_large'],
    [0xffff_ffff, 'frame_too_large'],
  ] as const) {
    test(`frame: a length of ${length} ends the stream with ${code}, and what came before it counts`, () => {
      const bad = Buffer.alloc(4);
      bad.writeUInt32BE(length);
      const stream = Buffer.concat([encodeFrames([Buffer.of(1)]), bad, encodeFrames([Buffer.of(2)])]);
      fc.assert(
        fc.property(fc.array(fc.constantFrom(1, 2, 3, 4, 5, 20), { minLength: 1 }), (sizes) => {
          const { packets, fault } = parse(chunked(stream, sizes));
          expect(fault).toBe(code);
          expect(packets).toEqual(['01']);
        }),
      );
    });
  }

  test('frame: a packet is a view when it came in one piece', () => {
    const chunk = encodeFrames([Buffer.of(1, 2, 3)]);
    new FrameParser().push(chunk, (packet) => expect(packet.buffer).toBe(chunk.buffer));
    expect.assertions(1);
  });

  test('frame: announcing 4 MiB reserves nothing yet', () => {
    const before = process.memoryUsage().arrayBuffers;
    const parsers = Array.from({ length: 64 }, () => new FrameParser());
    for (const parser of parsers) parser.push(Buffer.from('0040000001', 'hex'), () => expect.unreachable());
    expect(parsers.every((parser) => parser.midFrame)).toBe(true);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(framePayloadBytesMax);
  });

  test('frame: framedBytes tells the size of what encodeFrames writes', () => {
    const packets = [Buffer.alloc(10), Buffer.alloc(1)];
    expect(encodeFrames(packets).length).toBe(framedBytes(packets));
  });
});

// ---- fixtures ----

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function chunked(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length]!;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

function parse(chunks: readonly Uint8Array[]): { packets: string[]; fault: string | undefined } {
  const parser = new FrameParser();
  const packets: string[] = [];
  let fault: string | undefined;
  for (const chunk of chunks) fault = parser.push(chunk, (packet) => packets.push(hexOf(packet)))?.code;
  return { packets, fault };
}
