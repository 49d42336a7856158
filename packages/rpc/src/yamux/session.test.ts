/** Sessions on connections: in-memory pairs, so that back-pressure and time are the test's. */
import { once } from 'node:events';
import { Duplex, duplexPair } from 'node:stream';
import { SteppedClock } from '@fed/tooling/virtual-clock';
import { describe, expect, test } from 'vitest';
import { encodeFrameHeader, frameFlag, frameType, initialWindowBytes } from './frame.ts';
import { openYamux, type YamuxOptions, type YamuxSession } from './session.ts';
import type { YamuxStream } from './stream.ts';

function pair(onStream: (s: YamuxStream) => void, o: Partial<YamuxOptions> = {}) {
  const clock = new SteppedClock();
  const [a, b] = duplexPair();
  const client = openYamux(a, { role: 'client', clock, ...o });
  const server = openYamux(b, { role: 'server', clock, onStream, ...o });
  return { clock, client, server, wires: [a, b] as const };
}

const echo = (s: YamuxStream): void => void s.pipe(s);

describe('yamux session', () => {
  test('what one end writes the other reads, both ways, and end means end', async () => {
    await using ends = owned(pair(echo));
    const stream = ends.client.open();
    stream.end('hello');
    expect(await text(stream)).toBe('hello');
    expect(ends.client.stats().streams).toBe(0);
  });

  test('1,000 streams at once each get their own answer', async () => {
    await using ends = owned(pair(echo));
    const answers = Array.from({ length: 1_000 }, (_, n) => {
      const stream = ends.client.open();
      stream.end(`stream ${n}`);
      return text(stream);
    });
    expect(await Promise.all(answers)).toEqual(Array.from({ length: 1_000 }, (_, n) => `stream ${n}`));
    await settled();
    expect([ends.client.stats().streams, ends.server.stats().streams]).toEqual([0, 0]);
  });

  test('a stream nobody has written to leaves no trace on the wire', async () => {
    await using ends = owned(pair(echo));
    const before = ends.client.stats().sentBytes;
    const stream = ends.client.open();
    stream.destroy();
    await once(stream, 'close');
    expect(ends.client.stats().sentBytes).toBe(before);
  });

  test('the accepting side may speak first if the stream is announced', async () => {
    await using ends = owned(pair((s) => s.end('welcome')));
    expect(await text(ends.client.open({ announce: true }))).toBe('welcome');
  });

  test('a reader who does not read stops its writer at one window, and no other stream', async () => {
    const accepted: YamuxStream[] = [];
    await using ends = owned(pair((s) => void accepted.push(s)));
    const slow = ends.client.open();
    let flushed = false;
    slow.write(Buffer.alloc(initialWindowBytes + 1), () => {
      flushed = true;
    });
    const quick = ends.client.open();
    quick.end('quick');
    await settled();
    expect(accepted.length).toBe(2);
    expect(await text(accepted[1]!)).toBe('quick');
    expect([flushed, ends.server.stats().bufferedBytes]).toEqual([false, initialWindowBytes]);
    slow.end();
    expect((await bytes(accepted[0]!)).length).toBe(initialWindowBytes + 1);
    expect(flushed).toBe(true);
  });

  test('pings are answered ahead of data that a full connection holds back', async () => {
    const wire = new CongestedWire();
    const accepted: YamuxStream[] = [];
    const server = openYamux(wire, {
      role: 'server',
      onStream: (s) => void accepted.push(s),
      clock: new SteppedClock(),
    });
    wire.push(encodeFrameHeader(frameType.windowUpdate, frameFlag.syn, 1, 0));
    await settled();
    accepted[0]!.write(Buffer.alloc(200_000));
    wire.push(encodeFrameHeader(frameType.ping, frameFlag.syn, 0, 42));
    await settled();
    expect(server.stats().sentBytes).toBeLessThan(100_000); // data waits in the core, not in the connection
    wire.release();
    await settled();
    expect(server.stats().sentBytes).toBeGreaterThan(200_000);
    const chunks = wire.written.map((chunk) => (chunk.length === 12 ? chunk.toString('hex') : 'payload'));
    expect(chunks.indexOf('00020002000000000000002a')).toBeLessThan(chunks.lastIndexOf('payload'));
    wire.destroy();
    await server.closed;
  });

  test('data waits while the connection is full, and goes on when it drains', async () => {
    const wire = new CongestedWire();
    const client = openYamux(wire, { role: 'client', clock: new SteppedClock() });
    const stream = client.open();
    stream.write(Buffer.alloc(200_000));
    await settled();
    expect(client.stats().sentBytes).toBeLessThan(100_000);
    wire.release();
    await settled();
    expect(client.stats().sentBytes).toBe(200_000 + 12 * 5);
    wire.destroy();
    await client.closed;
  });

  test('a peer that pings without listening is not listened to: our unsent answers stay bounded', async () => {
    const wire = new CongestedWire();
    const server = openYamux(wire, { role: 'server', onStream: () => {}, clock: new SteppedClock() });
    const ping = encodeFrameHeader(frameType.ping, frameFlag.syn, 0, 1);
    const flood = Buffer.concat(Array.from({ length: 5_000 }, () => ping));
    for (let n = 0; n < 100; n += 1) wire.push(flood);
    await settled();
    expect(wire.writableLength).toBeGreaterThan(1024 * 1024);
    expect(wire.writableLength).toBeLessThan(1024 * 1024 + 2 * flood.length);
    wire.release();
    for (let n = 0; n < 100; n += 1) await settled();
    expect(server.stats().receivedBytes).toBe(100 * flood.length);
    wire.destroy();
  });

  test('a session without onStream resets what the peer opens', async () => {
    const [a, b] = duplexPair();
    const clock = new SteppedClock();
    await using left = openYamux(a, { role: 'client', clock });
    await using _right = openYamux(b, { role: 'server', clock });
    const stream = left.open();
    stream.write('anybody?');
    const [error] = await once(stream, 'error');
    expect(error).toMatchObject({ code: 'stream_reset' });
  });

  test('after a go away open is refused, and the streams that exist go on', async () => {
    const accepted: YamuxStream[] = [];
    await using ends = owned(pair((s) => void accepted.push(s)));
    const stream = ends.client.open();
    stream.write('a');
    await settled();
    ends.server.goAway();
    await settled();
    expect(ends.client.mayOpen).toBe(false);
    expect(() => ends.client.open()).toThrowError(expect.objectContaining({ code: 'go_away' }));
    stream.end('b');
    expect(await text(accepted[0]!)).toBe('ab');
  });

  test('ping resolves with the time the answer took', async () => {
    await using ends = owned(pair(echo));
    expect(await ends.client.ping()).toBe(0);
  });

  test('keepalive: a peer that has fallen silent is given up after 30 s and 10 s more', async () => {
    const clock = new SteppedClock();
    const [wire] = duplexPair(); // nobody answers at its other end
    const client = openYamux(wire, { role: 'client', clock });
    const stream = client.open();
    stream.write('request');
    clock.advance(39_999);
    expect(client.end).toBeUndefined();
    const failed = once(stream, 'error');
    clock.advance(1);
    expect(await client.closed).toMatchObject({ code: 'keepalive_timeout' });
    const [error] = await failed;
    expect(error).toMatchObject({ code: 'session_closed' });
    clock.advance(1_000); // the farewell: nobody took our last frames
    expect([wire.destroyed, clock.armed]).toEqual([true, 0]);
  });

  test('keepalive: peers that answer stay together', async () => {
    await using ends = owned(pair(echo));
    for (let n = 0; n < 10; n += 1) {
      ends.clock.advance(30_000);
      await settled();
    }
    expect([ends.client.end, ends.server.end]).toEqual([undefined, undefined]);
  });

  test('a lost connection ends every stream with session_closed and the reason', async () => {
    const { client, server, wires } = pair(echo);
    const stream = client.open();
    stream.write('x');
    stream.resume();
    await settled();
    const failed = once(stream, 'error');
    wires[0].destroy(new Error('cable cut'));
    expect(await client.closed).toEqual({ code: 'connection_lost', text: 'cable cut' });
    const [error] = await failed;
    expect(error).toMatchObject({ code: 'session_closed', message: 'session shutdown (cable cut)' });
    expect(() => client.open()).toThrowError(expect.objectContaining({ code: 'session_closed' }));
    await expect(client.ping()).rejects.toMatchObject({ code: 'session_closed' });
    await server[Symbol.asyncDispose]();
  });

  test('disposing closes the connection, leaves no timer, and the peer notices', async () => {
    const { client, server, clock } = pair(echo);
    await client[Symbol.asyncDispose]();
    expect(client.end?.code).toBe('closed');
    expect((await server.closed).code).toBe('connection_lost');
    await settled();
    await server[Symbol.asyncDispose]();
    expect(clock.armed).toBe(0);
  });

  test('a peer that breaks the rules is told so before the connection ends', async () => {
    const [a, b] = duplexPair();
    const server = openYamux(b, { role: 'server', onStream: () => {}, clock: new SteppedClock() });
    a.write(encodeFrameHeader(frameType.windowUpdate, frameFlag.syn, 1, 0));
    a.write(encodeFrameHeader(frameType.data, 0, 1, 2 ** 30));
    expect((await bytes(a)).toString('hex')).toBe('000100020000000100000000000300000000000000000001');
    expect((await server.closed).code).toBe('peer_protocol');
  });

  test('destroying a stream mid-write calls its writer back with stream_closed', async () => {
    await using ends = owned(pair(() => {}));
    const stream = ends.client.open();
    const outcome = new Promise((resolve) => stream.write(Buffer.alloc(initialWindowBytes + 1), resolve));
    await settled();
    stream.destroy();
    expect(await outcome).toMatchObject({ code: 'stream_closed' });
  });
});

/** A connection whose writes complete only after `release`. */
class CongestedWire extends Duplex {
  readonly written: Buffer[] = [];
  #held: (() => void)[] | undefined = [];
  override _read(): void {}
  override _writev(chunks: { chunk: Buffer }[], callback: () => void): void {
    this.written.push(...chunks.map((c) => c.chunk));
    if (this.#held === undefined) callback();
    else this.#held.push(callback);
  }
  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const callback of held) callback();
  }
}

/** Lets everything that is already under way on in-memory wires arrive. */
async function settled(): Promise<void> {
  for (let n = 0; n < 30; n += 1) await new Promise((resolve) => setImmediate(resolve));
}

function owned<T extends { client: YamuxSession; server: YamuxSession }>(ends: T): T & AsyncDisposable {
  return Object.assign(ends, {
    [Symbol.asyncDispose]: async () => {
      await ends.client[Symbol.asyncDispose]();
      await ends.server[Symbol.asyncDispose]();
    },
  });
}

async function bytes(stream: Duplex): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}

async function text(stream: Duplex): Promise<string> {
  return (await bytes(stream)).toString();
}
