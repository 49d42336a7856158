import {
  createMemoryFs,
  embeddedLog,
  newCaConfig,
  newCaRequest,
  newRegisterRequest,
  openFsm,
} from '@fed/fsm';
import type { GatewayWorld } from '@fed/xds';
import { expect, test } from 'vitest';
import { watchGateways } from './gateway-worlds.ts';

const clock = { now: () => 0, at: () => ({ [Symbol.dispose]: () => {} }) };

test('a gateway has no world until it is registered, and routes by trust domain once there is one', async () => {
  const engine = embeddedLog({ dir: '/data', fs: createMemoryFs() });
  await using fsm = await openFsm({ engine, clock, rng: { below: () => 0 } });
  const worlds: (GatewayWorld | undefined)[] = [];
  const watch = watchGateways({ datacenter: 'dc1', domain: 'consul', fsm });
  using _watching = watch({ id: 'mesh-gateway' }, (world) => worlds.push(world));
  expect(worlds).toEqual([undefined]);

  const Service = { ID: 'mesh-gateway', Service: 'mesh-gateway', Kind: 'mesh-gateway', Port: 8443 };
  await fsm.apply({ type: 'register', request: newRegisterRequest({ Node: 'n1', Service }) });
  expect(worlds.at(-1)).toMatchObject({ datacenter: 'dc1', gateway: { ID: 'mesh-gateway' } });
  expect(worlds.at(-1)).not.toHaveProperty('trustDomain');

  const Config = newCaConfig({ ClusterID: '11111111-2222-3333-4444-555555555555' });
  await fsm.apply({ type: 'connectCa', request: newCaRequest({ Op: 'set-config', Config }) });
  expect(worlds.at(-1)?.trustDomain).toBe('11111111-2222-3333-4444-555555555555.consul');

  for (const [Node, Port] of [
    ['n1', 21_000],
    ['n2', 21_001],
  ] as const) {
    const names = { ID: 'web-proxy', Service: 'web-sidecar-proxy', Kind: 'connect-proxy' };
    const sidecar = { ...names, Port, Proxy: { DestinationServiceName: 'web' } };
    await fsm.apply({ type: 'register', request: newRegisterRequest({ Node, Service: sidecar }) });
  }
  expect(worlds.at(-1)?.services).toMatchObject([
    { name: 'web', instances: [{ Service: { Port: 21_000 } }, { Service: { Port: 21_001 } }] },
  ]);
});
