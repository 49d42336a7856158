import { readFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { openWanfedTransport, type WanfedTransport } from '../src/index.ts';
import { HomeRecorder } from './federation.ts';

test('over TCP: a recorded conversation crosses from one transport to another, byte for byte', async () => {
  const packets = recordedPackets();
  await using here = await site('dc1', packets.length);
  await using there = await site('dc2', packets.length);
  here.peers.set('dc2', there.port);
  for (const packet of packets) here.transport.sendPacket(at('srv3.dc2'), packet);
  expect(await there.all).toEqual(packets);
  const { dc2 } = here.transport.stats().datacenters;
  expect(dc2).toMatchObject({ dials: 1, packetsFailed: 0 });
});

test('over TCP: a server that goes away is noticed by its close, and comes back with the next packet', async () => {
  const [first, second] = [Buffer.from('first'), Buffer.from('second')];
  await using here = await site('dc1', 0);
  const there = await site('dc2', 1);
  here.peers.set('dc2', there.port);
  here.transport.sendPacket(at('srv3.dc2'), first);
  expect(await there.all).toEqual([first]);
  const closed = new Promise((resolve) => here.dialed[0]!.once('close', resolve));
  await there[Symbol.asyncDispose]();
  await closed;
  await using again = await site('dc2', 1);
  here.peers.set('dc2', again.port);
  here.transport.dropDatacenter('dc2'); // it hung up young, which counts as a failed dial; the ways changed, so no matter
  here.transport.sendPacket(at('srv3.dc2'), second);
  expect(await again.all).toEqual([second]);
});

test('over TCP: nobody there is told to the sender', async () => {
  await using here = await site('dc1', 0);
  const gone = await site('dc2', 0);
  here.peers.set('dc2', gone.port);
  await gone[Symbol.asyncDispose]();
  const cause = await new Promise<Error>((resolve) =>
    here.transport.sendPacket(at('srv3.dc2'), Buffer.of(1), resolve),
  );
  expect(cause).toMatchObject({ code: 'dial_failed', cause: { code: 'ECONNREFUSED' } });
});

// ---- fixtures ----

const at = (name: string) => ({ host: '192.0.2.2', port: 8302, name });

function recordedPackets(): Buffer[] {
  const text = readFileSync(new URL('./vectors/live-wan-gossip.json', import.meta.url), 'utf8');
  const { packets } = JSON.parse(text) as { packets: readonly { readonly frameHex: string }[] };
  return packets.map(({ frameHex }) => Buffer.from(frameHex, 'hex').subarray(4));
}

interface Site extends AsyncDisposable {
  readonly transport: WanfedTransport;
  readonly port: number;
  readonly peers: Map<string, number>;
  readonly dialed: readonly Socket[];
  /** The first `count` packets from abroad. */
  readonly all: Promise<readonly Buffer[]>;
}

async function site(datacenter: string, count: number): Promise<Site> {
  const peers = new Map<string, number>();
  const dialed: Socket[] = [];
  const transport = await openWanfedTransport({
    datacenter,
    home: new HomeRecorder(),
    dial: (request) =>
      new Promise((resolve, reject) => {
        const socket = connect(peers.get(request.datacenter)!, '127.0.0.1');
        dialed.push(socket);
        socket.once('connect', () => resolve(socket)).once('error', reject);
      }),
  });
  const got: Buffer[] = [];
  const all = new Promise<readonly Buffer[]>((resolve) => {
    transport.listen({
      packet: (bytes) => {
        got.push(Buffer.from(bytes));
        if (got.length === count) resolve(got);
      },
      stream: (conn) => conn.destroy(),
    });
  });
  const server = createServer((socket) =>
    transport.ingestPackets({ stream: socket, remote: { host: '127.0.0.1', port: socket.remotePort ?? 0 } }),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return {
    transport,
    port: address.port,
    peers,
    dialed,
    all,
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      await transport[Symbol.asyncDispose]();
      await closed;
    },
  };
}
