/**
 * Strangers at the door, by the thousand, while one guest is inside: what they hold is bounded, and the guest never notices.
 */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { peekClientHello } from '@fed/alpn-mux';
import { SteppedClock } from '@fed/tooling/virtual-clock';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Relay } from '../src/relay/relay.ts';
import { clientHello } from './client-hello.ts';
import { dice, seed } from './dice.ts';
import { cluster } from './golden.ts';

const sni = 'n1.server.dc1.consul';
const hello = clientHello(sni);
const host = '127.0.0.1';
const hellosMax = 512;
/** Strangers at a time, so that a machine with few descriptors per process can play both sides. */
const crowd = 64;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

let stack = new AsyncDisposableStack();
let relay: Relay;
let clock: SteppedClock;
let port: number;
let upstreams = 0;
let guest: Socket;

beforeEach(async () => {
  upstreams = 0;
  const server = createServer((s) => {
    upstreams += 1;
    s.on('error', () => {});
    s.pipe(s);
  }).listen(0, host);
  await once(server, 'listening');
  stack.defer(() => void server.close());
  const upstream = { host, port: (server.address() as { port: number }).port };

  clock = new SteppedClock();
  let tellListening: () => void = () => {};
  const listening = new Promise<void>((resolve) => {
    tellListening = resolve;
  });
  relay = new Relay({
    clock,
    wallMs: () => clock.now(),
    rng: { below: () => 0 },
    resolve: () => Promise.reject(new Error('no name is looked up here')),
    limits: { connectionsMax: 10_000, hellosMax },
    onEvent: (e) => {
      if (e.kind === 'listening') tellListening();
    },
  });
  stack.use(relay);
  const free = createServer().listen(0, host);
  await once(free, 'listening');
  port = (free.address() as { port: number }).port;
  free.close();
  await once(free, 'close');
  const endpoint = { ...upstream, weight: 1, healthy: true, priority: 0 };
  const chain = { statPrefix: 'local', connectAttemptsMax: 1, idleTimeoutMs: 0 };
  relay.apply({
    listeners: [
      {
        name: `default:${host}:${port}`,
        bind: { host, port },
        helloTimeoutMs: 10_000,
        chains: [{ ...chain, serverNames: [sni], cluster: sni }],
      },
    ],
    clusters: new Map([[sni, cluster({ endpoints: [endpoint] })]]),
  });
  await listening;
  guest = await dial();
  guest.write(hello);
  await exactly(guest, hello);
});
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

async function dial(): Promise<Socket> {
  const socket = connect({ host, port });
  stack.defer(() => void socket.destroy());
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

async function exactly(socket: Socket, expected: Buffer): Promise<void> {
  let got = Buffer.alloc(0);
  while (got.length < expected.length) got = Buffer.concat([got, (await once(socket, 'data'))[0] as Buffer]);
  expect(got.equals(expected)).toBe(true);
}

async function guestIsWell(): Promise<void> {
  const words = Buffer.from('all is well');
  guest.write(words);
  await exactly(guest, words);
}

/** `count` strangers, `crowd` at a time: each connects, does its mischief and is seen off. */
async function strangers(count: number, mischief: (s: Socket, index: number) => void): Promise<void> {
  let next = 0;
  const one = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) {
      const socket = connect({ host, port });
      socket.on('error', () => {});
      socket.once('connect', () => mischief(socket, index));
      socket.resume();
      await new Promise((resolve) => socket.once('close', resolve));
    }
  };
  await Promise.all(Array.from({ length: crowd }, one));
}

const accepted = (): number => relay.counters.get('listener.downstream_cx_total', `${host}_${port}`);

/** A real client comes, is served, and goes. */
async function visit(): Promise<void> {
  const visitor = await dial();
  visitor.write(hello);
  await exactly(visitor, hello);
  visitor.destroy();
}

/** Resolves once the relay has seen the last of them, too: whoever comes now is served after all of them. */
async function onlyGuestLeft(): Promise<void> {
  await visit();
  while (relay.connections > 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Of what is still referred to, in bytes. */
function heapBytes(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

/** A hundred thousand connections take seconds on a machine at rest; how long they take on a busy one says nothing. */
const patienceMs = 300_000;

test(
  '100,000 who connect and leave at once, by FIN or RST: nobody is remembered, nothing is dialled',
  async () => {
    const count = 100_000;
    const leave = (s: Socket, i: number): unknown => (i % 2 === 0 ? s.destroy() : s.resetAndDestroy());
    await strangers(count / 10, leave); // after these, all that is ever allocated once is there
    const before = heapBytes();
    await strangers(count - count / 10, leave);
    await onlyGuestLeft();
    expect(heapBytes() - before, 'bytes for 90,000 strangers').toBeLessThan(4 * 1024 * 1024);
    await guestIsWell();
    expect(relay.journal.list()).toMatchObject([{ state: 'open' }, { state: 'closed', sni }]); // guest and visitor
    expect(upstreams).toBe(2);
    const label = `${host}_${port}`;
    // Whoever was gone before accept saw it is not counted as a connection at all.
    expect(relay.counters.get('listener.downstream_pre_cx_closed', label)).toBeGreaterThan(count / 4);
    expect(relay.counters.get('listener.downstream_pre_cx_active', label)).toBe(0);
    expect(relay.counters.get('listener.downstream_cx_active', label)).toBe(1);
  },
  patienceMs,
);

test(
  '5,000 half hellos: at most 512 are held, and a real client is served in their midst',
  async () => {
    const open = new Set<Socket>();
    for (let i = 0; i < 5_000; i++) {
      const socket = connect({ host, port });
      open.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => open.delete(socket));
      socket.write(hello.subarray(0, 40));
      socket.resume();
      // A full queue of connections not yet accepted makes clients wait a whole second before they knock again.
      while (accepted() < i - crowd) await new Promise((resolve) => setImmediate(resolve));
      expect(relay.connections).toBeLessThanOrEqual(hellosMax + 1);
    }
    await guestIsWell();
    await visit();
    while (open.size > hellosMax) await new Promise((resolve) => setImmediate(resolve));
    expect(relay.connections).toBeLessThanOrEqual(hellosMax + 2);

    clock.advance(10_000); // all of them are out of time
    await onlyGuestLeft();
    await guestIsWell();
    while (open.size > 0) await new Promise((resolve) => setImmediate(resolve));
  },
  patienceMs,
);

test('a byte a second is no way around the ten seconds', async () => {
  const loris = await Promise.all(Array.from({ length: 100 }, dial));
  const gone = loris.map((s) => new Promise((resolve) => s.resume().once('close', resolve)));
  while (relay.connections < 101) await new Promise((resolve) => setImmediate(resolve)); // accepted, too
  for (let second = 0; second < 10; second++) {
    for (const s of loris) s.write(hello.subarray(second, second + 1));
    await guestIsWell();
    clock.advance(999);
  }
  expect(relay.connections).toBe(101);
  clock.advance(11);
  await Promise.all(gone);
  expect(relay.connections).toBe(1);
  await guestIsWell();
});

test(
  `2,000 with random bytes and oversize hellos: each is reset, none reaches a server (seed ${seed})`,
  async () => {
    const random = dice();
    const oversize = Buffer.concat([
      Buffer.from([22, 3, 1, 0x40, 0, 1, 0, 0x7f, 0xff]),
      Buffer.alloc(20_480),
    ]);
    expect(peekClientHello(oversize)).toEqual({ kind: 'tooLarge' });
    await strangers(2_000, (s, i) => {
      if (i % 3 === 0) s.write(oversize);
      else if (i % 3 === 1)
        s.write(
          Buffer.from(Array.from({ length: 200 }, (_, at) => (at === 0 ? 23 + random(200) : random(256)))),
        );
      else {
        const bent = Buffer.from(hello);
        bent[5] = 2 + random(200); // some other handshake message
        s.write(bent);
      }
    });
    await onlyGuestLeft();
    await guestIsWell();
    expect(upstreams, 'of the guest and of the visitor').toBe(2);
    expect(relay.journal.list().length).toBeLessThanOrEqual(1_025);
  },
  patienceMs,
);
