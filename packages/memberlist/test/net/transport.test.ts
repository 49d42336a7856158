/**
 * transport.test.ts: the real sockets by themselves.
 */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import { openUdpTcpTransport, systemClock } from '../../src/index.ts';
import { AcceptBackoff } from '../../src/net/accept-backoff.ts';
import type { HostPort } from '../../src/ports.ts';

interface Received {
  readonly packet: Promise<{ readonly bytes: Uint8Array; readonly from: HostPort }>;
  readonly stream: Promise<{ readonly conn: Duplex; readonly from: HostPort }>;
}

/** The first packet and the first stream that come in. */
function receive(transport: { listen(inbound: never): void }): Received {
  const packet = Promise.withResolvers<{ bytes: Uint8Array; from: HostPort }>();
  const stream = Promise.withResolvers<{ conn: Duplex; from: HostPort }>();
  const inbound = {
    packet: (bytes: Uint8Array, from: HostPort) => packet.resolve({ bytes, from }),
    stream: (conn: Duplex, from: HostPort) => stream.resolve({ conn, from }),
  };
  transport.listen(inbound as never);
  return { packet: packet.promise, stream: stream.promise };
}

test('one port for packets and streams, known by its own address', async () => {
  await using a = await openUdpTcpTransport({ host: '127.0.0.1', port: 0 });
  await using b = await openUdpTcpTransport({ host: '127.0.0.1', port: 0 });
  const received = receive(b);
  const to = { ...b.advertise, name: 'b' };
  a.sendPacket(to, Buffer.from('packet'));
  const { bytes, from } = await received.packet;
  expect([Buffer.from(bytes).toString(), from]).toEqual(['packet', a.bound]);

  const conn = await a.dialStream(to, { timeoutMs: 5_000 });
  conn.end('stream');
  const { conn: theirs } = await received.stream;
  expect(Buffer.concat(await theirs.toArray()).toString()).toBe('stream');
});

test('an IPv6 socket on all addresses talks to IPv4, and shows IPv4', async () => {
  await using a = await openUdpTcpTransport({ host: '::', port: 0, advertise: { host: '127.0.0.1' } });
  await using b = await openUdpTcpTransport({ host: '127.0.0.1', port: 0 });
  const received = receive(b);
  a.sendPacket({ ...b.advertise, name: '' }, Buffer.from('there'));
  const { from } = await received.packet;
  expect(from).toEqual({ host: '127.0.0.1', port: a.bound.port });
  const back = receive(a);
  b.sendPacket({ ...a.advertise, name: '' }, Buffer.from('back'));
  expect((await back.packet).from).toEqual(b.bound);
});

test('the advertised address is what others are told', async () => {
  await using a = await openUdpTcpTransport({
    host: '127.0.0.1',
    port: 0,
    advertise: { host: '192.0.2.1', port: 5 },
  });
  expect(a.advertise).toEqual({ host: '192.0.2.1', port: 5 });
  expect(a.bound.host).toBe('127.0.0.1');
});

test.each([
  ['a name instead of an address', { host: 'localhost', port: 1, name: '' }],
  ['port 0', { host: '127.0.0.1', port: 0, name: '' }],
  ['the wrong family', { host: '::1', port: 1, name: '' }],
])('a packet to %s fails later, and is not thrown', async (_, to) => {
  await using a = await openUdpTcpTransport({ host: '127.0.0.1', port: 0 });
  const cause = await new Promise<Error>((resolve) => a.sendPacket(to, new Uint8Array(1), resolve));
  expect(cause).toBeInstanceOf(Error);
});

test('a packet too large for a datagram fails', async () => {
  await using a = await openUdpTcpTransport({ host: '127.0.0.1', port: 0 });
  const to = { ...a.advertise, name: '' };
  const cause = await new Promise<Error>((resolve) => a.sendPacket(to, new Uint8Array(70_000), resolve));
  expect(cause.message).toContain('EMSGSIZE');
});

test('dialling: refused, called off, and closed', async () => {
  const gone = await openUdpTcpTransport({ host: '127.0.0.1', port: 0 });
  const to = { ...gone.advertise, name: '' };
  await gone[Symbol.asyncDispose]();
  const a = await openUdpTcpTransport({ host: '127.0.0.1', port: 0 });
  await expect(a.dialStream(to, { timeoutMs: 5_000 })).rejects.toThrow('ECONNREFUSED');
  const aborted = AbortSignal.abort(new Error('no longer wanted'));
  await expect(a.dialStream(to, { timeoutMs: 5_000, signal: aborted })).rejects.toThrow('no longer wanted');
  await a[Symbol.asyncDispose]();
  await expect(a.dialStream(to, { timeoutMs: 5_000 })).rejects.toMatchObject({ code: 'closed' });
});

test('dialling: no connection in time', async () => {
  let ring: (() => void) | undefined;
  const clock = {
    now: () => 0,
    at: (_: number, wake: () => void) => {
      ring = wake;
      return { [Symbol.dispose]: () => {} };
    },
  };
  await using a = await openUdpTcpTransport({ host: '127.0.0.1', port: 0, clock });
  const dialling = a.dialStream({ ...a.advertise, name: '' }, { timeoutMs: 1_000 });
  ring?.();
  await expect(dialling).rejects.toMatchObject({ code: 'timeout' });
});

test('closing ends open streams', async () => {
  const a = await openUdpTcpTransport({ host: '127.0.0.1', port: 0 });
  const received = receive(a);
  const conn = connect(a.bound.port, '127.0.0.1');
  conn.on('error', () => {});
  const closed = once(conn, 'close');
  await received.stream;
  await a[Symbol.asyncDispose]();
  await closed;
});

test('a taken port is an error, and leaves nothing open', async () => {
  await using a = await openUdpTcpTransport({ host: '127.0.0.1', port: 0 });
  await expect(openUdpTcpTransport({ host: '127.0.0.1', port: a.bound.port })).rejects.toMatchObject({
    code: 'EADDRINUSE',
  });
});

test('accepting: a failure closes the door for a moment, longer each time, until somebody comes in', async () => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  using backoff = new AcceptBackoff(server, { host: '127.0.0.1', port }, systemClock);
  for (const waitMs of [5, 10, 20]) {
    const reopened = new Promise<void>((resolve) => server.once('listening', resolve));
    server.emit('error', new Error('EMFILE'));
    expect([backoff.waitMs, server.listening]).toEqual([waitMs, false]);
    await reopened;
  }
  const arrived = once(server, 'connection');
  const conn = connect(port, '127.0.0.1');
  await arrived;
  backoff.accepted();
  expect(backoff.waitMs).toBe(0);
  conn.destroy();
  server.close();
});

test('accepting: the wait never exceeds a second', async () => {
  const waits: number[] = [];
  const clock = {
    now: () => 0,
    at: (when: number, wake: () => void) => {
      waits.push(when);
      queueMicrotask(wake);
      return { [Symbol.dispose]: () => {} };
    },
  };
  const server = Object.assign(createServer(), { listen: () => {} });
  const backoff = new AcceptBackoff(server, { host: '127.0.0.1', port: 1 }, clock);
  const fail = async (): Promise<void> => {
    server.emit('error', new Error('EMFILE'));
    await Promise.resolve();
  };
  for (let i = 0; i < 12; i++) await fail();
  expect(waits).toEqual([5, 10, 20, 40, 80, 160, 320, 640, 1_000, 1_000, 1_000, 1_000]);
  backoff[Symbol.dispose]();
});
