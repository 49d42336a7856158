/** Bytes of a segment, and the judgement over every way its end can look. */
import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { describe, test } from 'vitest';
import {
  encodeFrame,
  encodeSegmentHeader,
  frameHeaderBytes,
  scanSegment,
  segmentHeaderBytes,
} from './segment.ts';

const text = (s: string): Uint8Array => Buffer.from(s);

/** A segment from index 5 with three frames; `ends` are the offsets where each is complete. */
function example(size = 40): { bytes: Buffer; ends: number[] } {
  const frames = [
    encodeFrame(5, [text('a'.repeat(size)), text('')]),
    encodeFrame(7, [text('b'.repeat(size * 20))]),
    encodeFrame(8, [text('c'.repeat(size)), text('d'), text('e')]),
  ];
  const ends: number[] = [segmentHeaderBytes];
  for (const frame of frames) ends.push((ends.at(-1) as number) + frame.length);
  return { bytes: Buffer.concat([encodeSegmentHeader(5), ...frames]), ends };
}

describe('a whole segment', () => {
  test('gives back every command with its index', async () => {
    await fc.assert(
      fc.property(
        fc.nat({ max: 2 ** 40 }),
        fc.array(fc.array(fc.uint8Array({ maxLength: 50 }), { minLength: 1, maxLength: 5 }), {
          maxLength: 5,
        }),
        (firstIndex, batches) => {
          let next = firstIndex;
          const frames = batches.map((batch) => {
            const frame = encodeFrame(next, batch);
            next += batch.length;
            return frame;
          });
          const bytes = Buffer.concat([encodeSegmentHeader(firstIndex), ...frames]);
          const scan = scanSegment(bytes);
          assert.deepEqual([scan.verdict, scan.firstIndex, scan.end], ['clean', firstIndex, bytes.length]);
          assert.deepEqual(
            scan.entries.map(({ index, command }) => [index, Buffer.from(command)]),
            batches.flat().map((command, i) => [firstIndex + i, Buffer.from(command)]),
          );
        },
      ),
    );
  });
});

describe('the end', () => {
  test('cut at any byte: whole frames stay, the rest is torn, never more and never less', () => {
    const { bytes, ends } = example();
    for (let length = 0; length < bytes.length; length++) {
      const scan = scanSegment(bytes.subarray(0, length));
      const whole = ends.filter((end) => end <= length);
      assert.equal(scan.end, whole.at(-1) ?? 0);
      assert.equal(scan.verdict, ends.includes(length) ? 'clean' : 'torn', `cut at ${length}`);
    }
  });

  test('sectors that were never written make the last frame torn', () => {
    const { bytes, ends } = example(200);
    const start = ends[1] as number;
    const end = ends[2] as number;
    const file = bytes.subarray(0, end);
    for (let sector = Math.ceil(start / 512) * 512; sector + 512 <= end; sector += 512) {
      const holed = Buffer.from(file).fill(0, sector, sector + 512);
      const scan = scanSegment(holed);
      assert.deepEqual([scan.verdict, scan.end], ['torn', start], `hole at ${sector}`);
    }
    const headless = Buffer.from(file).fill(0, start, Math.ceil(start / 512) * 512);
    assert.deepEqual([scanSegment(headless).verdict, scanSegment(headless).end], ['torn', start]);
    const empty = Buffer.from(file).fill(0, start);
    assert.deepEqual([scanSegment(empty).verdict, scanSegment(empty).end], ['torn', start]);
  });

  test('a segment whose header never reached the disk is torn from its first byte', () => {
    assert.deepEqual(
      [scanSegment(new Uint8Array(0)).verdict, scanSegment(new Uint8Array(0)).end],
      ['torn', 0],
    );
    assert.deepEqual(
      [scanSegment(new Uint8Array(4096)).verdict, scanSegment(new Uint8Array(4096)).end],
      ['torn', 0],
    );
  });
});

describe('damage', () => {
  test('any flipped bit, in any frame, the last included, is corruption at that frame, not a shorter log', () => {
    const { bytes, ends } = example();
    for (let at = 0; at < bytes.length; at++) {
      const flipped = Buffer.from(bytes);
      flipped[at] = (flipped[at] as number) ^ (1 << (at % 8));
      const scan = scanSegment(flipped);
      const frame = ends.findLast((end) => end <= at) ?? 0;
      assert.equal(scan.verdict, 'corrupt', `bit ${at % 8} of byte ${at}`);
      assert.equal(scan.end, frame);
    }
  });

  test('a hole in a frame with good frames after it is corruption', () => {
    const { bytes, ends } = example(200);
    const sector = Math.ceil((ends[1] as number) / 512) * 512;
    const scan = scanSegment(Buffer.from(bytes).fill(0, sector, sector + 512));
    assert.deepEqual([scan.verdict, scan.end], ['corrupt', ends[1]]);
  });

  test('a lost frame in the middle is a gap in the indexes', () => {
    const { bytes, ends } = example();
    const scan = scanSegment(Buffer.concat([bytes.subarray(0, ends[1]), bytes.subarray(ends[2])]));
    assert.deepEqual([scan.verdict, scan.end], ['corrupt', ends[1]]);
    assert.match(scan.verdict === 'corrupt' ? scan.why : '', /index 8 where 7 is due/);
  });

  test('a length beyond all reason is not believed', () => {
    const { bytes } = example();
    const grown = Buffer.concat([bytes, Buffer.from('FRAM'), Buffer.alloc(frameHeaderBytes, 0xee)]);
    assert.equal(scanSegment(grown).verdict, 'corrupt');
  });
});
