/** Messages cut out of a byte stream. Recorded ones are in test/wire-vectors.test.ts. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeBody,
  encodeErrorReply,
  encodeReply,
  encodeRequest,
  MessageReader,
  questionIn,
} from './net-rpc.ts';

describe('net/rpc messages', () => {
  test('an error reply has a body: the caller reads one', () => {
    const reply = encodeErrorReply({ seq: 7, method: 'A.B', error: '' }, 'no');
    expect(Buffer.concat(reply).toString('hex')).toBe(
      '83a54572726f72a26e6fa353657107ad536572766963654d6574686f64a3412e4280',
    );
  });

  test('the same question is the same whatever its number, and no other is', () => {
    const numbers = [1, 127, 128, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2n ** 63n];
    const asked = numbers.map((seq) => questionIn(encodeRequest(seq, 'A.B', { Datacenter: 'dc1' })));
    expect(new Set(asked).size).toBe(1);
    expect(questionIn(encodeRequest(1, 'A.C', { Datacenter: 'dc1' }))).not.toBe(asked[0]);
    expect(questionIn(encodeRequest(1, 'A.B', { Datacenter: 'dc2' }))).not.toBe(asked[0]);
  });

  test('however the stream is cut, the same messages come out, and nothing is left', () => {
    const bodies = fc.array(fc.string({ maxLength: 2_000 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(bodies, fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1 }), (texts, cuts) => {
        const wire = Buffer.concat(texts.map((text, seq) => encodeRequest(seq, 'S.M', { text })));
        const reader = new MessageReader({ bytesMax: 10_000 });
        const came: unknown[] = [];
        for (let at = 0, turn = 0; at < wire.length; turn += 1) {
          const size = cuts[turn % cuts.length]!;
          reader.feed(wire.subarray(at, at + size));
          at += size;
          for (let m = reader.next(); m !== undefined; m = reader.next())
            came.push({ seq: m.header.seq, ...(decodeBody(m.body) as object) });
        }
        expect(came).toEqual(texts.map((text, seq) => ({ seq, text })));
        expect(reader.bufferedBytes).toBe(0);
      }),
    );
  });

  test('a message taken stays what it is while more is read', () => {
    const reader = new MessageReader({ bytesMax: 1_000 });
    const wire = Buffer.concat([encodeRequest(1, 'S.M', 'first'), encodeRequest(2, 'S.M', 'second')]);
    reader.feed(Buffer.from(wire.subarray(0, 10)));
    reader.feed(Buffer.from(wire.subarray(10, 45)));
    const first = reader.next()!;
    reader.feed(Buffer.from(wire.subarray(45)));
    reader.next();
    expect(decodeBody(first.body)).toBe('first');
  });

  test('a message is refused as soon as it is sure to be too large', () => {
    const reader = new MessageReader({ bytesMax: 1_000 });
    const header = encodeRequest(1, 'S.M', null).subarray(0, -1);
    reader.feed(Buffer.concat([header, Buffer.from('db3fffffff', 'hex')]));
    expect(() => reader.next()).toThrowError(expect.objectContaining({ code: 'too_large' }));
  });

  test('a small rest of a large chunk does not keep the chunk', () => {
    const reader = new MessageReader({ bytesMax: 1_000_000 });
    const chunk = new Uint8Array(60_000);
    const message = encodeRequest(1, 'S.M', 'x');
    chunk.set(message);
    reader.feed(chunk.subarray(0, message.length));
    expect(reader.next()!.body.bytes.buffer.byteLength).toBeLessThan(1_000);
  });

  test('a sequence number of 64 bits is echoed exactly', () => {
    const reader = new MessageReader({ bytesMax: 1_000 });
    reader.feed(encodeRequest(0xffff_ffff_ffff_ffffn, 'S.M', null));
    const { header } = reader.next()!;
    expect(header.seq).toBe(0xffff_ffff_ffff_ffffn);
    reader.feed(Buffer.concat(encodeReply(header, null)));
    expect(reader.next()!.header.seq).toBe(0xffff_ffff_ffff_ffffn);
  });

  const nonsense: readonly [string, string][] = [
    ['a number instead of a header', '0680'],
    ['a header that is a list', '920102'],
    ['a method name that is a number', '82a35365710aad536572766963654d6574686f640580'],
  ];
  test.each(nonsense)('%s is malformed', (_name, hex) => {
    const reader = new MessageReader({ bytesMax: 1_000 });
    reader.feed(Buffer.concat([Buffer.from(hex, 'hex'), Buffer.from([0x80])]));
    expect(() => reader.next()).toThrowError(expect.objectContaining({ code: 'malformed' }));
  });

  test('unknown header keys are passed over, missing ones are empty', () => {
    const reader = new MessageReader({ bytesMax: 1_000 });
    reader.feed(Buffer.from('82a3466f6f9101a353657109c0', 'hex'));
    expect(reader.next()!.header).toEqual({ seq: 9, method: '', error: '' });
  });
});
