/**
 * captured.test.ts: what live serf and Consul agents said to each other, read, and written again byte for byte.
 */
import { describe, expect, test } from 'vitest';
import { decodeMessage, encodeMessage } from '../../src/wire/codec.ts';
import { createPacketCodec } from '../../src/wire/packet.ts';
import { encodePushPull } from '../../src/wire/push-pull.ts';
import { createStreamCodec, type StreamRole } from '../../src/wire/stream.ts';
import {
  always,
  bytes,
  goForm,
  goNode,
  goStruct,
  hex,
  kindOf,
  leavesOf,
  load,
  ringOf,
  withUnsignedCounts,
} from './go-form.ts';

const captures = [
  'captured-serf-plain',
  'captured-serf-encrypted',
  'captured-consul-lan',
  'captured-consul-wan',
  'captured-consul-wan-encrypted',
  'captured-mixed-versions',
  'captured-label-encrypted',
];

for (const capture of captures) {
  describe(capture, () => {
    for (const v of load(capture)) {
      const decoded = v.decoded!;
      const options = {
        keyring: v.key === undefined ? undefined : ringOf(v.key),
        label: v.label,
        protocolVersion: decoded.encrypted?.version === 0 ? 1 : 2,
        randomBytes: always(decoded.encrypted?.nonce),
      };

      if (v.kind === 'packet') {
        const codec = createPacketCodec(options);
        const opened = (): Uint8Array[] =>
          codec.open(bytes(v.hex), (e) => {
            throw e;
          });

        test(`${v.name}: opens as memberlist opens it`, () => {
          const leaves = opened();
          const expected = leavesOf(decoded);
          expect(leaves.length).toBe(expected.length);
          for (const [index, leaf] of leaves.entries()) {
            const m = decodeMessage(leaf);
            const go = expected[index]!;
            expect(m.kind).toBe(kindOf[go.typeName]);
            if (m.kind === 'user') expect(m.payload[0]).toBe(go.serf!.type);
            else expect(goForm(m)).toEqual(goStruct(go.message!));
          }
        });

        test(`${v.name}: written again it is the same packet`, () => {
          const messages = opened().map((leaf) => encodeMessage(decodeMessage(leaf)));
          const outermost = decoded.encrypted === undefined ? decoded : decoded.inside!;
          expect(hex(codec.seal(messages, { crc: outermost.typeName === 'hasCrc' }))).toBe(v.hex);
        });
        continue;
      }

      const from: StreamRole = v.name.endsWith('-request') ? 'initiator' : 'acceptor';
      const codec = createStreamCodec(options);

      test(`${v.name}: reads as memberlist reads it`, () => {
        const piece = codec.reader(from === 'initiator' ? 'acceptor' : 'initiator').feed(bytes(v.hex));
        if (piece.kind !== 'message') throw new Error('a whole stream wants more');
        expect(piece.consumed).toBe(v.hex.length / 2);
        const { message } = piece;
        expect(message.kind).toBe(kindOf[decoded.typeName]);
        if (message.kind !== 'pushPull') {
          expect(goForm(message)).toEqual(goStruct(decoded.message!));
          expect(hex(encodeMessage(message))).toBe(decoded.uncompressed);
          return;
        }
        expect(message.join).toBe(decoded.header!.Join);
        expect(message.userState.length).toBe(decoded.header!.UserStateLen);
        // The recorder read serf's tags out of the meta as well.
        const rows = decoded.nodes!.map(({ tags: _tags, ...row }) => goStruct(row));
        expect(message.nodes.map(goNode)).toEqual(rows);
        expect(hex(encodePushPull(message))).toBe(withUnsignedCounts(decoded.uncompressed!));
      });

      test(`${v.name}: written again it is the same stream`, () => {
        expect(hex(codec.seal(bytes(decoded.uncompressed!), from))).toBe(v.hex);
      });
    }
  });
}
