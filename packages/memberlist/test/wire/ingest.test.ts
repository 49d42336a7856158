/**
 * ingest.test.ts: which recorded packets a member opens under its key, label and verification settings.
 */
import { describe, expect, test } from 'vitest';
import { decodeMessage } from '../../src/wire/codec.ts';
import { WireError } from '../../src/wire/errors.ts';
import { createPacketCodec } from '../../src/wire/packet.ts';
import { bytes, load, ringOf } from './go-form.ts';

interface IngestVector {
  readonly name: string;
  readonly description: string;
  readonly hex: string;
  readonly handled: boolean;
  readonly acks: readonly unknown[];
  readonly config: {
    readonly gossipVerifyIncoming: boolean;
    readonly gossipVerifyOutgoing: boolean;
    readonly keys: readonly string[];
    readonly label: string;
    readonly protocolVersion: number;
    readonly skipInboundLabelCheck: boolean;
  };
}

/** Why a packet that went unanswered is refused by the wire. Those that it opens are pings for somebody else. */
const refusals: Readonly<Record<string, string>> = {
  'crc-bad': 'crc_mismatch',
  'crc-short': 'unknown_type',
  'crc-empty': 'empty',
  'crc-twice': 'unknown_type',
  'crc-in-compress': 'unknown_type',
  'type-99': 'unknown_type',
  'type-pushpull': 'unknown_type',
  'encrypted-wrong-key': 'undecryptable',
  'encrypted-empty': 'empty',
  'plain-to-keyed': 'undecryptable',
  'encrypted-to-plain': 'malformed',
  'encrypted-tampered': 'undecryptable',
  'label-missing': 'label_mismatch',
  'label-other': 'label_mismatch',
  'label-unexpected': 'label_mismatch',
  'label-empty': 'label_malformed',
  'label-truncated': 'label_malformed',
  'label-only-magic': 'label_malformed',
  'label-encrypted-no-aad': 'undecryptable',
  'label-swapped': 'undecryptable',
  'label-inside-encryption': 'label_mismatch',
  'skip-with': 'label_unexpected',
  'label-twice': 'unknown_type',
};
const forOthers: Readonly<Record<string, string>> = {
  'ping-other-name': 'node-2',
  'ping-name-case': 'NODE-1',
};

describe('ingest', () => {
  for (const v of load<IngestVector>('ingest')) {
    const { config } = v;
    const codec = createPacketCodec({
      keyring: ringOf(...config.keys),
      label: config.label,
      verifyIncoming: config.gossipVerifyIncoming,
      verifyOutgoing: config.gossipVerifyOutgoing,
      skipInboundLabelCheck: config.skipInboundLabelCheck,
      protocolVersion: config.protocolVersion,
      randomBytes: (n) => new Uint8Array(n),
    });
    /** Names of the pings inside, and what was wrong; a message that cannot be read does not stop the others. */
    const ingest = (): { names: string[]; codes: string[] } => {
      const names: string[] = [];
      const codes: string[] = [];
      const bad = (e: unknown): void => {
        if (!(e instanceof WireError)) throw e;
        codes.push(e.code);
      };
      try {
        for (const leaf of codec.open(bytes(v.hex), bad)) {
          try {
            const m = decodeMessage(leaf);
            if (m.kind === 'ping' && m.seqNo === 42) names.push(m.node);
          } catch (e) {
            bad(e);
          }
        }
      } catch (e) {
        bad(e);
      }
      return { names, codes };
    };

    const why = v.description && `: ${v.description}`;
    if (v.handled) {
      test(`${v.name}: opens${why}`, () => {
        const { names, codes } = ingest();
        expect(names.length).toBe(v.acks.length);
        for (const name of names) expect(['', 'node-1']).toContain(name);
        expect(codes).toEqual(v.name === 'compound-bad-part' ? ['unknown_type', 'malformed'] : []);
      });
    } else if (forOthers[v.name] !== undefined) {
      test(`${v.name}: opens, and is for somebody else${why}`, () => {
        expect(ingest()).toEqual({ names: [forOthers[v.name]], codes: [] });
      });
    } else {
      test(`${v.name}: is dropped${why}`, () => {
        expect(refusals[v.name]).toBeDefined();
        expect(ingest()).toEqual({ names: [], codes: [refusals[v.name]] });
      });
    }
  }
});
