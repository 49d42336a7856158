/** The header's layout and the incremental parser. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeFrameHeader, FrameParser, type FrameType, frameFlag, frameType } from './frame.ts';

interface Frame {
  readonly type: FrameType;
  readonly flags: number;
  readonly streamId: number;
  readonly length: number;
  readonly payload: Buffer;
}

describe('frame', () => {
  test('a header is version, type, flags, stream id and length, big endian', () => {
    const header = encodeFrameHeader(
      frameType.windowUpdate,
      frameFlag.syn | frameFlag.fin,
      0x01020304,
      0xfffefdfc,
    );
    expect(Buffer.from(header).toString('hex')).toBe('0001000501020304fffefdfc');
  });

  test('no prefix of a header is taken for a whole one', () => {
    const header = encodeFrameHeader(frameType.ping, frameFlag.syn, 0, 7);
    for (let end = 0; end < header.length; end += 1) {
      const parser = new FrameParser();
      parser.feed(header.subarray(0, end));
      expect(parser.next()).toBeUndefined();
      parser.feed(header.subarray(end));
      expect(parser.next()).toBe('header');
      expect(parser.length).toBe(7);
    }
  });

  test('a data frame of no bytes is followed by no payload part', () => {
    const parser = new FrameParser();
    parser.feed(encodeFrameHeader(frameType.data, frameFlag.fin, 3, 0));
    expect([parser.next(), parser.next()]).toEqual(['header', undefined]);
  });

  test('a payload announced as 1 GiB makes no room for itself: it is handed on as it comes', () => {
    const parser = new FrameParser();
    parser.feed(Buffer.concat([encodeFrameHeader(frameType.data, 0, 1, 2 ** 30), Buffer.from('abc')]));
    expect([parser.next(), parser.next(), parser.next()]).toEqual(['header', 'payload', undefined]);
    expect(Buffer.from(parser.payload).toString()).toBe('abc');
    expect(parser.payloadLeft).toBe(2 ** 30 - 3);
  });

  test('however a stream of frames is cut, the same frames come out', () => {
    const frame = fc
      .record({
        type: fc.constantFrom(0, 1, 2, 3) as fc.Arbitrary<FrameType>,
        flags: fc.integer({ min: 0, max: 15 }),
        streamId: fc.integer({ min: 0, max: 0xffff_ffff }),
        length: fc.integer({ min: 0, max: 0xffff_ffff }),
        payload: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
      })
      .map(
        (f): Frame =>
          f.type === 0 ? { ...f, length: f.payload.length } : { ...f, payload: Buffer.alloc(0) },
      );
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 30 })),
        (frames, cuts) => {
          const wire = Buffer.concat(
            frames.flatMap((f) => [encodeFrameHeader(f.type, f.flags, f.streamId, f.length), f.payload]),
          );
          expect(parseInPieces(wire, cuts)).toEqual(frames);
        },
      ),
    );
  });
});

function parseInPieces(wire: Buffer, cuts: readonly number[]): Frame[] {
  const parser = new FrameParser();
  const out: Frame[] = [];
  let at = 0;
  for (let turn = 0; at < wire.length; turn += 1) {
    const size = cuts.length === 0 ? wire.length : cuts[turn % cuts.length]!;
    parser.feed(wire.subarray(at, at + size));
    at += size;
    for (let part = parser.next(); part !== undefined; part = parser.next()) {
      if (part === 'header') {
        const { type, flags, streamId, length } = parser;
        out.push({ type, flags, streamId, length, payload: Buffer.alloc(0) });
      } else {
        const last = out.pop()!;
        out.push({ ...last, payload: Buffer.concat([last.payload, parser.payload]) });
      }
    }
  }
  return out;
}
