import {
  type ConfigEntryValue,
  createMemoryFs,
  embeddedLog,
  newCaConfig,
  newCaRequest,
  newConfigEntry,
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
  const watch = watchGateways({ datacenter: 'dc1', domain: 'consul', nodeName: 'n1', fsm });
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

  const native = { ID: 'w3', Service: 'Web', Port: 21_002, Connect: { Native: true } };
  await fsm.apply({ type: 'register', request: newRegisterRequest({ Node: 'n1', Service: native }) });
  const ports = (): unknown =>
    worlds
      .at(-1)
      ?.services?.map(({ name, instances }) => [name, instances.map(({ Service }) => Service.Port)]);
  expect(ports(), 'who is native stands beside the sidecars').toEqual([['web', [21_000, 21_001, 21_002]]]);
  const before = worlds.length;
  const plain = { ID: 'x', Service: 'plain', Port: 1 };
  await fsm.apply({ type: 'register', request: newRegisterRequest({ Node: 'n1', Service: plain }) });
  expect(worlds.length, 'a service outside of the mesh is no news').toBe(before);
  const Check = { Node: 'n1', CheckID: 'c', ServiceID: 'w3', Status: 'critical' };
  await fsm.apply({ type: 'register', request: newRegisterRequest({ Node: 'n1', Check }) });
  expect(worlds.at(-1)?.services?.[0]?.instances.at(-1)?.Checks).toMatchObject([{ Status: 'critical' }]);
  await fsm.apply({
    type: 'register',
    request: newRegisterRequest({ Node: 'n1', Service: { ...native, Connect: { Native: false } } }),
  });
  expect(ports(), 'and goes when it is no more').toEqual([['web', [21_000, 21_001]]]);
});

test('what a resolver says of a service, as far as a gateway can heed it', async () => {
  const engine = embeddedLog({ dir: '/data', fs: createMemoryFs() });
  await using fsm = await openFsm({ engine, clock, rng: { below: () => 0 } });
  const worlds: (GatewayWorld | undefined)[] = [];
  const watch = watchGateways({ datacenter: 'dc1', domain: 'consul', nodeName: 'n1', fsm });
  using _watching = watch({ id: 'mesh-gateway' }, (world) => worlds.push(world));
  for (const Service of [
    { ID: 'mesh-gateway', Service: 'mesh-gateway', Kind: 'mesh-gateway', Port: 8443 },
    { ID: 'web', Service: 'web', Port: 80, Connect: { Native: true } },
  ])
    await fsm.apply({ type: 'register', request: newRegisterRequest({ Node: 'n1', Service }) });
  const write = (op: string, value: ConfigEntryValue) =>
    fsm.apply({ type: 'configEntry', request: { op, entry: newConfigEntry('service-resolver', value) } });
  const resolver = (): unknown => worlds.at(-1)?.services?.[0]?.resolver;
  expect(resolver()).toBeUndefined();
  await write('upsert', {
    Name: 'WEB',
    ConnectTimeout: 1_500_000_000,
    DefaultSubset: 'v1',
    Subsets: {
      v1: { Filter: 'Service.Meta.version == v1', OnlyPassing: false },
      v2: { Filter: 'Service.Meta.version == v2', OnlyPassing: true },
    },
    LoadBalancer: { Policy: 'least_request' },
  });
  expect(resolver()).toEqual({
    connectTimeoutMs: 1_500,
    defaultSubset: 'v1',
    subsets: {
      v1: { filter: 'Service.Meta.version == v1', onlyPassing: false },
      v2: { filter: 'Service.Meta.version == v2', onlyPassing: true },
    },
    lbPolicy: 'least_request',
  });
  await write('replicate-upsert', { Name: 'web', ConnectTimeout: 'soon', Subsets: [1], LoadBalancer: true });
  expect(resolver(), 'what has another form is passed over').toEqual({});
  const others: (GatewayWorld | undefined)[] = [];
  using _alike = watch({ id: 'mesh-gateway' }, (world) => others.push(world));
  for (const table of ['servers', 'services', 'federationStates'] as const)
    expect(others.at(-1)?.[table], `${table} are made once for all gateways`).toBe(worlds.at(-1)?.[table]);
  await write('delete', { Name: 'web' });
  expect(resolver()).toBeUndefined();
});

test('of two gateways with one id, the one on the node asked for is meant, else the one on our own', async () => {
  const engine = embeddedLog({ dir: '/data', fs: createMemoryFs() });
  await using fsm = await openFsm({ engine, clock, rng: { below: () => 0 } });
  for (const [Node, Port] of [
    ['n1', 1],
    ['n2', 2],
    ['n3', 3],
  ] as const) {
    const Service = { ID: 'gw', Service: 'mesh-gateway', Kind: 'mesh-gateway', Port };
    await fsm.apply({ type: 'register', request: newRegisterRequest({ Node, Service }) });
  }
  const seen = (ours: string, node: { readonly id: string; readonly nodeName?: string }): unknown => {
    let port: unknown;
    const watch = watchGateways({ datacenter: 'dc1', domain: 'consul', nodeName: ours, fsm });
    using _watching = watch(node, (world) => {
      port = world?.gateway.Port;
    });
    return port;
  };
  expect(seen('n2', { id: 'gw' })).toBe(2);
  expect(seen('n2', { id: 'gw', nodeName: 'N3' })).toBe(3);
  expect(seen('n2', { id: 'gw', nodeName: 'gone' })).toBe(2);
  expect(seen('n9', { id: 'gw' })).toBe(1);
  expect(seen('n2', { id: 'other' })).toBeUndefined();
});
