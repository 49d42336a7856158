/**
 * packet.test.ts: the onion's bounds and budgets, and the layers that no recorded packet shows.
 */
import { describe, expect, test } from 'vitest';
import { encodeMessage } from '../../src/wire/codec.ts';
import { encodeCompound, openCompound } from '../../src/wire/compound.ts';
import { compress } from '../../src/wire/compress.ts';
import type { WireError } from '../../src/wire/errors.ts';
import { Keyring } from '../../src/wire/keyring.ts';
import { createPacketCodec, type PacketOptions } from '../../src/wire/packet.ts';
import { bytes, hex, ringOf } from './go-form.ts';

const key = '000102030405060708090a0b0c0d0e0f';
const other = 'f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff';
const zeros = (n: number): Uint8Array => new Uint8Array(n);
const codecOf = (o: Partial<PacketOptions> = {}): ReturnType<typeof createPacketCodec> =>
  createPacketCodec({ randomBytes: zeros, ...o });
const user = (text: string): Uint8Array => encodeMessage({ kind: 'user', payload: Buffer.from(text) });
const ping = encodeMessage({ kind: 'ping', seqNo: 1, node: 'node-1' });
const code = (c: string): unknown => expect.objectContaining({ code: c });

function opened(packet: Uint8Array, o: Partial<PacketOptions> = {}): { leaves: string[]; bad: string[] } {
  const bad: WireError[] = [];
  const leaves = codecOf(o).open(packet, (e) => bad.push(e));
  return { leaves: leaves.map(hex), bad: bad.map((e) => e.code) };
}

describe('seal', () => {
  test('a single message without layers is passed on as it is', () => {
    expect(codecOf({ compress: false }).seal([ping], { crc: false })).toBe(ping);
  });

  test('compression is used only where it is shorter', () => {
    const long = user('abc'.repeat(100));
    const codec = codecOf();
    expect(codec.seal([ping], { crc: false })).toBe(ping);
    expect(codec.seal([long], { crc: false })[0]).toBe(9);
    expect(codec.seal([long], { crc: false }).length).toBeLessThan(long.length);
  });

  test('what was sealed stays as it is when the next packet is sealed', () => {
    const codec = codecOf({ keyring: ringOf(key), label: 'blue' });
    const first = codec.seal([user('a'.repeat(300)), ping], { crc: true });
    const before = hex(first);
    codec.seal([user('b'.repeat(300)), ping], { crc: true });
    expect(hex(first)).toBe(before);
    const plain = codecOf().seal([user('a'.repeat(300))], { crc: false });
    const plainBefore = hex(plain);
    codecOf().seal([user('b'.repeat(300))], { crc: false });
    expect(hex(plain)).toBe(plainBefore);
  });

  test('more parts than a compound may have travel as a compound of compounds', () => {
    const messages = Array.from({ length: 300 }, (_, index) => user(`${index}`));
    const packet = codecOf({ compress: false }).seal(messages, { crc: false });
    expect(openCompound(packet).parts.map((part) => openCompound(part).parts.length)).toEqual([127, 127, 46]);
    expect(opened(packet)).toEqual({ leaves: messages.map(hex), bad: [] });
  });

  test('nothing, and a message without a type byte, are our own fault', () => {
    for (const o of [{}, { keyring: ringOf(key) }]) {
      expect(() => codecOf(o).seal([], { crc: false })).toThrow(code('nothing_to_send'));
      expect(() => codecOf(o).seal([zeros(0)], { crc: false })).toThrow(code('empty_message'));
      expect(() => codecOf(o).seal([ping, zeros(0)], { crc: false })).toThrow(code('empty_message'));
    }
  });

  test('a part has at most 65535 bytes', () => {
    expect(opened(encodeCompound([ping, zeros(65_535).fill(8)])).leaves.length).toBe(2);
    expect(() => encodeCompound([ping, zeros(65_536).fill(8)])).toThrow(code('part_too_large'));
  });

  test('the primary key of the moment is used, and any key of the ring opens', () => {
    const ring = ringOf(key)!;
    const codec = codecOf({ keyring: ring });
    const before = codec.seal([ping], { crc: false });
    ring.add(bytes(other));
    ring.use(bytes(other));
    const after = codec.seal([ping], { crc: false });
    expect(opened(before, { keyring: ring }).leaves).toEqual([hex(ping)]);
    expect(opened(after, { keyring: ringOf(other) }).leaves).toEqual([hex(ping)]);
    expect(() => opened(after, { keyring: ringOf(key) })).toThrow(code('undecryptable'));
  });

  test('a label has at most 255 bytes, counted in UTF-8', () => {
    expect(() => codecOf({ label: 'x'.repeat(256) })).toThrow(code('label_too_long'));
    expect(() => codecOf({ label: 'é'.repeat(128) })).toThrow(code('label_too_long'));
    const label = 'é'.repeat(127);
    expect(opened(codecOf({ label }).seal([ping], { crc: true }), { label }).leaves).toEqual([hex(ping)]);
  });
});

describe('budgets', () => {
  const enc0 = { keyring: ringOf(key), protocolVersion: 1 };
  const enc1 = { keyring: ringOf(key) };

  test('room beside a message of n bytes is 1400 - n - 2 - label - encryption', () => {
    expect(codecOf().piggybackRoomBytes(100)).toBe(1400 - 100 - 2);
    expect(codecOf({ label: 'blue' }).piggybackRoomBytes(100)).toBe(1400 - 100 - 2 - 6);
    expect(codecOf(enc1).piggybackRoomBytes(100)).toBe(1400 - 100 - 2 - 29);
    expect(codecOf({ ...enc0, label: 'blue' }).piggybackRoomBytes(100)).toBe(1400 - 100 - 2 - 6 - 45);
    expect(codecOf({ udpBufferBytes: 512 }).piggybackRoomBytes(100)).toBe(512 - 100 - 2);
  });

  test('keys that are not used for sending count in gossip only', () => {
    const codec = codecOf({ ...enc1, verifyOutgoing: false });
    expect(codec.piggybackRoomBytes(0)).toBe(1400 - 2);
    expect(codec.gossipRoomBytes()).toBe(1400 - 2 - 29);
    expect(codecOf().gossipRoomBytes()).toBe(1400 - 2);
    expect(codecOf(enc0).gossipRoomBytes()).toBe(1400 - 2 - 45);
  });

  test('the overhead is what sealing may add', () => {
    expect(codecOf().overhead).toBe(0);
    expect(codecOf({ label: 'blue' }).overhead).toBe(6);
    expect(codecOf({ ...enc1, label: 'blue' }).overhead).toBe(6 + 29);
    for (const o of [enc0, enc1]) {
      const codec = codecOf({ ...o, label: 'blue', compress: false });
      for (let size = 1; size < 40; size++) {
        const message = zeros(size).fill(8);
        expect(codec.seal([message], { crc: false }).length - size).toBeLessThanOrEqual(codec.overhead);
      }
    }
  });

  test('a packet filled to its room has 1400 bytes, 1405 with a checksum', () => {
    const codec = codecOf({ ...enc1, label: 'blue', compress: false });
    const room = codec.piggybackRoomBytes(ping.length) - 2 - 2; // each of the two parts has its length in the table
    const packet = codec.seal([ping, zeros(room).fill(8)], { crc: true });
    expect(packet.length).toBe(1405);
  });
});

describe('open', () => {
  test('nothing is refused, under every setting', () => {
    for (const o of [{}, { label: 'blue' }, { keyring: ringOf(key) }]) {
      expect(() => opened(zeros(0), o)).toThrow(code('empty'));
    }
  });

  test('layers nest eight deep and no deeper', () => {
    const wrapped = (wrap: (inner: Uint8Array, depth: number) => Uint8Array): Uint8Array => {
      let nested: Uint8Array = ping;
      for (let depth = 0; depth < 8; depth++) nested = wrap(nested, depth);
      return nested;
    };
    const mixed = wrapped((inner, depth) => (depth % 2 ? encodeCompound([inner]) : compress(inner)));
    expect(opened(mixed)).toEqual({ leaves: [hex(ping)], bad: [] });
    const compressed = wrapped(compress);
    expect(opened(compressed)).toEqual({ leaves: [hex(ping)], bad: [] });
    expect(() => opened(compress(compressed))).toThrow(code('too_deep'));
    expect(opened(encodeCompound([compressed, ping]))).toEqual({ leaves: [hex(ping)], bad: ['too_deep'] });
  });

  test('a part that cannot be opened is told, and the rest is kept', () => {
    const packet = encodeCompound([
      ping,
      bytes('63'),
      bytes('0982a4416c676f07a3427566a101'),
      bytes('07'),
      ping,
    ]);
    expect(opened(packet)).toEqual({
      leaves: [hex(ping), hex(ping)],
      bad: ['unknown_type', 'compression_algorithm', 'truncated'],
    });
  });

  test('empty parts are skipped', () => {
    expect(opened(bytes('070300000001000008'))).toEqual({ leaves: ['08'], bad: [] });
  });

  test('everything in one packet expands to 256 KiB at most, all parts together', () => {
    const half = compress(zeros(128 * 1024).fill(8));
    const nearly = encodeCompound([half, ping]);
    expect(opened(nearly)).toEqual({ leaves: [hex(zeros(128 * 1024).fill(8)), hex(ping)], bad: [] });
    const { leaves, bad } = opened(encodeCompound([half, half, half, half, ping]));
    expect(leaves.length).toBe(3);
    expect(bad).toEqual(['compression_too_large', 'compression_too_large']);
    expect(() => opened(compress(zeros(256 * 1024 + 1).fill(8)))).toThrow(code('compression_too_large'));
  });

  test('one packet has 4096 parts at most, nested ones included', () => {
    const many = encodeCompound(
      Array.from({ length: 100 }, () => encodeCompound(Array(100).fill(bytes('0800')))),
    );
    const { leaves, bad } = opened(many);
    expect(leaves.length).toBeLessThanOrEqual(4096);
    expect(leaves.length).toBeGreaterThan(4000);
    expect(bad.length).toBeGreaterThan(0);
    expect(new Set(bad)).toEqual(new Set(['too_large']));
  });

  test('without verification, what no key opens is taken as plain; with it, refused', () => {
    const keyring = ringOf(key);
    expect(opened(ping, { keyring, verifyIncoming: false }).leaves).toEqual([hex(ping)]);
    expect(() => opened(ping, { keyring })).toThrow(code('encryption_too_short'));
  });

  test('a ring without keys neither encrypts nor decrypts', () => {
    const keyring = new Keyring();
    expect(codecOf({ keyring, compress: false }).seal([ping], { crc: false })).toBe(ping);
    expect(opened(ping, { keyring }).leaves).toEqual([hex(ping)]);
  });
});
