import { once } from 'node:events';
import { createServer } from 'node:net';
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

test('dial: three attempts of ten seconds end after fifteen', async () => {
  const clock = new SteppedClock();
  const counters = new Counters();
  const cluster = new Cluster('c', clusterConfig({ connectTimeoutMs: 10_000, endpoints: silent(3) }), ports);
  // Each alarm is answered in the turn in which it is set: no connect can have come back by then.
  clock.whenSet(10_000, () => clock.advance(10_000));
  clock.whenSet(15_000, () => clock.advance(5_000));
  const dialled = await dial(cluster, {
    clock,
    counters,
    stop: new StopDialing(),
    attemptsMax: 3,
  });
  expect(dialled).toEqual({ kind: 'failed', attempts: 2, lastError: '127.0.0.2:9: timeout' });
  expect(counters.get('cluster.upstream_cx_connect_timeout', 'c')).toBe(2);
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
