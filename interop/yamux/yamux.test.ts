/** yamux.test.ts: our sessions against hashicorp/yamux, in both roles, with its newest and its oldest release in use. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { openYamux, type YamuxOptions, type YamuxSession, type YamuxStream } from '@fed/rpc';
import { describe, expect, test } from 'vitest';
import { Driven } from '../lib/driven.ts';
import { program } from '../lib/peers.ts';
import { until, within } from '../lib/until.ts';
import { pour, type Served, serve, take } from './verbs.ts';

const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;
/** What yamux grants a new stream. */
const windowBytes = 256 * kibibyte;

describe.each([
  ['v0.1.2', 'FED_PEER_YAMUX_NEWEST', 1_024],
  ['of 2018 (Consul 1.8)', 'FED_PEER_YAMUX_OLDEST', 256],
])('hashicorp/yamux %s', (_version, variable, large) => {
  describe('accepts our streams', () => {
    test('1,000 open at once, each with its own bytes back', async () => {
      await using pair = await weDial(variable);
      const streams = Array.from({ length: 1_000 }, () => pair.ours.open());
      await Promise.all(streams.map((stream) => ask(stream, 'E', '?')));
      expect(pair.ours.stats().streams).toBe(1_000);
      await Promise.all(streams.map((stream, n) => echo(stream, 20_000 + n)));
      await forgotten(pair);
    });

    test(`${large} MiB each way on one stream, unharmed`, async () => {
      await using pair = await weDial(variable);
      const stream = pair.ours.open();
      await ask(stream, 'E', '?');
      await echo(stream, large * mebibyte);
    });

    test('one that is not read stops at its window and holds up nobody else', async () => {
      await using pair = await weDial(variable);
      const slow = pair.ours.open();
      const sum = createHash('sha256');
      slow.write('W');
      const poured = pour(slow, 4 * mebibyte, sum).then(() => slow.end());
      const busy = pair.ours.open();
      await ask(busy, 'E', '?');
      await echo(busy, mebibyte);
      await pair.ours.ping();
      const other = mebibyte + 2;
      const sent = pair.ours.stats().sentBytes;
      expect(sent).toBeGreaterThan(other + windowBytes);
      expect(sent).toBeLessThan(other + windowBytes + 16 * kibibyte); // frame headers and credit
      await pair.theirs.ask('release');
      await within('4 MiB are taken', 20_000, poured);
      expect(Buffer.from(await within('the sum', 20_000, take(slow, 32))).toString('hex')).toBe(
        sum.digest('hex'),
      );
    });

    test('200 that the acceptor closes while we write: its last word arrives, the session goes on', async () => {
      await using pair = await weDial(variable);
      const words = await Promise.all(
        Array.from({ length: 200 }, async (_, n) => {
          const stream = pair.ours.open();
          const head = Buffer.from('Q....');
          head.writeUInt32BE(1_000 * n, 1);
          stream.write(head);
          const pouring = pour(stream, mebibyte, createHash('sha256')).catch((cause: unknown) => cause);
          let word = '';
          for await (const part of stream) word += part;
          stream.destroy();
          await within('writing to it ends', 20_000, Promise.race([pouring, closing(stream)]));
          return word;
        }),
      );
      expect(new Set(words)).toEqual(new Set(['bye']));
      const after = pair.ours.open();
      await ask(after, 'E', '?');
      await echo(after, mebibyte);
      await forgotten(pair);
    });

    test('beyond its backlog it resets them, and those within are served later', async () => {
      await using pair = await weDial(variable, { backlog: 4, hold: true });
      const streams = Array.from({ length: 10 }, () => pair.ours.open());
      const resets = streams.slice(4).map(async (stream) => (await closing(stream))?.code);
      const asked = streams.slice(0, 4).map((stream) => ask(stream, 'E', '?'));
      for (const stream of streams.slice(4)) stream.write('E?');
      expect(await within('resets', 10_000, Promise.all(resets))).toEqual(Array(6).fill('stream_reset'));
      await pair.theirs.ask('accept');
      await within('answers', 10_000, Promise.all(asked));
      await Promise.all(streams.slice(0, 4).map((stream) => echo(stream, 100_000)));
    });

    test('it goes away: streams go on, new ones are refused', async () => {
      await using pair = await weDial(variable);
      const stream = pair.ours.open();
      await ask(stream, 'E', '?');
      await pair.theirs.ask('goAway');
      await pair.ours.ping(); // its go-away travels before the pong
      expect(() => pair.ours.open()).toThrowError(expect.objectContaining({ code: 'go_away' }));
      await echo(stream, mebibyte);
    });

    test('it closes in the middle of a transfer: the session says that the connection was lost', async () => {
      await using pair = await weDial(variable);
      const stream = pair.ours.open();
      await ask(stream, 'E', '?');
      const pouring = pour(stream, 64 * mebibyte, createHash('sha256')).catch((cause: unknown) => cause);
      await once(stream, 'data');
      stream.resume();
      const closed = closing(stream);
      await pair.theirs.ask('close');
      expect(await within('the session ends', 10_000, pair.ours.closed)).toMatchObject({
        code: 'connection_lost',
      });
      expect(await within('the stream ends', 10_000, closed)).toMatchObject({ code: 'session_closed' });
      await Promise.race([pouring, closed]);
    });
  });

  describe('opens streams to us', () => {
    test('1,000 open at once, each with its own bytes back', async () => {
      await using pair = await theyDial(variable);
      await pair.theirs.ask('echo', { streams: 1_000, bytes: 20_000 });
      await forgotten(pair);
      expect(pair.served).toHaveLength(1_000);
    });

    test(`${large} MiB each way on one stream, unharmed`, async () => {
      await using pair = await theyDial(variable);
      await pair.theirs.ask('echo', { streams: 1, bytes: large * mebibyte });
    });

    test('one that we do not read stops at its window and holds up nobody else', async () => {
      await using pair = await theyDial(variable);
      const pushed = pair.theirs.ask('push', { verb: 'W', bytes: 4 * mebibyte });
      await until('the window is full', 10_000, () => pair.ours.stats().bufferedBytes >= windowBytes - 1);
      await pair.theirs.ask('echo', { streams: 4, bytes: mebibyte });
      expect(pair.ours.stats().bufferedBytes).toBeLessThanOrEqual(windowBytes);
      const { written } = await pair.theirs.ask('count');
      expect(written).toBeLessThanOrEqual(windowBytes);
      pair.release();
      const { sha256 } = await pushed;
      const read = await until('all has been read', 10_000, () =>
        pair.served.find(({ verb }) => verb === 'W'),
      );
      expect(read.sha256).toBe(sha256);
    });

    test('200 that we close while it writes: our last word arrives, the session goes on', async () => {
      await using pair = await theyDial(variable);
      await pair.theirs.ask('quit', { streams: 200, bytes: 100_000 });
      await pair.theirs.ask('echo', { streams: 1, bytes: mebibyte });
      await forgotten(pair);
    });

    test('a side that accepts none resets them', async () => {
      await using pair = await theyDial(variable, { onStream: undefined });
      await expect(pair.theirs.ask('echo', { streams: 1, bytes: 1 })).rejects.toThrow(/reset|EOF/);
      const { tookMs } = await pair.theirs.ask('ping');
      expect(tookMs).toBeGreaterThan(0);
    });

    test('we go away: streams go on, new ones are refused', async () => {
      await using pair = await theyDial(variable);
      const pushed = pair.theirs.ask('push', { verb: 'W', bytes: mebibyte });
      await until('its bytes', 10_000, () => pair.ours.stats().bufferedBytes > 0);
      pair.ours.goAway();
      await pair.ours.ping();
      await expect(pair.theirs.ask('echo', { streams: 1, bytes: 1 })).rejects.toThrow(
        'remote end is not accepting connections',
      );
      pair.release();
      const { sha256 } = await pushed;
      const read = await until('all has been read', 10_000, () => pair.served.at(0));
      expect(read).toEqual({ verb: 'W', sha256 });
    });

    test('we close: its session ends', async () => {
      await using pair = await theyDial(variable);
      await pair.theirs.ask('echo', { streams: 1, bytes: 1_000 });
      await pair.ours[Symbol.asyncDispose]();
      await pair.theirs.event('the end of its session', 5_000, ({ event }) => event === 'closed');
    });
  });

  test('pings are answered both ways', async () => {
    await using pair = await weDial(variable);
    expect(await pair.ours.ping()).toBeGreaterThanOrEqual(0);
    expect((await pair.theirs.ask('ping'))['tookMs']).toBeGreaterThan(0);
  });
});

/** One session between both, gone after the block. */
class Pair implements AsyncDisposable {
  readonly theirs: Driven;
  readonly ours: YamuxSession;
  /** What was asked of us, as it ends. */
  readonly served: Served[];
  readonly release: () => void;

  constructor(o: { theirs: Driven; ours: YamuxSession; served: Served[]; release: () => void }) {
    this.theirs = o.theirs;
    this.ours = o.ours;
    this.served = o.served;
    this.release = o.release;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.ours[Symbol.asyncDispose]();
    await this.theirs[Symbol.asyncDispose]();
  }
}

async function weDial(variable: string, o: { backlog?: number; hold?: boolean } = {}): Promise<Pair> {
  const theirs = new Driven('yamux server', program(variable));
  const { port } = await theirs.ask('listen', o);
  const conn = connect(port as number, '127.0.0.1').setNoDelay(true);
  await once(conn, 'connect');
  const ours = openYamux(conn, { role: 'client' });
  return new Pair({ theirs, ours, served: [], release: () => {} });
}

async function theyDial(variable: string, o?: { readonly onStream: undefined }): Promise<Pair> {
  const theirs = new Driven('yamux client', program(variable));
  const server = createServer({ noDelay: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  await theirs.ask('dial', { port: (server.address() as AddressInfo).port });
  const [conn] = await accepted;
  server.close();
  const served: Served[] = [];
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const onStream: YamuxOptions['onStream'] = (stream: YamuxStream) => {
    serve(stream, released).then(
      (what) => served.push(what),
      () => {}, // the test sees it on the other side
    );
  };
  const ours = openYamux(conn, { role: 'server', ...(o === undefined ? { onStream } : {}) });
  return new Pair({ theirs, ours, served, release });
}

/** Both sides have let go of every stream, and the session lives. */
async function forgotten({ ours, theirs }: Pair): Promise<void> {
  await until('no stream is left on either side', 5_000, async () => {
    const { streams } = await theirs.ask('count');
    return streams === 0 && ours.stats().streams === 0;
  });
  expect(ours.end).toBeUndefined();
}

/** The end of a stream, and its error if it had one. */
function closing(stream: YamuxStream): Promise<(Error & { readonly code?: string }) | null> {
  return new Promise((resolve) => stream.once('close', () => resolve(stream.errored)));
}

/** Sends a verb and some bytes, and takes as many back. */
async function ask(stream: YamuxStream, verb: 'E', text: string): Promise<void> {
  stream.write(verb + text);
  expect(Buffer.from(await within('an echo', 20_000, take(stream, text.length))).toString()).toBe(text);
}

/** Sends `bytes` bytes and our FIN; expects the same back, and the FIN. */
async function echo(stream: YamuxStream, bytes: number): Promise<void> {
  const sent = createHash('sha256');
  const got = createHash('sha256');
  let back = 0;
  const reading = (async () => {
    for await (const part of stream as AsyncIterable<Uint8Array>) {
      back += part.length;
      got.update(part);
    }
  })();
  await pour(stream, bytes, sent);
  stream.end();
  await within(`${bytes} bytes come back`, 60_000, reading);
  expect({ bytes: back, sha256: got.digest('hex') }).toEqual({ bytes, sha256: sent.digest('hex') });
}
