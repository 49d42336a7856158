/**
 * shell.test.ts: packets and streams by hand: what memberlist net_test.go asks of a connection, asked of ours.
 */
import type { Duplex } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { Keyring, type Memberlist, type MemberlistOptions } from '../src/index.ts';
import { inboundStreamsMax, pushPullsMax } from '../src/streams.ts';
import { encodeMessage } from '../src/wire/codec.ts';
import type { Message, NodeState } from '../src/wire/message.ts';
import { createPacketCodec } from '../src/wire/packet.ts';
import { encodePushPull, encodeUserStream } from '../src/wire/push-pull.ts';
import { createStreamCodec, type StreamMessage } from '../src/wire/stream.ts';
import { Hand } from './hand.ts';

const randomBytes = (n: number): Uint8Array => new Uint8Array(n);
const packets = createPacketCodec({ randomBytes });
const streams = createStreamCodec({ randomBytes });
const none = new Uint8Array(0);
const bytes = (text: string): Uint8Array => Buffer.from(text);
const ping = (seqNo: number, node = 'self'): Message => ({ kind: 'ping', seqNo, node, sourceNode: 'b' });
const b: NodeState = {
  name: 'b',
  addr: Uint8Array.of(10, 0, 0, 2),
  port: 7946,
  meta: none,
  incarnation: 1,
  state: 0,
  vsn: Uint8Array.of(1, 5, 2, 0, 0, 0),
};

async function knowing(o: Partial<MemberlistOptions> = {}): Promise<Hand> {
  const hand = await Hand.open(o);
  hand.packet(encodeMessage({ ...b, kind: 'alive', node: 'b' }));
  // Everything to be broadcast rides away on these acks.
  for (let i = 0; i < 10; i++) hand.packet(encodeMessage(ping(1)));
  hand.sent.length = 0;
  hand.heard.length = 0;
  return hand;
}

/** The one message that comes back on a stream we opened to the member, or undefined if it just closes. */
async function answer(far: Duplex, codec = streams): Promise<StreamMessage | undefined> {
  const reader = codec.reader('initiator');
  for await (const chunk of far) {
    const piece = reader.feed(chunk as Uint8Array);
    if (piece.kind === 'message') return piece.message;
  }
  return undefined;
}

/** What the member wrote on a stream it dialled. */
async function question(far: Duplex): Promise<StreamMessage> {
  const reader = streams.reader('acceptor');
  return new Promise((resolve) => {
    far.on('data', (chunk: Uint8Array) => {
      const piece = reader.feed(chunk);
      if (piece.kind === 'message') resolve(piece.message);
    });
  });
}

describe('hooks', () => {
  test('what is asked in the middle of a turn may look; what would change something is refused, and the turn goes on', async () => {
    let list: Memberlist | undefined;
    let seen = 0;
    await using hand = await Hand.open({
      hooks: {
        ackPayload: () => {
          seen = list?.members().length ?? 0;
          list?.wake();
          return bytes('never said');
        },
      },
    });
    list = hand.list;
    hand.packet(encodeMessage(ping(7)));
    expect(hand.said().map(({ message }) => message)).toContainEqual({
      kind: 'ack',
      seqNo: 7,
      payload: none,
    });
    expect(seen).toBe(1);
    expect(hand.logged).toEqual(['hook_failed']);
  });

  test('a layer above that wakes us has its broadcasts told at the next gossip turn', async () => {
    const waiting: Uint8Array[] = [];
    await using hand = await knowing({
      config: { gossipIntervalMs: 200 },
      hooks: { broadcasts: () => waiting.splice(0), hasBroadcasts: () => waiting.length > 0 },
    });
    hand.clock.advance(10_000);
    hand.sent.length = 0;
    hand.clock.advance(10_000);
    expect(hand.said()).toEqual([]);
    waiting.push(bytes('!'));
    hand.list.wake();
    hand.clock.advance(200);
    const user = { kind: 'user', payload: bytes('!') };
    expect(hand.said().map(({ to, message }) => ({ to, message }))).toEqual([{ to: 'b', message: user }]);
  });
});

describe('packets', () => {
  test('three pings in a compound are three acks', async () => {
    await using hand = await knowing();
    hand.packet(
      packets.seal(
        [1, 2, 3].map((n) => encodeMessage(ping(n))),
        { crc: true },
      ),
    );
    expect(hand.said().map(({ message }) => message)).toEqual(
      [1, 2, 3].map((seqNo) => ({ kind: 'ack', seqNo, payload: none })),
    );
  });

  test('rubbish of every kind is counted by code, and breaks nothing', async () => {
    await using hand = await knowing();
    const crc = packets.seal([encodeMessage(ping(1))], { crc: true });
    crc[crc.length - 1]! ^= 1;
    for (const rubbish of [
      none,
      Uint8Array.of(200),
      Uint8Array.of(0, 0xc1),
      Uint8Array.of(7),
      Uint8Array.of(244, 0),
      crc,
    ])
      hand.packet(rubbish);
    const { drops, packetsIn } = hand.list.stats();
    expect(Object.values(drops).reduce((sum, n) => sum + n)).toBe(6);
    expect(Object.keys(drops)).toEqual(
      expect.arrayContaining([
        'empty',
        'unknown_type',
        'malformed',
        'truncated',
        'label_malformed',
        'crc_mismatch',
      ]),
    );
    hand.packet(encodeMessage(ping(9)));
    expect(hand.said()).toHaveLength(1);
    expect(packetsIn).toBe(11 + 6);
  });

  test('checksums go to members known to read them, and to nobody else', async () => {
    await using hand = await knowing();
    const known = hand.list.member('b')!;
    hand.list.sendBestEffort(known, bytes('with'));
    hand.list.sendBestEffort({ host: known.host, port: known.port, name: 'b' }, bytes('without'));
    expect(hand.said().map(({ crc }) => crc)).toEqual([true, false]);
  });

  test('a probe that the transport could not send asks others at once; any other packet is only counted', async () => {
    await using hand = await knowing({ config: { probeIntervalMs: 1_000, disableTcpPings: true } });
    hand.packet(encodeMessage({ ...b, kind: 'alive', node: 'c', addr: Uint8Array.of(10, 0, 0, 3) }));
    hand.clock.advance(1_000);
    const probe = hand.sent.find(({ packet }) => packets.open(packet)[0]![0] === 0)!;
    hand.sent.length = 0;
    probe.failed!(new Error('network unreachable'));
    const kinds = hand.said().map(({ message }) => message.kind);
    expect(kinds[0]).toBe('indirectPing');
    hand.list.sendBestEffort(hand.list.member('b')!, bytes('x'));
    hand.sent.splice(0)[0]!.failed!(new Error('too large'));
    expect(hand.said()).toEqual([]);
    expect(hand.list.stats().drops['send_failed']).toBe(2);
  });
});

describe('streams that others open', () => {
  test('a push/pull is answered with the table as it was, and Join as asked; then it is merged', async () => {
    await using hand = await Hand.open({ hooks: { localState: (join) => bytes(`mine ${join}`) } });
    hand.heard.length = 0;
    const far = hand.stream();
    const request = encodePushPull({ join: true, nodes: [b], userState: bytes('theirs') });
    far.write(streams.seal(request, 'initiator'));
    const reply = await answer(far);
    expect(reply).toMatchObject({
      kind: 'pushPull',
      join: true,
      nodes: [{ name: 'self', incarnation: 1, state: 0 }],
    });
    expect(reply?.kind === 'pushPull' && Buffer.from(reply.userState).toString()).toBe('mine true');
    await new Promise((resolve) => setImmediate(resolve)); // merging follows the answer
    expect(hand.heard).toEqual(['join b', 'state theirs true']);
  });

  test('it may come in any pieces', async () => {
    await using hand = await Hand.open();
    const far = hand.stream();
    for (const byte of streams.seal(
      encodePushPull({ join: false, nodes: [b], userState: none }),
      'initiator',
    ))
      far.write(Uint8Array.of(byte));
    expect((await answer(far))?.kind).toBe('pushPull');
  });

  test.each([
    ['our name', 'self', true],
    ['no name', '', true],
    ['another name', 'other', false],
  ])('a ping with %s', async (_, node, acked) => {
    await using hand = await Hand.open({ hooks: { ackPayload: () => bytes('not on streams') } });
    const far = hand.stream();
    far.write(streams.seal(encodeMessage(ping(7, node)), 'initiator'));
    expect(await answer(far)).toEqual(acked ? { kind: 'ack', seqNo: 7, payload: none } : undefined);
  });

  test('a user message is delivered, an empty one is not', async () => {
    await using hand = await knowing();
    for (const payload of [none, bytes('hello')]) {
      const far = hand.stream();
      far.end(streams.seal(encodeUserStream(payload), 'initiator'));
      expect(await answer(far)).toBeUndefined();
    }
    expect(hand.heard).toEqual(['user hello']);
  });

  test('what cannot be decrypted is answered with an error message; what makes no sense is closed', async () => {
    const keyring = new Keyring([], new Uint8Array(16).fill(1));
    await using hand = await Hand.open({ keyring });
    const plain = hand.stream();
    plain.write(streams.seal(encodeMessage(ping(1)), 'initiator'));
    expect(await answer(plain, createStreamCodec({ randomBytes, keyring }))).toMatchObject({ kind: 'err' });
    await using open = await Hand.open();
    for (const rubbish of [Uint8Array.of(99), Uint8Array.of(6, 0xc1)]) {
      const far = open.stream();
      far.write(rubbish);
      expect(await answer(far)).toBeUndefined();
    }
    expect(open.list.stats().drops).toMatchObject({ unknown_type: 1, malformed: 1 });
  });

  test('who says nothing, or half of it, is closed after tcpTimeoutMs', async () => {
    await using hand = await Hand.open();
    const half = hand.stream();
    half.write(
      streams.seal(encodePushPull({ join: false, nodes: [b], userState: none }), 'initiator').subarray(0, 20),
    );
    const closed = answer(half).catch(() => undefined);
    await new Promise((resolve) => setImmediate(resolve));
    hand.clock.advance(10_000);
    expect(await closed).toBeUndefined();
    expect(hand.list.stats().drops['timeout']).toBe(1);
  });

  test('only so many push/pulls at a time; the next is closed without a word', async () => {
    // Nobody reads these answers, so they stay in progress.
    const localState = (): Uint8Array => new Uint8Array(200_000);
    await using hand = await Hand.open({ hooks: { localState }, config: { enableCompression: false } });
    const request = streams.seal(encodePushPull({ join: false, nodes: [], userState: none }), 'initiator');
    const ask = (): Duplex => {
      const far = hand.stream();
      far.write(request);
      return far;
    };
    const open = Array.from({ length: pushPullsMax }, ask);
    await new Promise((resolve) => setImmediate(resolve));
    expect(hand.list.stats().pushPullsInProgress).toBe(pushPullsMax);
    expect(await answer(ask())).toBeUndefined();
    expect(hand.list.stats().drops['push_pulls_full']).toBe(1);
    expect((await answer(open[0]!))?.kind).toBe('pushPull');
    for (const far of open) far.destroy();
  });

  test('only so many streams at a time', async () => {
    await using hand = await Hand.open();
    const open = Array.from({ length: inboundStreamsMax }, () => hand.stream());
    const surplus = hand.stream();
    expect(await answer(surplus).catch(() => undefined)).toBeUndefined();
    expect(hand.list.stats().drops['streams_full']).toBe(1);
    for (const far of open) far.destroy();
  });
});

describe('streams that we open', () => {
  /** The member pings b over a stream, as a packet stayed unanswered; `reply` is what b does. */
  async function tcpPing(reply: (far: Duplex, seqNo: number) => void): Promise<string | undefined> {
    await using hand = await knowing({ config: { probeIntervalMs: 1_000 } });
    const dial = hand.nextDial();
    hand.clock.advance(1_500);
    const far = await dial;
    const asked = await question(far);
    expect(asked).toMatchObject({ kind: 'ping', node: 'b', sourceNode: 'self', sourcePort: 7946 });
    reply(far, asked.kind === 'ping' ? asked.seqNo : -1);
    await new Promise((resolve) => setImmediate(resolve));
    hand.clock.advance(600);
    return hand.list.member('b')?.state;
  }
  const ack = (seqNo: number): Uint8Array =>
    streams.seal(encodeMessage({ kind: 'ack', seqNo, payload: none }), 'acceptor');

  test('TCP ping: the right ack keeps the member alive', async () => {
    expect(await tcpPing((far, seqNo) => far.end(ack(seqNo)))).toBe('alive');
  });

  test.each([
    ['the wrong number', (far: Duplex, seqNo: number) => far.end(ack(seqNo + 1))],
    [
      'the wrong kind',
      (far: Duplex, seqNo: number) => far.end(streams.seal(encodeMessage(ping(seqNo)), 'acceptor')),
    ],
    [
      'an error',
      (far: Duplex) => far.end(streams.seal(encodeMessage({ kind: 'err', error: 'no' }), 'acceptor')),
    ],
    ['rubbish', (far: Duplex) => far.end(Uint8Array.of(1, 2, 3))],
    ['a closed stream', (far: Duplex) => far.destroy()],
    ['silence', () => {}],
  ])('TCP ping: %s does not', async (_, reply) => {
    expect(await tcpPing(reply)).toBe('suspect');
  });

  test.each([
    [
      'an error message',
      streams.seal(encodeMessage({ kind: 'err', error: 'remote state is encrypted' }), 'acceptor'),
      { code: 'remote_error', remoteText: 'remote state is encrypted' },
    ],
    ['something else', ack(1), { code: 'unexpected' }],
    ['rubbish', Uint8Array.of(6, 0xc1), { code: 'malformed' }],
    ['half an answer', Uint8Array.of(6, 0x83), { code: 'malformed' }],
    ['nothing', none, { code: 'malformed' }],
  ])('a push/pull answered with %s fails, naming the reason', async (_, reply, expected) => {
    await using hand = await knowing();
    const dial = hand.nextDial();
    const syncing = expect(hand.list.sync('b')).rejects.toMatchObject({ name: 'PeerError', ...expected });
    const far = await dial;
    await question(far);
    far.end(reply);
    await syncing;
    expect(hand.heard).toEqual([]);
  });

  test('whoever refuses us before we have finished is heard', async () => {
    await using hand = await knowing({
      hooks: { localState: () => new Uint8Array(10_000_000).map((_, i) => i * i) },
    });
    const dial = hand.nextDial();
    const syncing = hand.list.sync('b');
    const far = await dial;
    far.write(streams.seal(encodeMessage({ kind: 'err', error: 'too many' }), 'acceptor'));
    await expect(syncing).rejects.toMatchObject({ code: 'remote_error', remoteText: 'too many' });
  });

  test('closing the memberlist ends them', async () => {
    const hand = await knowing();
    const dial = hand.nextDial();
    const syncing = expect(hand.list.sync('b')).rejects.toMatchObject({ code: 'closed' });
    await question(await dial);
    await hand[Symbol.asyncDispose]();
    await syncing;
  });
});
