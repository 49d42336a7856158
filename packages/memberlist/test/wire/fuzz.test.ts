/**
 * fuzz.test.ts: whatever arrives, the wire answers with messages or a WireError, within its bounds. Seeds are printed
 * by fast-check when a run fails.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addrToText, textToAddr } from '../../src/wire/address.ts';
import { decodeMessage, encodeMessage } from '../../src/wire/codec.ts';
import { WireError } from '../../src/wire/errors.ts';
import { lzwDecompress } from '../../src/wire/lzw.ts';
import type { Message, NodeState } from '../../src/wire/message.ts';
import { createPacketCodec } from '../../src/wire/packet.ts';
import { encodePushPull, encodeUserStream } from '../../src/wire/push-pull.ts';
import type { WireOptions } from '../../src/wire/settings.ts';
import { createStreamCodec, type StreamMessage } from '../../src/wire/stream.ts';
import { load, lzwCompress, plain, ringOf } from './go-form.ts';

const u32 = fc.nat({ max: 0xffff_ffff });
const u16 = fc.nat({ max: 0xffff });
const raw = (maxLength: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength, size: 'max' });
const name = fc.string({ unit: 'grapheme', maxLength: 40 });
const source = {
  sourceAddr: fc.uint8Array({ minLength: 1, maxLength: 16 }),
  sourcePort: fc.integer({ min: 1, max: 0xffff }),
  sourceNode: fc.string({ minLength: 1, maxLength: 40 }),
};
const kind = <K extends Message['kind']>(k: K): fc.Arbitrary<K> => fc.constant(k);

const packetMessage: fc.Arbitrary<Message> = fc.oneof(
  fc.record(
    { kind: kind('ping'), seqNo: u32, node: name, ...source },
    { requiredKeys: ['kind', 'seqNo', 'node'] },
  ),
  fc.record(
    {
      kind: kind('indirectPing'),
      seqNo: u32,
      target: raw(16),
      port: u16,
      node: name,
      nack: fc.boolean(),
      ...source,
    },
    { requiredKeys: ['kind', 'seqNo', 'target', 'port', 'node', 'nack'] },
  ),
  fc.record({ kind: kind('ack'), seqNo: u32, payload: raw(300) }),
  fc.record({ kind: kind('nack'), seqNo: u32 }),
  fc.record({ kind: kind('suspect'), incarnation: u32, node: name, from: name }),
  fc.record({ kind: kind('dead'), incarnation: u32, node: name, from: name }),
  fc.record({
    kind: kind('alive'),
    incarnation: u32,
    node: name,
    addr: raw(16),
    port: u16,
    meta: raw(512),
    vsn: raw(8),
  }),
  fc.record({ kind: kind('user'), payload: raw(600) }),
);

const row: fc.Arbitrary<NodeState> = fc.record({
  name,
  addr: raw(16),
  port: u16,
  meta: raw(100),
  incarnation: u32,
  state: fc.constantFrom(0 as const, 1 as const, 2 as const, 3 as const),
  vsn: raw(6),
});

const keys = ['000102030405060708090a0b0c0d0e0f', '0f'.repeat(24), 'f0'.repeat(32)];
const settings = fc
  .record({
    key: fc.option(fc.constantFrom(...keys), { nil: undefined }),
    label: fc.option(fc.string({ maxLength: 60 }), { nil: undefined }),
    compress: fc.boolean(),
    protocolVersion: fc.constantFrom(1, 2),
    verifyIncoming: fc.boolean(),
  })
  .map(
    ({ key, ...rest }): WireOptions => ({
      ...rest,
      keyring: key === undefined ? undefined : ringOf(key),
      randomBytes: (n) => new Uint8Array(n).fill(7),
    }),
  );

describe('there and back', () => {
  test('any message', () => {
    fc.assert(
      fc.property(packetMessage, (m) => {
        expect(plain(decodeMessage(encodeMessage(m)))).toEqual(plain(m));
      }),
      { numRuns: 500 },
    );
  });

  test('any packet, under any settings', () => {
    fc.assert(
      fc.property(
        settings,
        fc.array(packetMessage, { minLength: 1, maxLength: 20 }),
        fc.boolean(),
        (o, ms, crc) => {
          const codec = createPacketCodec(o);
          const leaves = codec.open(codec.seal(ms.map(encodeMessage), { crc }), (e) => {
            throw e;
          });
          expect(leaves.map((leaf) => plain(decodeMessage(leaf)))).toEqual(ms.map(plain));
        },
      ),
      { numRuns: 300 },
    );
  });

  test('any push/pull, under any settings, in any pieces', () => {
    const pieces = fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 50 });
    const table = fc.record({
      join: fc.boolean(),
      nodes: fc.array(row, { maxLength: 10 }),
      userState: raw(300),
    });
    fc.assert(
      fc.property(settings, table, pieces, fc.boolean(), (o, state, sizes, answer) => {
        const codec = createStreamCodec(o);
        const stream = codec.seal(encodePushPull(state), answer ? 'acceptor' : 'initiator');
        const reader = codec.reader(answer ? 'initiator' : 'acceptor');
        let at = 0;
        for (const size of sizes) {
          if (at + size >= stream.length) break;
          expect(reader.feed(stream.subarray(at, at + size)).kind).toBe('needMore');
          at += size;
        }
        const piece = reader.feed(stream.subarray(at));
        if (piece.kind !== 'message') throw new Error(piece.kind);
        expect(plain(piece.message)).toEqual(plain({ kind: 'pushPull', ...state }));
        expect(piece.consumed).toBe(stream.length);
      }),
      { numRuns: 300 },
    );
  });

  test('any bytes through lzw, whether they repeat or not', () => {
    const few = fc
      .array(fc.constantFrom(0, 1, 255), { maxLength: 20_000, size: 'max' })
      .map((list) => Uint8Array.from(list));
    fc.assert(
      fc.property(fc.oneof(raw(9000), few), (input) => {
        const out = lzwDecompress(lzwCompress(input), { bytesLeft: input.length });
        expect(Buffer.compare(out, input)).toBe(0);
      }),
      { numRuns: 150 },
    );
  });

  test('any IPv6 address through text', () => {
    const groups = fc.array(fc.constantFrom(0, 0, 0, 1, 0xff, 0xffff), { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(groups, (list) => {
        const addr = Uint8Array.from(list.flatMap((group) => [group >> 8, group & 0xff]));
        expect(addrToText(textToAddr(addrToText(addr)!)!)).toBe(addrToText(addr));
      }),
    );
  });
});

/** Recorded packets and streams to start from. */
const recorded = ['memberlist-0.6', 'captured-serf-plain', 'captured-mixed-versions', 'ingest'].flatMap(
  (file) =>
    load(file)
      .filter((v) => v.key === undefined && v.hex.length > 0)
      .map((v) => new Uint8Array(Buffer.from(v.hex, 'hex'))),
);

/** Up to six edits: a byte changed, removed, doubled, or strange bytes put in; perhaps the end cut off. */
const mutated = fc
  .tuple(
    fc.constantFrom(...recorded),
    fc.array(fc.tuple(fc.nat(), fc.constantFrom('set', 'drop', 'insert'), raw(6)), { maxLength: 6 }),
    fc.option(fc.nat(), { nil: undefined }),
  )
  .map(([original, edits, cut]) => {
    let list = [...original];
    for (const [where, how, strange] of edits) {
      const at = where % (list.length + 1);
      if (how === 'set') list[at] = strange[0] ?? 0;
      else if (how === 'drop') list.splice(at, 1);
      else list.splice(at, 0, ...strange);
    }
    if (cut !== undefined && cut % 3 === 0) list = list.slice(0, cut % (list.length + 1));
    return Uint8Array.from(list);
  });
const anything = fc.oneof(mutated, raw(200));

function orWireError<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (e) {
    if (e instanceof WireError) return undefined;
    throw e;
  }
}

describe('hostile bytes', () => {
  test('a packet opens, or is refused with a WireError, and never grows beyond its bounds', () => {
    const plainCodec = createPacketCodec({ randomBytes: (n) => new Uint8Array(n) });
    fc.assert(
      fc.property(anything, (packet) => {
        let bad = 0;
        const leaves = orWireError(() => plainCodec.open(packet, () => bad++)) ?? [];
        expect(leaves.length + bad).toBeLessThanOrEqual(2 * 4096);
        let total = 0;
        for (const leaf of leaves) {
          total += leaf.length;
          orWireError(() => decodeMessage(leaf));
        }
        expect(total).toBeLessThanOrEqual(packet.length + 256 * 1024);
      }),
      { numRuns: 3000 },
    );
  });

  test('a message decodes, or is refused with a WireError', () => {
    fc.assert(
      fc.property(fc.constantFrom(0, 1, 2, 3, 4, 5, 8, 11, 13), anything, (type, body) => {
        const m = orWireError(() => decodeMessage(Uint8Array.of(type, ...body)));
        if (m !== undefined) encodeMessage(m); // what was read can be written
      }),
      { numRuns: 3000 },
    );
  });

  test('a stream gives the same answer however it is cut into pieces', () => {
    const codec = createStreamCodec({ randomBytes: (n) => new Uint8Array(n) });
    const outcome = (pieces: readonly Uint8Array[]): unknown => {
      const reader = codec.reader('acceptor');
      try {
        for (const piece of pieces) {
          const answer = reader.feed(piece);
          if (answer.kind === 'message') return { message: plain(answer.message), consumed: answer.consumed };
        }
      } catch (e) {
        if (!(e instanceof WireError)) throw e;
        return e.code;
      }
      return 'needMore';
    };
    fc.assert(
      fc.property(anything, fc.integer({ min: 1, max: 50 }), (stream, size) => {
        const pieces: Uint8Array[] = [];
        for (let at = 0; at < stream.length; at += size) pieces.push(stream.subarray(at, at + size));
        expect(outcome(pieces)).toEqual(outcome([stream]));
      }),
      { numRuns: 2000 },
    );
  });

  test('encrypted or not, labelled or not: mutated bytes give a WireError or a message', () => {
    const message = fc.oneof(packetMessage.map(encodeMessage), raw(100).map(encodeUserStream));
    const edit = fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 }));
    fc.assert(
      fc.property(settings, message, edit, (o, m, [where, flip]) => {
        const packets = createPacketCodec(o);
        const packet = Uint8Array.from(packets.seal([m], { crc: true }));
        packet[where % packet.length]! ^= flip;
        orWireError(() => packets.open(packet));
        const streams = createStreamCodec(o);
        const stream = Uint8Array.from(streams.seal(m, 'initiator'));
        stream[where % stream.length]! ^= flip;
        orWireError((): StreamMessage | undefined => {
          const piece = streams.reader('acceptor').feed(stream);
          return piece.kind === 'message' ? piece.message : undefined;
        });
      }),
      { numRuns: 1000 },
    );
  });

  test('lzw of any bytes stays within its budget and takes it off', () => {
    fc.assert(
      fc.property(raw(2000), fc.nat({ max: 100_000 }), (input, bytesLeft) => {
        const budget = { bytesLeft };
        const out = orWireError(() => lzwDecompress(input, budget));
        expect(budget.bytesLeft).toBeGreaterThanOrEqual(0);
        if (out !== undefined) expect(bytesLeft - budget.bytesLeft).toBe(out.length);
      }),
      { numRuns: 2000 },
    );
  });
});
