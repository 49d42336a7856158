/**
 * parsers.ts: everything of ours that reads strangers' bytes, and what must be true of it whatever it reads.
 *
 * Lives here: the parsers, what they start from, what they may throw, what they may hold. Must not live here: the loop.
 */
import { Keyring, KeyringError, MemberlistError } from '@fed/memberlist';
import {
  createPacketCodec,
  createStreamCodec,
  decodeMessage,
  encodeMessage,
  WireError as GossipWireError,
  lzwDecompress,
  parseTarget,
} from '@fed/memberlist/internals';
import { decode, encode, MsgpackError } from '@fed/msgpack';
import { passesFilters } from '../../src/core/filters.ts';
import { readSnapshot } from '../../src/core/snapshot.ts';
import { SerfError, WireError } from '../../src/errors.ts';
import { parseKeyring } from '../../src/keyring-file.ts';
import { decodeAckPayload, encodeAckPayload } from '../../src/wire/ack-payload.ts';
import { decodeFilter, decodeMessage as decodeSerf } from '../../src/wire/decode.ts';
import { encodeMessage as encodeSerf } from '../../src/wire/encode.ts';
import { decodeTags } from '../../src/wire/tags.ts';
import { unpackPacket, unpackStream } from '../unpack.ts';
import { bytesIn, recorded } from './corpus.ts';

export interface Parser {
  readonly name: string;
  readonly corpus: readonly Uint8Array[];
  /** Reads `input`. Throws one of `refusals`, or holds the result to its own bounds and throws something else. */
  read(input: Uint8Array): void;
  /** What the peer's fault may look like. */
  readonly refusals: readonly (new (
    ...args: never[]
  ) => Error)[];
}

/** What packet.ts states: bytes that everything in one packet may expand to, and parts of all its compounds. */
const expansionBytesMax = 256 * 1024;
const partsMax = 4096;

const zeros = (n: number): Uint8Array => new Uint8Array(n);
const someKey = Uint8Array.from({ length: 16 }, (_, i) => i);
const captured = recorded('serf', 'captured');
const messages = recorded('memberlist', 'memberlist');
const ingested = recorded('memberlist', 'ingest');
const keys = [...captured, ...messages, ...ingested].flatMap(({ key }) => (key === undefined ? [] : [key]));
const keyring = new Keyring(
  [...new Set(keys)]
    .map((key) => Buffer.from(key, 'hex'))
    .filter(({ length }) => [16, 24, 32].includes(length)),
  someKey,
);

const plainPackets = bytesIn(
  [...captured, ...messages, ...ingested].filter(({ key, label }) => !key && !label),
);
const keyedPackets = bytesIn([...captured, ...messages, ...ingested].filter(({ key }) => key !== undefined));
const labelledPackets = bytesIn(
  [...captured, ...messages, ...ingested].filter(({ label }) => label !== undefined),
);
const plain = createPacketCodec({ randomBytes: zeros });
const keyed = createPacketCodec({ randomBytes: zeros, keyring });
const relaxed = createPacketCodec({ randomBytes: zeros, keyring, verifyIncoming: false, label: 'green' });
const greenHeader = Buffer.from('\xf4\x05green', 'latin1');
const leaves = plainPackets.flatMap((packet) => {
  try {
    return plain.open(packet);
  } catch {
    return [];
  }
});

const inside = captured.flatMap((v) => {
  const o = { ...(v.key !== undefined && { key: v.key }), ...(v.label !== undefined && { label: v.label }) };
  try {
    const bytes = Buffer.from(v.hex ?? '', 'hex');
    return [v.kind === 'packet' ? unpackPacket(bytes, o) : unpackStream(bytes, o)];
  } catch {
    return []; // a recording of something that is not opened here
  }
});
const serfVectors = recorded('serf', 'serf-0');
const serfMessages = [
  ...bytesIn(serfVectors.filter(({ name }) => !/^(tags|filter|ackpayload|packet)/.test(name))),
  ...inside.flatMap(({ serf, states }) => [...serf, ...states]),
].filter(({ length }) => length > 0);
const named = (prefix: string): readonly Uint8Array[] =>
  bytesIn(serfVectors.filter(({ name }) => name.startsWith(prefix)));

const texts = (...list: readonly string[]): readonly Uint8Array[] => list.map((text) => Buffer.from(text));

/** Whatever comes out is within the bounds of packet.ts, and can be read in turn. */
function readPacket(codec: typeof plain, packet: Uint8Array): void {
  let bad = 0;
  const found = codec.open(packet, () => bad++);
  let total = 0;
  for (const leaf of found) {
    total += leaf.length;
    refused(() => decodeMessage(leaf));
  }
  holds(found.length + bad <= 2 * partsMax, `${found.length} leaves and ${bad} bad parts`);
  holds(total <= packet.length + expansionBytesMax, `${total} bytes out of ${packet.length}`);
}

function refused(read: () => unknown): void {
  try {
    read();
  } catch (cause) {
    if (!(cause instanceof GossipWireError)) throw cause;
  }
}

function holds(truth: boolean, otherwise: string): void {
  if (!truth) throw new RangeError(`out of bounds: ${otherwise}`);
}

/** What was read can be written, and then reads as the same again. */
function comesBack<T>(
  read: (bytes: Uint8Array) => T,
  write: (value: T) => Uint8Array,
  input: Uint8Array,
): void {
  const once = write(read(input));
  const twice = write(read(once));
  holds(Buffer.compare(once, twice) === 0, 'written, read and written again it is something else');
}

function readStream(codec: ReturnType<typeof createStreamCodec>, input: Uint8Array): void {
  const reader = codec.reader('acceptor');
  const half = input.length >> 1;
  if (reader.feed(input.subarray(0, half)).kind === 'message') return;
  const piece = reader.feed(input.subarray(half));
  if (piece.kind === 'needMore') throw reader.ended();
  holds(piece.consumed <= input.length, `${piece.consumed} bytes consumed of ${input.length}`);
}

const gossip = [GossipWireError];
const streamPlain = createStreamCodec({ randomBytes: zeros });
const streamKeyed = createStreamCodec({ randomBytes: zeros, keyring });

export const parsers: readonly Parser[] = [
  { name: 'packet', corpus: plainPackets, refusals: gossip, read: (b) => readPacket(plain, b) },
  { name: 'packet, keyed', corpus: keyedPackets, refusals: gossip, read: (b) => readPacket(keyed, b) },
  {
    name: 'packet, labelled',
    corpus: [...labelledPackets, ...plainPackets.map((packet) => Buffer.concat([greenHeader, packet]))],
    refusals: gossip,
    read: (b) => readPacket(relaxed, b),
  },
  {
    name: 'packet, sealed with our key',
    corpus: plainPackets,
    refusals: gossip,
    read: (b) => {
      if (b.length > 0) readPacket(keyed, keyed.seal([b], { crc: false }));
    },
  },
  {
    name: 'message',
    corpus: leaves,
    refusals: gossip,
    read: (b) => comesBack(decodeMessage, encodeMessage, b),
  },
  { name: 'stream', corpus: plainPackets, refusals: gossip, read: (b) => readStream(streamPlain, b) },
  { name: 'stream, keyed', corpus: keyedPackets, refusals: gossip, read: (b) => readStream(streamKeyed, b) },
  {
    name: 'lzw',
    corpus: [
      ...bytesIn(recorded('memberlist', 'lzw')),
      ...bytesIn(recorded('memberlist', 'lzw'), 'compressed'),
    ],
    refusals: gossip,
    read: (b) => {
      const budget = { bytesLeft: expansionBytesMax };
      const out = lzwDecompress(b, budget);
      holds(
        out.length === expansionBytesMax - budget.bytesLeft,
        `${out.length} bytes, not what was taken off`,
      );
    },
  },
  {
    name: 'msgpack',
    corpus: [...bytesIn(recorded('msgpack', '')), ...leaves.map((leaf) => leaf.subarray(1))],
    refusals: [MsgpackError],
    read: (b) => comesBack(decode, encode, b),
  },
  {
    name: 'serf message',
    corpus: serfMessages,
    refusals: [WireError],
    read: (b) => comesBack(decodeSerf, encodeSerf, b),
  },
  {
    name: 'serf filter',
    corpus: [...named('filter'), ...texts('\x01\x82\xa3Tag\xa4role\xa4Expr\xaf^(web|db)[0-9]+$')],
    refusals: [WireError],
    read: (b) => {
      passesFilters([b], 'node-1', { role: 'web12', dc: 'a'.repeat(100) });
      decodeFilter(b);
    },
  },
  {
    name: 'tags',
    corpus: named('tags'),
    refusals: [],
    read: (b) => void decodeTags(b),
  },
  {
    name: 'coordinate',
    corpus: [
      ...named('ackpayload'),
      ...inside.flatMap(({ acks }) => acks).filter(({ length }) => length > 0),
    ],
    refusals: [WireError],
    read: (b) => comesBack(decodeAckPayload, encodeAckPayload, b),
  },
  {
    name: 'snapshot',
    corpus: recorded('serf', 'snapshot').map(({ content }) => Buffer.from(content ?? '')),
    refusals: [],
    read: (b) => {
      const { clock, eventClock, queryClock, alive } = readSnapshot(Buffer.from(b).toString(), {
        rejoinAfterLeave: true,
      });
      for (const time of [clock, eventClock, queryClock])
        holds(time >= 0n && time < 2n ** 64n, `clock ${time}`);
      holds(alive.size <= b.length, `${alive.size} members in ${b.length} bytes`);
    },
  },
  {
    name: 'keyring file',
    corpus: texts(JSON.stringify(['AAECAwQFBgcICQoLDA0ODw==', 'Dw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8P'])),
    refusals: [SerfError, KeyringError],
    read: (b) => {
      const [primary, ...others] = parseKeyring(Buffer.from(b).toString(), 'keyring');
      holds(new Keyring(others, primary).size <= b.length, 'more keys than bytes');
    },
  },
  {
    name: 'join target',
    corpus: texts('node-1.dc1/10.0.0.1:8302', '[2001:db8::1]:7946', 'web.example.com', '::1'),
    refusals: [MemberlistError],
    read: (b) => {
      const { port } = parseTarget(Buffer.from(b).toString(), 7946);
      holds(Number.isInteger(port) && port >= 0 && port <= 65_535, `port ${port}`);
    },
  },
];
