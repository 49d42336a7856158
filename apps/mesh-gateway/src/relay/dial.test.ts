import { once } from 'node:events';
import { createServer, Socket } from 'node:net';
import { SteppedClock } from '@fed/tooling/virtual-clock';
import { expect, test } from 'vitest';
import { cluster as clusterConfig } from '../../test/golden.ts';
import { Cluster } from './clusters.ts';
import { Counters } from './counters.ts';
import { dial, StopDialing } from './dial.ts';

const ports = {
  clock: new SteppedClock(),
  rng: { below: () => 0 },
  resolve: () => Promise.reject(new Error('not asked here')),
};
const silent = (n: number) =>
  Array.from({ length: n }, (_, i) => ({
    host: `127.0.0.${i + 1}`,
    port: 9,
    weight: 1,
    healthy: true,
    priority: 0,
  }));

test('dial: given up in the turn it began, it is aborted and no timer is left', async () => {
  const clock = new SteppedClock();
  const stop = new StopDialing();
  const cluster = new Cluster('c', clusterConfig({ connectTimeoutMs: 5_000, endpoints: silent(3) }), ports);
  const dialling = dial(cluster, { clock, counters: new Counters(), stop, attemptsMax: 3 });
  stop.stop();
  expect(await dialling).toEqual({ kind: 'aborted' });
  expect(clock.armed).toBe(0);
  expect(await dial(cluster, { clock, counters: new Counters(), stop, attemptsMax: 3 })).toEqual({
    kind: 'aborted',
  });
});

test('dial: three attempts of ten seconds, two of them beside each other, end after fifteen', async () => {
  const clock = new SteppedClock();
  const counters = new Counters();
  const cluster = new Cluster('c', clusterConfig({ connectTimeoutMs: 10_000, endpoints: silent(3) }), ports);
  // Each alarm is answered in the turn in which it is set: no connect can have come back by then.
  clock.whenSet(10_000, () => clock.advance(15_000));
  const dialled = await dial(cluster, {
    clock,
    counters,
    stop: new StopDialing(),
    attemptsMax: 3,
  });
  expect(dialled).toEqual({ kind: 'failed', attempts: 3, lastError: '127.0.0.3:9: timeout' });
  expect(counters.get('cluster.upstream_cx_connect_timeout', 'c')).toBe(3);
  expect(clock.armed).toBe(0);
});

test('dial: the connection that stands is told to the balancer, which forgets the failures before it', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const endpoint = { host: '127.0.0.1', port, weight: 1, healthy: true, priority: 0 };
  const cluster = new Cluster('c', clusterConfig({ connectTimeoutMs: 5_000, endpoints: [endpoint] }), ports);
  const dialled = await dial(cluster, {
    clock: new SteppedClock(),
    counters: new Counters(),
    stop: new StopDialing(),
    attemptsMax: 3,
  });
  expect(dialled).toMatchObject({ kind: 'connected', endpoint, attempts: 1 });
  if (dialled.kind === 'connected') dialled.socket.destroy();
  server.close();
});

/** A dial whose connects are the test's: sockets in the order in which they were asked for. */
function staged(endpoints: ReturnType<typeof silent>) {
  const clock = new SteppedClock();
  const counters = new Counters();
  const sockets: Socket[] = [];
  const connect = (): Socket => {
    const socket = new Socket();
    sockets.push(socket);
    return socket;
  };
  const cluster = new Cluster('c', clusterConfig({ connectTimeoutMs: 5_000, endpoints }), ports);
  const dialled = dial(cluster, { clock, counters, stop: new StopDialing(), attemptsMax: 3, connect });
  const failed = (): readonly number[] =>
    (['fail', 'timeout'] as const).map((what) => counters.get(`cluster.upstream_cx_connect_${what}`, 'c'));
  return { clock, sockets, dialled, failed };
}

test('dial: beside a silent endpoint another is tried after a moment; who is overtaken has failed', async () => {
  const { clock, sockets, dialled, failed } = staged(silent(3));
  clock.advance(299);
  expect(sockets).toHaveLength(1);
  clock.advance(1);
  clock.advance(3_000);
  expect(sockets).toHaveLength(2); // no more than two at a time
  sockets[1]?.emit('connect');
  expect(await dialled).toMatchObject({ kind: 'connected', endpoint: { host: '127.0.0.2' }, attempts: 2 });
  expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true, false]);
  expect(failed()).toEqual([1, 0]);
  expect(clock.armed).toBe(0);
});

test('dial: one that is slow but first stands, and nobody has failed', async () => {
  const { clock, sockets, dialled, failed } = staged(silent(2));
  clock.advance(350);
  sockets[0]?.emit('connect');
  expect(await dialled).toMatchObject({ endpoint: { host: '127.0.0.1' } });
  expect(sockets.map(({ destroyed }) => destroyed)).toEqual([false, true]);
  expect(failed()).toEqual([0, 0]);
  expect(clock.armed).toBe(0);
});

test('dial: where one has failed the next is tried at once, and not a third before a moment has passed', async () => {
  const { clock, sockets, dialled } = staged(silent(3));
  sockets[0]?.emit('error', new Error('connect ECONNREFUSED'));
  expect(sockets).toHaveLength(2);
  clock.advance(299);
  expect(sockets).toHaveLength(2);
  clock.advance(1);
  expect(sockets).toHaveLength(3);
  sockets[2]?.emit('connect');
  expect(await dialled).toMatchObject({ endpoint: { host: '127.0.0.3' }, attempts: 3 });
});

test('dial: an endpoint for when others fail is tried when they have, not when they are silent', async () => {
  const [first, second] = silent(2);
  const { clock, sockets, dialled } = staged([first, { ...second, priority: 1 }] as ReturnType<
    typeof silent
  >);
  clock.advance(4_999);
  expect(sockets).toHaveLength(1);
  clock.advance(1);
  expect(sockets).toHaveLength(2);
  sockets[1]?.emit('connect');
  expect(await dialled).toMatchObject({ endpoint: { host: '127.0.0.2' } });
});
