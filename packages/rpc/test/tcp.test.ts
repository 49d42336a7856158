/** The whole of it over real sockets: load, and what a cut connection looks like. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import {
  openRpcPool,
  openYamux,
  RpcRegistry,
  type RpcTarget,
  serveMulti,
  type YamuxStream,
} from '../src/index.ts';

/** A listener whose connections all end with it. */
async function listening(onConnection: (socket: Socket) => void): Promise<Listening> {
  const server = createServer(onConnection);
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket.on('error', () => {}));
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return new Listening(server, sockets);
}

class Listening implements AsyncDisposable {
  readonly server: Server;
  readonly sockets: Set<Socket>;
  constructor(server: Server, sockets: Set<Socket>) {
    this.server = server;
    this.sockets = sockets;
  }
  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }
  async dial(): Promise<Socket> {
    const socket = connect(this.port, '127.0.0.1').setNoDelay(true);
    await once(socket, 'connect');
    return socket;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }
}

/** A promise and the way to fulfil it. */
function later<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((fulfil) => {
    resolve = fulfil;
  });
  return { promise, resolve };
}

const mebibyte = 1024 * 1024;

async function sendAndDigest(
  stream: YamuxStream,
  blocks: number,
  block: Buffer,
): Promise<{ sent: string; got: string }> {
  const sent = createHash('sha256');
  const got = createHash('sha256');
  const reading = (async () => {
    for await (const part of stream) got.update(part);
  })();
  for (let n = 0; n < blocks; n += 1) {
    block.writeUInt32BE(n);
    sent.update(block);
    if (!stream.write(Buffer.from(block))) await once(stream, 'drain');
  }
  stream.end();
  await reading;
  return { sent: sent.digest('hex'), got: got.digest('hex') };
}

describe('yamux over TCP', () => {
  test('64 MiB each way at once, unharmed', async () => {
    await using server = await listening((socket) => {
      openYamux(socket, { role: 'server', onStream: (s) => void s.pipe(s) });
    });
    await using session = openYamux(await server.dial(), { role: 'client' });
    const { sent, got } = await sendAndDigest(session.open(), 64, randomBytes(mebibyte));
    expect(got).toBe(sent);
    expect(session.stats().receivedBytes).toBeGreaterThan(64 * mebibyte);
  });

  test('1,000 streams at once, each answered in full', async () => {
    await using server = await listening((socket) => {
      openYamux(socket, { role: 'server', onStream: (s) => void s.pipe(s) });
    });
    await using session = openYamux(await server.dial(), { role: 'client' });
    const block = randomBytes(40_000);
    const outcomes = await Promise.all(
      Array.from({ length: 1_000 }, async () => {
        const stream = session.open();
        let bytes = 0;
        stream.end(block);
        for await (const part of stream) bytes += part.length;
        return bytes;
      }),
    );
    expect(new Set(outcomes)).toEqual(new Set([40_000]));
  });

  test('both ends open streams to each other', async () => {
    const answer = (s: YamuxStream): void => void s.pipe(s);
    const accepted = later<ReturnType<typeof openYamux>>();
    await using server = await listening((socket) =>
      accepted.resolve(openYamux(socket, { role: 'server', onStream: answer })),
    );
    await using client = openYamux(await server.dial(), { role: 'client', onStream: answer });
    const other = await accepted.promise;
    const texts = await Promise.all(
      [client, other].map(async (session, n) => {
        const stream = session.open();
        stream.end(`from ${n}`);
        let text = '';
        for await (const part of stream) text += part;
        return text;
      }),
    );
    expect(texts).toEqual(['from 0', 'from 1']);
  });
});

describe('calls over TCP', () => {
  const target = (port: number): RpcTarget => ({
    datacenter: 'dc1',
    node: 'n1',
    address: { host: '127.0.0.1', port },
  });

  test('5,000 calls, 500 at a time, over one connection', async () => {
    const registry = new RpcRegistry();
    registry.register({ 'Echo.Args': (args) => args });
    await using server = await listening((socket) => void serveMulti(socket, registry));
    await using pool = openRpcPool({ dial: () => server.dial() });
    for (let round = 0; round < 10; round += 1) {
      const calls = Array.from({ length: 500 }, (_, n) =>
        pool.call(target(server.port), 'Echo.Args', { round, n }, { timeoutMs: 20_000 }),
      );
      expect((await Promise.all(calls)).at(-1)).toEqual({ round, n: 499 });
    }
    expect(server.sockets.size).toBe(1);
  });

  test('a reply of 20 MiB arrives whole', async () => {
    const registry = new RpcRegistry();
    const large = 'x'.repeat(20 * mebibyte);
    registry.register({ 'Large.Reply': () => large });
    await using server = await listening((socket) => void serveMulti(socket, registry));
    await using pool = openRpcPool({ dial: () => server.dial() });
    const reply = await pool.call(target(server.port), 'Large.Reply', null, { timeoutMs: 20_000 });
    expect(reply === large).toBe(true);
  });

  test('a cut connection fails its calls as session_lost, and the next call dials again', async () => {
    const registry = new RpcRegistry();
    const arrived = later<void>();
    registry.register({
      'Block.For': () => {
        arrived.resolve();
        return new Promise(() => {});
      },
      'Status.Ping': () => ({}),
    });
    await using server = await listening((socket) => void serveMulti(socket, registry));
    await using pool = openRpcPool({ dial: () => server.dial() });
    const blocked = pool.call(target(server.port), 'Block.For', null, { timeoutMs: 20_000 });
    await arrived.promise;
    for (const socket of server.sockets) socket.resetAndDestroy();
    await expect(blocked).rejects.toMatchObject({ code: 'session_lost' });
    expect(await pool.call(target(server.port), 'Status.Ping', {}, { timeoutMs: 20_000 })).toEqual({});
  });
});
