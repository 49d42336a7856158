/** The rules of a session, one by one. Recorded sessions are in test/yamux-vectors.test.ts. */
import { describe, expect, test } from 'vitest';
import { corePair, End, type SentFrame } from '../../test/core-pair.ts';
import { encodeFrameHeader, type FrameType, frameFlag, frameType, initialWindowBytes } from './frame.ts';
import type { Effect } from './session-events.ts';

const { syn, ack, fin, rst } = frameFlag;
const { data, windowUpdate, ping, goAway } = frameType;

/** A lone core that hears only what the test says, and the headers it sends. */
function lone(role: 'client' | 'server', config: ConstructorParameters<typeof End>[2] = {}) {
  const sent: string[] = [];
  const end = new End(role, ({ header }) => sent.push(readable(header)), config);
  const hear = (
    type: FrameType,
    flags: number,
    id: number,
    length: number,
    payload: Uint8Array = Buffer.alloc(0),
  ): void =>
    end.step({
      kind: 'received',
      bytes: Buffer.concat([encodeFrameHeader(type, flags, id, length), payload]),
    });
  return { end, sent, hear };
}

describe('opening', () => {
  test('SYN travels with the first bytes, not before', () => {
    const { end, sent } = lone('client');
    end.open(false);
    expect(sent).toEqual([]);
    end.write(1, 'request');
    expect(sent).toEqual(['windowUpdate SYN 1 0', 'data 1 7']);
  });

  test('a stream that never carried a byte sends neither FIN nor RST when it ends or is dropped', () => {
    const { end, sent } = lone('client');
    end.open(false);
    end.step({ kind: 'end', id: 1 });
    end.step({ kind: 'drop', id: 1 });
    end.open(false);
    end.step({ kind: 'drop', id: 3 });
    expect([sent, end.told, end.core.streamCount]).toEqual([[], ['ended 1'], 0]);
  });

  test('a write of no bytes announces nothing', () => {
    const { end, sent } = lone('client');
    end.open(false);
    end.write(1, '');
    expect([sent, end.told]).toEqual([[], ['flushed 1']]);
  });

  test('client ids are odd from 1, server ids even from 2', () => {
    const ids = (end: End) => [end.open(), end.open()].map((v) => (v.kind === 'opened' ? v.id : v.why));
    expect([ids(lone('client').end), ids(lone('server').end)]).toEqual([
      [1, 3],
      [2, 4],
    ]);
  });

  test('an id the peer has taken against custom is passed over', () => {
    const { end, hear } = lone('client');
    hear(windowUpdate, syn, 1, 0);
    expect(end.open()).toMatchObject({ kind: 'opened', id: 3 });
  });

  test('beyond the backlog of unanswered streams the next one waits, and goes when one is answered', () => {
    const { end, sent, hear } = lone('client', { acceptBacklog: 2 });
    for (const id of [1, 3, 5]) {
      end.open(false);
      end.write(id, 'x');
    }
    expect(sent.filter((f) => f.includes('SYN'))).toEqual(['windowUpdate SYN 1 0', 'windowUpdate SYN 3 0']);
    hear(windowUpdate, ack, 3, 0);
    end.step({ kind: 'transmit', bytesMax: 1 });
    expect(sent.slice(-2)).toEqual(['windowUpdate SYN 5 0', 'data 5 1']);
  });

  const answers: readonly [string, readonly [FrameType, number, number, number, Buffer?]][] = [
    ['data', [data, 0, 1, 1, Buffer.from('x')]],
    ['a window update', [windowUpdate, 0, 1, 8]],
    ['FIN', [windowUpdate, fin, 1, 0]],
    ['RST', [windowUpdate, rst, 1, 0]],
  ];
  test.each(answers)('%s answers a SYN as well as an ACK does', (_name, frame) => {
    const { end, sent, hear } = lone('client', { acceptBacklog: 1 });
    for (const id of [1, 3]) {
      end.open(false);
      end.write(id, 'x');
    }
    hear(...frame);
    end.step({ kind: 'transmit', bytesMax: 1 });
    expect(sent.at(-1)).toBe('data 3 1');
  });

  test("after our own go away the peer's new streams are reset, those that exist go on", () => {
    const { end, sent, hear } = lone('server');
    hear(windowUpdate, syn, 1, 0);
    end.step({ kind: 'accept', id: 1 });
    end.step({ kind: 'goAway' });
    hear(windowUpdate, syn, 3, 0);
    hear(data, 0, 1, 2, Buffer.from('hi'));
    expect(sent.slice(1)).toEqual(['goAway 0 0', 'windowUpdate RST 3 0']);
    expect(end.received(1).toString()).toBe('hi');
  });

  test('more streams than the peer may have open are reset', () => {
    const { sent, hear } = lone('server', { peerStreamsMax: 1 });
    hear(windowUpdate, syn, 1, 0);
    hear(windowUpdate, syn, 3, 0);
    expect(sent).toEqual(['windowUpdate RST 3 0']);
  });
});

describe('credit', () => {
  test('a sender stops at its credit and goes on with what it is given', () => {
    const { end, sent, hear } = lone('client');
    end.open(false);
    end.write(1, Buffer.alloc(initialWindowBytes + 10));
    expect(sent.length).toBe(1 + initialWindowBytes / 65_536);
    expect(end.told).toEqual([]);
    hear(windowUpdate, 0, 1, 10);
    end.step({ kind: 'transmit', bytesMax: 1 });
    expect([sent.at(-1), end.told]).toEqual(['data 1 10', ['flushed 1']]);
  });

  test('streams take turns, one frame each', () => {
    const { end, sent } = lone('client', { frameBytesMax: 100 });
    for (const id of [1, 3]) {
      end.open(false);
      const effects = end.core.step({ kind: 'write', id, bytes: Buffer.alloc(250) }, 0);
      expect(effects).toEqual([]);
    }
    end.step({ kind: 'transmit', bytesMax: 1 });
    expect(sent.filter((f) => f.startsWith('data'))).toEqual([
      'data 1 100',
      'data 3 100',
      'data 1 100',
      'data 3 100',
      'data 1 50',
      'data 3 50',
    ]);
  });

  test('one transmit sends about what there is room for', () => {
    const { end } = lone('client', { frameBytesMax: 100 });
    end.open(false);
    end.core.step({ kind: 'write', id: 1, bytes: Buffer.alloc(1_000) }, 0);
    const frames = end.core.step({ kind: 'transmit', bytesMax: 250 }, 0).filter((e) => e.kind === 'send');
    expect(frames.length).toBe(4); // SYN and three data frames
  });

  test('credit is given back when bytes are consumed, not when they arrive', () => {
    const { end, sent, hear } = lone('server');
    hear(data, syn, 1, 200_000, Buffer.alloc(200_000));
    end.step({ kind: 'accept', id: 1 });
    expect(sent).toEqual(['windowUpdate ACK 1 0']);
    end.step({ kind: 'consumed', id: 1, bytes: 131_071 });
    expect(sent.length).toBe(1);
    end.step({ kind: 'consumed', id: 1, bytes: 1 });
    expect(sent.at(-1)).toBe('windowUpdate 1 131072');
  });

  test('a peer that has ended its stream is given no more credit', () => {
    const { end, sent, hear } = lone('server');
    hear(data, syn | fin, 1, 200_000, Buffer.alloc(200_000));
    end.step({ kind: 'accept', id: 1 });
    end.step({ kind: 'consumed', id: 1, bytes: 200_000 });
    expect(sent).toEqual(['windowUpdate ACK 1 0']);
  });

  test('the stream that makes the session hold too many unread bytes is reset, the others live', () => {
    const { end, sent, hear } = lone('server', { receiveBytesMax: 300_000 });
    hear(data, syn, 1, 200_000, Buffer.alloc(200_000));
    hear(data, syn, 3, 200_000, Buffer.alloc(200_000));
    expect(sent).toEqual(['windowUpdate RST 3 0']);
    expect([end.told.at(-1), end.core.bufferedBytes, end.closed]).toEqual(['reset 3', 200_000, undefined]);
  });
});

describe('ending', () => {
  test('FIN follows the last byte', () => {
    const { end, sent, hear } = lone('client');
    end.open(false);
    end.write(1, Buffer.alloc(initialWindowBytes + 1));
    end.step({ kind: 'end', id: 1 });
    expect(sent.at(-1)).toBe('data 1 65536');
    hear(windowUpdate, 0, 1, 100);
    end.step({ kind: 'transmit', bytesMax: 1 });
    expect(sent.slice(-2)).toEqual(['data 1 1', 'windowUpdate FIN 1 0']);
  });

  test('FIN on a data frame counts after its payload', () => {
    const { end, hear } = lone('server');
    hear(data, syn | fin, 1, 2, Buffer.from('hi'));
    expect(end.told).toEqual(['incoming 1', 'data 1', 'ended 1']);
  });

  test('a dropped stream is ended by FIN, never by RST, while the peer may not have accepted it', () => {
    const { end, sent } = lone('client');
    end.open(false);
    end.write(1, 'request');
    end.step({ kind: 'drop', id: 1 });
    expect(sent).toEqual(['windowUpdate SYN 1 0', 'data 1 7', 'windowUpdate FIN 1 0']);
  });

  test('what still arrives for a dropped stream is thrown away; a large rest is stopped by RST', () => {
    const { end, sent, hear } = lone('client');
    end.open(false);
    end.write(1, 'request');
    end.step({ kind: 'drop', id: 1 });
    hear(data, 0, 1, 100_000, Buffer.alloc(100_000));
    expect([sent.length, end.core.bufferedBytes]).toEqual([3, 0]);
    hear(data, 0, 1, 100_000, Buffer.alloc(100_000));
    expect([sent.at(-1), end.core.streamCount]).toEqual(['windowUpdate RST 1 0', 0]);
    hear(data, 0, 1, 3, Buffer.from('abc'));
    expect([end.told, end.closed]).toEqual([['flushed 1'], undefined]);
  });

  test('a stream dropped in the middle of much data is reset at once: its sender would wait for ever', () => {
    const { end, sent, hear } = lone('client');
    end.open(false);
    end.write(1, 'request');
    hear(data, 0, 1, 200_000, Buffer.alloc(200_000));
    end.step({ kind: 'drop', id: 1 });
    expect([sent.at(-1), end.core.streamCount, end.core.bufferedBytes]).toEqual([
      'windowUpdate RST 1 0',
      0,
      0,
    ]);
  });

  test('a stream dropped after its last word is not reset, however much still comes: Go would lose that word', () => {
    const { end, sent, hear } = lone('server');
    hear(windowUpdate, syn, 1, 0);
    end.step({ kind: 'accept', id: 1 });
    hear(data, 0, 1, 100_000, Buffer.alloc(100_000));
    end.write(1, 'bye');
    end.step({ kind: 'end', id: 1 });
    end.step({ kind: 'drop', id: 1 });
    hear(data, 0, 1, 100_000, Buffer.alloc(100_000));
    expect([sent.filter((frame) => frame.includes('RST')), end.core.bufferedBytes]).toEqual([[], 0]);
    hear(windowUpdate, fin, 1, 0);
    expect(end.core.streamCount).toBe(0);
  });

  test('a dropped stream is forgotten when the peer ends it', () => {
    const { end, sent, hear } = lone('client');
    end.open(false);
    end.write(1, 'request');
    end.step({ kind: 'drop', id: 1 });
    hear(windowUpdate, fin, 1, 0);
    expect([end.core.streamCount, sent.at(-1)]).toEqual([0, 'windowUpdate FIN 1 0']);
  });

  test('a dropped stream the peer never ends is reset after streamCloseMs', () => {
    const { end, sent, hear } = lone('client', { keepaliveMs: 0 });
    end.open(false);
    end.write(1, 'request');
    hear(windowUpdate, ack, 1, 0);
    end.step({ kind: 'drop', id: 1 });
    expect(end.core.deadline()).toBe(300_000);
    end.now = 300_000;
    end.step({ kind: 'deadline' });
    expect([sent.at(-1), end.core.streamCount]).toEqual(['windowUpdate RST 1 0', 0]);
  });

  test('FIN and RST that cross each other leave nothing behind', () => {
    const { end, hear } = lone('client');
    end.open(false);
    end.write(1, 'x');
    end.step({ kind: 'end', id: 1 });
    hear(windowUpdate, rst, 1, 0);
    hear(windowUpdate, fin, 1, 0);
    hear(windowUpdate, rst, 1, 0);
    end.step({ kind: 'drop', id: 1 });
    expect([end.told, end.core.streamCount, end.closed]).toEqual([['flushed 1', 'reset 1'], 0, undefined]);
  });

  test('a late FIN for a stream both ends have closed is ignored', () => {
    const { end, hear } = lone('client');
    end.open(false);
    end.write(1, 'x');
    end.step({ kind: 'end', id: 1 });
    hear(windowUpdate, fin, 1, 0);
    hear(windowUpdate, fin, 1, 0);
    expect(end.closed).toBeUndefined();
  });

  test('bytes after FIN are thrown away', () => {
    const { end, hear } = lone('server');
    hear(windowUpdate, syn | fin, 1, 0);
    hear(data, 0, 1, 4, Buffer.from('late'));
    expect([end.told, end.core.bufferedBytes]).toEqual([['incoming 1', 'ended 1'], 0]);
  });
});

describe('time', () => {
  test('a ping goes out 30 s after the start, and 30 s after each answer', () => {
    const { end, sent, hear } = lone('client');
    expect(end.core.deadline()).toBe(30_000);
    end.now = 30_000;
    end.step({ kind: 'deadline' });
    expect(sent).toEqual(['ping SYN 0 0']);
    end.now = 30_400;
    hear(ping, ack, 0, 0);
    expect(end.effects.at(-1)).toEqual({ kind: 'pong', pingId: 0, tookMs: 400 });
    expect(end.core.deadline()).toBe(60_400);
  });

  test('10 s of silence after a ping end the session', () => {
    const { end } = lone('client');
    end.now = 30_000;
    end.step({ kind: 'deadline' });
    expect(end.core.deadline()).toBe(40_000);
    end.now = 40_000;
    end.step({ kind: 'deadline' });
    expect(end.closed?.code).toBe('keepalive_timeout');
  });

  test('any bytes heard after the ping count as a sign of life', () => {
    const { end, hear } = lone('client');
    end.now = 30_000;
    end.step({ kind: 'deadline' });
    end.now = 39_000;
    hear(data, 0, 9, 1, Buffer.from('x'));
    expect(end.core.deadline()).toBe(49_000);
    end.now = 49_000;
    end.step({ kind: 'deadline' });
    expect(end.closed?.code).toBe('keepalive_timeout');
  });

  describe('while nobody waits for the peer', () => {
    const config = { keepaliveMs: 2_000, restKeepaliveMs: 30_000, pingTimeoutMs: 2_500 };
    const pings = (effects: readonly Effect[]): number =>
      effects.filter(({ kind }) => kind === 'send').length;
    const resting = () => {
      const it = lone('client', config);
      it.end.core.attend(false, 0);
      it.end.now = 2_000;
      it.end.step({ kind: 'deadline' });
      return it;
    };

    test('it is asked every 30 s instead of every 2', () => {
      const { end, hear } = resting();
      expect(pings(end.effects)).toBe(0);
      expect(end.core.deadline()).toBe(30_000);
      end.now = 30_000;
      end.step({ kind: 'deadline' });
      expect(pings(end.effects)).toBe(1);
      hear(ping, ack, 0, 0);
      expect(end.core.deadline()).toBe(60_000);
    });

    test('who begins to wait after a silence has it asked at once, and silence still ends the session', () => {
      const { end } = resting();
      end.now = 10_000;
      end.core.attend(true, end.now);
      expect(end.core.deadline()).toBe(10_000);
      end.step({ kind: 'deadline' });
      expect(pings(end.effects)).toBe(1);
      expect(end.core.deadline()).toBe(12_500);
      end.now = 12_500;
      end.step({ kind: 'deadline' });
      expect(end.closed?.code).toBe('keepalive_timeout');
    });

    test('who begins to wait for a peer that was heard just now lets it be for 2 s more', () => {
      const { end, hear } = resting();
      end.now = 9_500;
      hear(data, 0, 9, 1, Buffer.from('x'));
      end.now = 10_000;
      end.core.attend(true, end.now);
      expect(end.core.deadline()).toBe(11_500);
    });

    test('somebody who waits for long has it asked every 2 s', () => {
      const { end, hear } = resting();
      end.now = 10_000;
      end.core.attend(true, end.now);
      end.step({ kind: 'deadline' });
      hear(ping, ack, 0, 0);
      expect(end.core.deadline()).toBe(12_000);
    });
  });

  test('a stream unanswered for 75 s ends the session: the peer accepts nothing any more', () => {
    const { end } = lone('client', { keepaliveMs: 0 });
    end.open(false);
    end.write(1, 'x');
    expect(end.core.deadline()).toBe(75_000);
    end.now = 75_000;
    end.step({ kind: 'deadline' });
    expect(end.closed?.code).toBe('stream_open_timeout');
  });

  test('a stream that has been ended waits for no answer: an acceptor that has its FIN sends no ACK', () => {
    const { end } = lone('client', { keepaliveMs: 0 });
    end.open(false);
    end.write(1, 'x');
    end.step({ kind: 'end', id: 1 });
    expect(end.core.deadline()).toBeUndefined();
  });
});

describe('hostile peers', () => {
  test('bytes beyond the credit end the session before they are taken', () => {
    const { end, sent, hear } = lone('server');
    hear(windowUpdate, syn, 1, 0);
    hear(data, 0, 1, 2 ** 30);
    expect([sent, end.closed?.code]).toEqual([['goAway 0 1'], 'peer_protocol']);
  });

  test('1 GiB for a stream nobody knows ends the session too', () => {
    const { end, hear } = lone('server');
    hear(data, 0, 77, 2 ** 30);
    expect(end.closed?.code).toBe('peer_protocol');
  });

  test('credit beyond 2^32-1 ends the session', () => {
    const { end, hear } = lone('server');
    hear(windowUpdate, syn, 1, 0xffff_ffff);
    expect(end.closed?.code).toBe('peer_protocol');
  });

  test('go away 2 and unknown codes end the session', () => {
    for (const code of [2, 77]) {
      const { end, hear } = lone('server');
      hear(goAway, 0, 0, code);
      expect(end.closed?.code).toBe('peer_go_away');
    }
  });

  test('after the end nothing is sent, told or opened any more', () => {
    const { end, sent, hear } = lone('client');
    end.step({ kind: 'close' });
    hear(ping, syn, 0, 1);
    expect([end.open(), sent, end.told, end.core.deadline()]).toEqual([
      { kind: 'refused', why: 'session_closed' },
      [],
      ['closed'],
      undefined,
    ]);
  });

  test('closing sends no go away', () => {
    const { client, frames } = corePair();
    client.step({ kind: 'close' });
    expect(frames).toEqual<SentFrame[]>([]);
  });
});

function readable(header: Uint8Array): string {
  const bytes = Buffer.from(header);
  const type = ['data', 'windowUpdate', 'ping', 'goAway'][bytes[1]!];
  const flags = Object.entries(frameFlag).flatMap(([name, bit]) =>
    bytes[3]! & bit ? [name.toUpperCase()] : [],
  );
  return [type, ...flags, bytes.readUInt32BE(4), bytes.readUInt32BE(8)].join(' ');
}
