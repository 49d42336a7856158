/** state-of-the-world.test.ts: a client we did not write, over the variant of ADS that always says everything. */
import { type GatewayWorld, openXdsServer } from '@fed/xds';
import { expect, test } from 'vitest';
import { worldOf } from '../envoy/worlds.ts';
import { until } from '../lib/until.ts';
import { grpcXdsClient, type News } from './client.ts';

const newsMs = 10_000;
const last = (news: readonly News[]): News | undefined => news.at(-1);

test('gRPC takes clusters and their changes; what it refuses is noted with its reason, said once, and holds nothing up', async () => {
  const ports = { gateway: { dc1: 1, dc2: 2 }, server: 3, web: { v1: 4, v2: 5 } };
  const world = worldOf('dc2', ports);
  let tell: (world: GatewayWorld) => void = () => {};
  const refusals: string[] = [];
  await using server = await openXdsServer({
    bind: { host: '127.0.0.1', port: 0 },
    coalesceMs: 0,
    log: (n) => {
      if (n.code === 'nack') refusals.push(n.text);
    },
    watchGateway: (_node, onWorld) => {
      tell = onWorld;
      onWorld(world);
      return { [Symbol.dispose]() {} };
    },
  });
  const client = grpcXdsClient(server.address.port, 'gateway-dc2');
  const own = client.cluster('n1.server.dc2.consul');
  const remote = client.cluster('server.dc1.consul');
  const missing = client.cluster('n2.server.dc2.consul');
  await until('both clusters', newsMs, () => own.length > 0 && remote.length > 0);
  const eds = { taken: expect.objectContaining({ type: 'EDS' }) };
  expect([last(own), last(remote)]).toEqual([eds, eds]);
  const types = () => server.clients()[0]?.types;
  expect(server.clients()).toMatchObject([{ mode: 'sotw', nodeId: 'gateway-dc2', registered: true }]);
  await until('its answer', newsMs, () => types()?.Cluster?.held === 2);

  // gRPC asks of endpoints that their locality be said. Consul's do not say it, nor do ours, and Envoy takes them so.
  const endpoints = client.endpoints('n1.server.dc2.consul');
  await until('the refusal', newsMs, () => refusals.length > 0);
  expect(last(endpoints)).toEqual({ error: expect.stringContaining('locality unset') });
  expect(types()?.ClusterLoadAssignment).toMatchObject({ nacks: 1, held: 0, subscribed: 1 });

  const n2 = { node: 'n2', host: '127.0.0.1', port: 6 };
  tell({ ...world, servers: [...world.servers, n2] });
  await until('a cluster that is new', newsMs, () => 'taken' in (last(missing) ?? {}));
  expect(refusals, 'what was refused and has not changed is not sent again').toHaveLength(1);
  await until('its answer', newsMs, () => types()?.Cluster?.held === 3);
  tell(world);
  await until('a cluster that is gone', newsMs, () => 'gone' in (last(missing) ?? {}));
  expect(types()?.Cluster?.nacks).toBe(0);
});
