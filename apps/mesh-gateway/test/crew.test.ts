/** Three real processes on one port: connections of all, counted together; one is killed, the others do not notice. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { freePorts } from '@fed/tooling/ports';
import { expect, test } from 'vitest';
import { Crew, type CrewEvent } from '../src/crew/crew.ts';
import { startWorker } from '../src/crew/start-worker.ts';
import type { RelayRecord } from '../src/relay/journal.ts';
import { systemWorld } from '../src/world.ts';
import { clientHello } from './client-hello.ts';
import { cluster } from './golden.ts';

const host = '127.0.0.1';
const sni = 'n1.server.dc1.consul';
const hello = clientHello(sni);
const clients = 60;
const size = 3;

async function dial(port: number): Promise<Socket> {
  const socket = connect({ host, port });
  socket.on('error', () => {});
  socket.write(hello);
  let got = 0;
  while (got < hello.length) got += ((await once(socket, 'data'))[0] as Buffer).length;
  return socket;
}

const closed = (s: Socket): Promise<unknown> => new Promise((resolve) => s.once('close', resolve));

test('several processes relay as one, and survive one another', async () => {
  await using stack = new AsyncDisposableStack();
  const echo = createServer((s) => {
    s.on('error', () => {});
    s.pipe(s);
  }).listen(0, host);
  await once(echo, 'listening');
  stack.defer(() => void echo.close());
  const endpoint = {
    host,
    port: (echo.address() as { port: number }).port,
    weight: 1,
    healthy: true,
    priority: 0,
  };
  const { clock, freePort } = systemWorld();
  const events: CrewEvent[] = [];
  let heard: () => void = () => {};
  const links: ReturnType<typeof startWorker>[] = [];
  const crew = stack.use(
    new Crew({
      size,
      clock,
      start: (index) => {
        const link = startWorker(index, 'silent');
        links.push(link);
        return link;
      },
      freePort,
      onEvent: (e) => {
        events.push(e);
        heard();
      },
    }),
  );
  const until = async (is: (e: CrewEvent) => boolean): Promise<void> => {
    const from = events.length;
    while (!events.slice(from).some(is))
      await new Promise<void>((resolve) => {
        heard = resolve;
      });
  };
  const isReady = (e: CrewEvent): boolean => e.kind === 'ready';
  const [port] = (await freePorts(1)) as [number];
  const chain = {
    statPrefix: 'local',
    connectAttemptsMax: 1,
    idleTimeoutMs: 0,
    serverNames: [sni],
    cluster: sni,
  };
  const allReady = until(isReady);
  crew.apply({
    listeners: [{ name: 'default', bind: { host, port }, helloTimeoutMs: 10_000, chains: [chain] }],
    clusters: new Map([[sni, cluster({ endpoints: [endpoint] })]]),
  });
  await allReady;

  const sockets = await Promise.all(Array.from({ length: clients }, () => dial(port)));
  expect(await crew.connections()).toBe(clients);
  const worker = new Map((await crew.journal()).map((r: RelayRecord) => [r.client, r.worker]));
  expect(new Set(worker.values()).size, 'all of them relay').toBe(size);
  const counters = await crew.counters();
  expect(counters.get('listener.downstream_cx_total', `${host}_${port}`)).toBe(clients);
  expect(counters.get('cluster.upstream_cx_active', sni)).toBe(clients);

  const of = (index: number): readonly Socket[] =>
    sockets.filter((s) => worker.get(`${s.localAddress}:${s.localPort}`) === index);
  const lost = of(0).map(closed);
  const again = until(isReady);
  links[0]?.kill();
  await Promise.all(lost);
  for (const survivor of [...of(1), ...of(2)]) {
    survivor.write('still here');
    expect(String((await once(survivor, 'data'))[0])).toBe('still here');
  }
  await again;
  expect(events.filter((e) => e.kind === 'workerEnded')).toMatchObject([{ index: 0, how: 'SIGKILL' }]);
  const more = await Promise.all(Array.from({ length: clients }, () => dial(port)));
  const since = await crew.counters();
  expect(since.get('listener.downstream_cx_total', `${host}_${port}`)).toBe(2 * clients);
  expect(since.get('listener.downstream_cx_active', `${host}_${port}`)).toBe(2 * clients - lost.length);

  const gone = [...more, ...of(1), ...of(2)].map(closed);
  await crew.drain(0);
  await Promise.all(gone);
  expect(await crew.connections()).toBe(0);
}, 60_000);
