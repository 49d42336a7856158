/** A session that is not made before it is needed: what the peer and the owner see must be the same. */
import { once } from 'node:events';
import { type Duplex, duplexPair } from 'node:stream';
import { SteppedClock } from '@fed/tooling/virtual-clock';
import { describe, expect, test } from 'vitest';
import { encodeFrameHeader, frameFlag, frameType, goAwayCode } from './frame.ts';
import { LateSession } from './late-session.ts';
import { openYamux, type YamuxOptions } from './session.ts';
import type { YamuxStream } from './stream.ts';

function late(o: Partial<YamuxOptions> = {}, prepare: (ours: Duplex, theirs: Duplex) => void = () => {}) {
  const clock = new SteppedClock();
  const [ours, theirs] = duplexPair();
  prepare(ours, theirs);
  const streams: YamuxStream[] = [];
  const session = new LateSession(ours, {
    role: 'server',
    clock,
    onStream: (s) => void streams.push(s),
    ...o,
  });
  return { clock, session, ours, theirs, streams };
}

/** Everything that arrives, in hex. */
function heard(theirs: Duplex): { readonly hex: () => string } {
  const chunks: Buffer[] = [];
  theirs.on('data', (bytes: Buffer) => chunks.push(bytes));
  return { hex: () => Buffer.concat(chunks).toString('hex') };
}

async function settled(): Promise<void> {
  for (let n = 0; n < 20; n += 1) await new Promise((resolve) => setImmediate(resolve));
}

const ping = (id: number, flag: number): Buffer =>
  Buffer.from(encodeFrameHeader(frameType.ping, flag, 0, id));
const listeners = (conn: Duplex): readonly number[] =>
  ['data', 'error', 'end', 'close', 'drain'].map((event) => conn.listenerCount(event));

describe('the first byte', () => {
  test('makes the session, which gets it and takes over every listener', async () => {
    const { session, ours, theirs, streams } = late();
    const without = late().ours;
    expect(listeners(ours)).toEqual(listeners(without));
    const client = openYamux(theirs, { role: 'client', clock: new SteppedClock() });
    client.open().write('hello');
    await settled();
    expect([session.streams, String(streams[0]?.read())]).toEqual([1, 'hello']);
    const [alone] = duplexPair();
    openYamux(alone, { role: 'server', clock: new SteppedClock() });
    expect(listeners(ours)).toEqual(listeners(alone));
  });

  test('may come alone, and the rest of its frame later', async () => {
    const { theirs } = late();
    const answer = heard(theirs);
    for (const byte of ping(7, frameFlag.syn)) {
      theirs.write(Buffer.of(byte));
      await settled();
    }
    expect(answer.hex()).toBe(ping(7, frameFlag.ack).toString('hex'));
  });

  test('may have been there before, put back by whoever looked at it', async () => {
    const frames = Buffer.concat([ping(1, frameFlag.syn), ping(2, frameFlag.syn)]);
    const { theirs } = late({}, (ours, peer) => {
      ours.unshift(frames.subarray(0, 5));
      peer.write(frames.subarray(5));
    });
    const answer = heard(theirs);
    await settled();
    const answers = Buffer.concat([ping(1, frameFlag.ack), ping(2, frameFlag.ack)]);
    expect(answer.hex()).toBe(answers.toString('hex'));
  });

  test('may be followed by the end at once, and is heard all the same', async () => {
    const { session, streams } = late({}, (ours, peer) => {
      ours.unshift(Buffer.from(encodeFrameHeader(frameType.windowUpdate, frameFlag.syn, 1, 0)));
      peer.end();
    });
    expect(await session.closed).toEqual({ code: 'connection_lost', text: 'the peer ended the connection' });
    expect(streams.length).toBe(1);
  });

  test('that breaks the rules ends it as any other', async () => {
    const { session, theirs } = late();
    theirs.resume().write(Buffer.alloc(12, 0x47));
    expect((await session.closed).code).toBe('peer_protocol');
  });
});

describe('silence', () => {
  test('is broken by a ping when the first is due, counted from the beginning', async () => {
    const { clock, session, theirs } = late();
    const asked = heard(theirs);
    clock.advance(29_999);
    await settled();
    expect(asked.hex()).toBe('');
    clock.advance(1);
    await settled();
    expect(asked.hex()).toBe(ping(0, frameFlag.syn).toString('hex'));
    clock.advance(10_000);
    expect((await session.closed).code).toBe('keepalive_timeout');
  });

  test('that ends before changes nothing about when that is', async () => {
    const { clock, theirs } = late();
    clock.advance(20_000);
    theirs.write(ping(5, frameFlag.syn));
    await settled();
    const asked = heard(theirs);
    clock.advance(10_000);
    await settled();
    expect(asked.hex()).toBe(Buffer.concat([ping(5, frameFlag.ack), ping(0, frameFlag.syn)]).toString('hex'));
  });

  test('lasts for ever without keepalive', () => {
    const { clock } = late({ config: { keepaliveMs: 0 } });
    expect(clock.armed).toBe(0);
  });
});

describe('before the first byte', () => {
  test.each([
    ['the peer ends', 'the peer ended the connection', (_ours: Duplex, theirs: Duplex) => void theirs.end()],
    ['the connection breaks', 'ECONNRESET', (ours: Duplex) => void ours.destroy(new Error('ECONNRESET'))],
    ['it closes', 'the connection was closed', (ours: Duplex) => void ours.destroy()],
  ])('%s: told why, closed, no timer left', async (_name, text, end) => {
    const { clock, session, ours, theirs } = late();
    theirs.on('error', () => {});
    const gone = new Promise((resolve) => ours.on('close', resolve));
    end(ours, theirs);
    expect(await session.closed).toEqual({ code: 'connection_lost', text });
    await gone;
    expect([ours.destroyed, clock.armed, session.streams]).toEqual([true, 0, 0]);
    await session[Symbol.asyncDispose]();
    session.goAway();
    expect([await session.closed, clock.armed]).toEqual([{ code: 'connection_lost', text }, 0]);
  });

  test('a connection that was closed already is told as such', async () => {
    const [conn] = duplexPair();
    await once(conn.destroy(), 'close');
    const clock = new SteppedClock();
    const session = new LateSession(conn, { role: 'server', clock });
    expect(await session.closed).toEqual({ code: 'connection_lost', text: 'the connection was closed' });
    expect(clock.armed).toBe(0);
  });

  test('a peer is told to go elsewhere, and may open nothing more', async () => {
    const { session, theirs } = late();
    const told = heard(theirs);
    session.goAway();
    await settled();
    const goAway = encodeFrameHeader(frameType.goAway, 0, 0, goAwayCode.normal);
    expect(told.hex()).toBe(Buffer.from(goAway).toString('hex'));
    theirs.write(encodeFrameHeader(frameType.windowUpdate, frameFlag.syn, 1, 0));
    await settled();
    const reset = encodeFrameHeader(frameType.windowUpdate, frameFlag.rst, 1, 0);
    expect(told.hex()).toBe(Buffer.concat([goAway, reset]).toString('hex'));
  });

  test('disposal ends the connection and says that it was us', async () => {
    const { clock, session, ours, theirs } = late();
    theirs.on('end', () => theirs.end()).resume();
    await session[Symbol.asyncDispose]();
    expect([(await session.closed).code, ours.closed, clock.armed]).toEqual(['closed', true, 0]);
  });
});
