/** Volume through the relay's pipe, with takers that stop and go: every byte arrives, in order, in both directions. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { SteppedClock } from '@fed/tooling/virtual-clock';
import { expect, test } from 'vitest';
import { withOwnBuffers } from '../src/relay/own-buffers.ts';
import { pipe } from '../src/relay/pipe.ts';
import { readBytesMax } from '../src/relay/read-buffer.ts';
import { dice, seed } from './dice.ts';

const host = '127.0.0.1';
const pourBytes = 8 * 1_024 * 1_024;

async function pair(): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true }).listen(0, host);
  const accepted = once(server, 'connection');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const near = connect({ host, port, allowHalfOpen: true });
  const [far] = (await accepted) as [Socket];
  if (near.connecting) await once(near, 'connect');
  server.close();
  return [near, far];
}

/** Writes in pieces of all sizes, now and then in many small ones, and ends; the hash of everything. */
async function pour(to: Socket, random: (below: number) => number, bytes = pourBytes): Promise<string> {
  const hash = createHash('sha256');
  for (let left = bytes, small = 0; left > 0; small--) {
    if (random(100) === 0) small = 200;
    const sizeMax = small > 0 ? 500 : random(2) === 0 ? 3_000 : 300_000;
    const piece = Buffer.alloc(Math.min(left, 1 + random(sizeMax)), random(256));
    piece.writeUInt8(random(256), random(piece.length));
    hash.update(piece);
    left -= piece.length;
    if (!to.write(piece)) await once(to, 'drain');
  }
  to.end();
  return hash.digest('hex');
}

/** Reads to the end, with pauses of a few turns; the hash of everything. */
async function take(from: Socket, random: (below: number) => number): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of from as AsyncIterable<Buffer>) {
    hash.update(chunk);
    for (let turns = random(4); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
  }
  return hash.digest('hex');
}

test(`both directions at once, ${pourBytes} bytes each (seed ${seed})`, async () => {
  const [client, clientSide] = await pair();
  const [serverSide, server] = await pair();
  const early = Buffer.from('what was read before the pipe');
  const { ended, sockets } = pipe(clientSide, serverSide, [early], {
    clock: new SteppedClock(),
    idleMs: 0,
  });
  const head = (await once(server, 'data'))[0] as Buffer;
  server.pause();
  expect(head.toString()).toBe(early.toString());
  const [up, down, upTaken, downTaken] = await Promise.all([
    pour(client, dice(seed)),
    pour(server, dice(seed + 1)),
    take(server, dice(seed + 2)),
    take(client, dice(seed + 3)),
  ]);
  expect(upTaken).toBe(up);
  expect(downTaken).toBe(down);
  expect(await ended).toBe('completed');
  expect(sockets.client, 'this Node lets us choose the memory').not.toBe(clientSide);
  expect(sockets.upstream).not.toBe(serverSide);
  expect(sockets.client.bytesRead).toBe(pourBytes);
});

test(`connections that pour side by side use each other's memory, and never each other's bytes (seed ${seed})`, async () => {
  const all = Array.from({ length: 12 }, async (_, i) => {
    const [client, clientSide] = await pair();
    const [serverSide, server] = await pair();
    const { ended } = pipe(clientSide, serverSide, [], { clock: new SteppedClock(), idleMs: 0 });
    const sent = [pour(client, dice(seed + i), 2_000_000), pour(server, dice(seed - 1 - i), 2_000_000)];
    const taken = [take(server, dice(seed + 100 + i)), take(client, dice(seed + 200 + i))];
    expect(await Promise.all(taken)).toEqual(await Promise.all(sent));
    expect(await ended).toBe('completed');
  });
  await Promise.all(all);
});

test('memory whose bytes the other side has not taken is nobody else’s yet', async () => {
  const joined = async () => {
    const [client, clientSide] = await pair();
    const [serverSide, server] = await pair();
    const { sockets } = pipe(clientSide, serverSide, [], { clock: new SteppedClock(), idleMs: 0 });
    for (const far of [client, server]) far.on('error', () => {});
    return { client, server, sockets };
  };
  const pourInto = async ({ client, server }: { client: Socket; server: Socket }): Promise<void> => {
    for (let left = 4_000_000; left > 0; ) {
      client.write(Buffer.alloc(400_000, 'x'));
      for (let come = 0; come < 400_000; ) come += ((await once(server, 'data')) as [Buffer])[0].length;
      left -= 400_000;
    }
  };
  const first = await joined();
  await pourInto(first); // has one of the large buffers now
  for (let i = 1; i < 32; i++) {
    first.client.write('little');
    await once(first.server, 'data');
  }
  // The 32nd small read gives it up, but for an upstream that does not take it.
  const kept = new Promise<Buffer>((resolve) => {
    first.sockets.upstream.write = (bytes: unknown) => {
      resolve(bytes as Buffer);
      return false;
    };
  });
  Object.defineProperty(first.sockets.upstream, 'writableLength', { value: 8 });
  first.client.write('precious');
  const precious = await kept;
  const second = await joined();
  await pourInto(second);
  expect(precious.buffer.byteLength, 'it lies in a large buffer').toBe(readBytesMax);
  expect(String(precious)).toBe('precious');
  for (const { client, server } of [first, second]) {
    client.destroy();
    server.destroy();
  }
});

test('cut in the very turn in which one end is passed on: both are closed all the same', async () => {
  const [client, clientSide] = await pair();
  const [serverSide, server] = await pair();
  const joined = pipe(clientSide, serverSide, [], { clock: new SteppedClock(), idleMs: 0 });
  for (const far of [client, server]) far.on('error', () => {}).resume();
  clientSide.on('end', () => joined.cut());
  client.end();
  expect(await joined.ended).toBe('cut');
  expect([clientSide.closed, serverSide.closed]).toEqual([true, true]);
});

test('a socket that moves keeps what it had read, its addresses and its byte counts; the shell is destroyed', async () => {
  const [near, far] = await pair();
  far.write('already here');
  await once(near, 'readable');
  const { remotePort } = near;
  const read: string[] = [];
  const memory = Buffer.alloc(64);
  const moved = withOwnBuffers(near, {
    buffer: () => memory,
    callback: (bytes, buffer) => {
      read.push(buffer.toString('latin1', 0, bytes));
      return true;
    },
  });
  expect(String(moved?.unread)).toBe('already here');
  expect(near.destroyed).toBe(true);
  const socket = moved?.socket as Socket;
  expect(socket.remotePort).toBe(remotePort);
  socket.resume();
  far.end('and more');
  await once(socket, 'end');
  expect(read).toEqual(['and more']);
  expect(socket.bytesRead).toBe('already here'.length + 'and more'.length);
  socket.end();
  await once(far, 'close');
});

test('a socket that is over or still has something to say stays what it is', async () => {
  const [near, far] = await pair();
  const onread = { buffer: () => Buffer.alloc(64), callback: () => true };
  near.cork();
  near.write('unsaid');
  expect(withOwnBuffers(near, onread)).toBeUndefined();
  near.uncork();
  near.destroy();
  expect(withOwnBuffers(near, onread)).toBeUndefined();
  far.destroy();
});
