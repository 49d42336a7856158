/**
 * npm.test.ts: the npm package `consul`, unchanged, against our server.
 */

import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import Consul from 'consul';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../lib/until.ts';
import { datacenter, host, node, Server } from './server.ts';

let server: Server;
let consul: Consul;
beforeAll(async () => {
  server = await Server.start();
  consul = new Consul({ host, port: server.httpPort });
});
afterAll(async () => {
  consul?.destroy();
  await server?.[Symbol.asyncDispose]();
});

interface Instance {
  readonly Service: { readonly ID: string; readonly Tags: readonly string[]; readonly Port: number };
  readonly Checks: readonly { readonly CheckID: string; readonly Status: string; readonly Output: string }[];
}
/** What `health` says of a service, and the index it said it at. */
async function health(o: { service: string; passing?: boolean }) {
  const body = (await consul.health.service(o as never)) as unknown as readonly Instance[];
  // This client shows bodies alone; the index is in the headers.
  const { headers } = await fetch(`http://${host}:${server.httpPort}/v1/health/service/${o.service}`);
  return { body, index: headers.get('x-consul-index') };
}

test('status: leader and peers are this server', async () => {
  const address = `${host}:${server.rpcPort}`;
  expect(await consul.status.leader()).toBe(address);
  expect(await consul.status.peers()).toEqual([address]);
});

test('agent: self and members know the node', async () => {
  const self = (await consul.agent.self()) as { Config: Record<string, unknown>; Member: { Name: string } };
  expect(self.Config).toMatchObject({ Datacenter: datacenter, NodeName: node, Server: true });
  expect(self.Member.Name).toBe(node);
  const members = (await consul.agent.members()) as readonly { Name: string; Status: number; Port: number }[];
  expect(members).toMatchObject([{ Name: node, Status: 1, Port: server.lanPort }]);
});

test('catalog: datacenters, nodes, services', async () => {
  expect(await consul.catalog.datacenters()).toEqual([datacenter]);
  expect(await consul.catalog.node.list()).toMatchObject([
    { Node: node, Address: host, Datacenter: datacenter },
  ]);
  expect(await consul.catalog.service.list()).toMatchObject({ consul: [] });
  expect(await consul.catalog.node.services(node)).toMatchObject({
    Node: { Node: node },
    Services: { consul: { Port: server.rpcPort } },
  });
});

test('a service with a TTL check: registered, passing, failing, gone', async () => {
  await consul.agent.service.register({
    name: 'web',
    id: 'web1',
    tags: ['a', 'b'],
    address: '192.0.2.7',
    port: 8080,
    meta: { v: '1' },
    check: { ttl: '60s', name: 'alive' } as never,
  });
  expect(await consul.agent.service.list()).toMatchObject({
    web1: { Service: 'web', Port: 8080, Tags: ['a', 'b'], Meta: { v: '1' } },
  });
  expect(await consul.catalog.service.nodes('web')).toMatchObject([
    {
      Node: node,
      ServiceID: 'web1',
      ServiceAddress: '192.0.2.7',
      ServicePort: 8080,
      ServiceTags: ['a', 'b'],
    },
  ]);
  expect(await consul.agent.check.list()).toMatchObject({
    'service:web1': { Status: 'critical', Name: 'alive' },
  });
  expect((await health({ service: 'web', passing: true })).body).toEqual([]);

  await consul.agent.check.pass({ id: 'service:web1', note: 'all is well' });
  const [instance] = (await health({ service: 'web', passing: true })).body;
  expect(instance?.Service).toMatchObject({ ID: 'web1', Tags: ['a', 'b'], Port: 8080 });
  expect(instance?.Checks).toMatchObject([
    { CheckID: 'serfHealth', Status: 'passing' },
    { CheckID: 'service:web1', Status: 'passing', Output: 'all is well' },
  ]);

  await consul.agent.check.warn('service:web1');
  expect(await consul.health.checks('web')).toMatchObject([{ Status: 'warning' }]);
  await consul.agent.check.fail('service:web1');
  expect(await consul.health.state('critical')).toMatchObject([{ CheckID: 'service:web1' }]);

  await consul.agent.service.deregister('web1');
  expect(await consul.catalog.service.nodes('web')).toEqual([]);
  expect(await consul.agent.check.list()).toEqual({});
});

test('a check of the node: registered, heard of, deregistered', async () => {
  await consul.agent.check.register({ name: 'disk', ttl: '60s', notes: 'room left' } as never);
  await consul.agent.check.pass('disk');
  expect(await consul.health.node(node)).toMatchObject([
    { CheckID: 'disk', Status: 'passing', Notes: 'room left' },
    { CheckID: 'serfHealth', Status: 'passing' },
  ]);
  await consul.agent.check.deregister('disk');
  expect(await consul.agent.check.list()).toEqual({});
});

test('a TCP check: passing while somebody listens, critical when nobody does', async () => {
  const listener = createServer((socket) => socket.destroy()).listen(0, host);
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  await consul.agent.service.register({
    name: 'tcp',
    port,
    check: { tcp: `${host}:${port}`, interval: '100ms', timeout: '1s' } as never,
  });
  const status = async (): Promise<string | undefined> =>
    ((await consul.health.checks('tcp')) as unknown as readonly { Status: string }[])[0]?.Status;
  await until('the check passes', 10_000, async () => (await status()) === 'passing');
  listener.close();
  await once(listener, 'close');
  await until('the check fails', 10_000, async () => (await status()) === 'critical');
  await consul.agent.service.deregister('tcp');
});

test('a blocking query returns when the service it asks for changes, and not before', async () => {
  await consul.agent.service.register({ name: 'slow', port: 1 });
  const { index } = await health({ service: 'slow' });
  let returned = false;
  const waiting = (
    consul.health.service({ service: 'slow', index, wait: '30s' } as never) as unknown as Promise<
      readonly Instance[]
    >
  ).then((found) => {
    returned = true;
    return found;
  });
  await consul.agent.service.register({ name: 'other', port: 2 });
  expect(await consul.catalog.service.nodes('other')).toHaveLength(1);
  expect(returned).toBe(false);
  await consul.agent.service.register({ name: 'slow', port: 3 });
  expect((await waiting)[0]?.Service.Port).toBe(3);
  for (const name of ['slow', 'other']) await consul.agent.service.deregister(name);
});

test('the client’s own watch follows a service', async () => {
  const heard: number[] = [];
  const watch = consul.watch({
    method: consul.health.service as never,
    options: { service: 'watched', wait: '30s' } as never,
  });
  const errors: unknown[] = [];
  watch.on('change', (found: readonly Instance[]) => heard.push(found.length));
  watch.on('error', (error) => errors.push(error));
  await until('the first answer', 10_000, () => heard.length > 0);
  await consul.agent.service.register({ name: 'watched', port: 1 });
  await until('the registration is heard of', 10_000, () => heard.at(-1) === 1);
  await consul.agent.service.deregister('watched');
  await until('the deregistration is heard of', 10_000, () => heard.at(-1) === 0);
  watch.end();
  expect(errors).toEqual([]);
});

test('maintenance takes a service out of rotation and puts it back', async () => {
  await consul.agent.service.register({ name: 'maintained', port: 1 });
  await consul.agent.service.maintenance({ id: 'maintained', enable: true, reason: 'new disk' });
  expect((await health({ service: 'maintained', passing: true })).body).toEqual([]);
  await consul.agent.service.maintenance({ id: 'maintained', enable: false });
  expect((await health({ service: 'maintained', passing: true })).body).toHaveLength(1);
  await consul.agent.service.deregister('maintained');
});

test('what is refused reaches the caller with its status and text', async () => {
  await expect(consul.agent.check.pass('nobody')).rejects.toMatchObject({ statusCode: 404 });
  await expect(consul.catalog.node.list({ dc: 'dc9' } as never)).rejects.toMatchObject({ statusCode: 500 });
});

test('an event: fired and listed', async () => {
  const fired = (await consul.event.fire('deploy', 'v1')) as { readonly ID: string; readonly Name: string };
  expect(fired).toMatchObject({ Name: 'deploy', Version: 1, LTime: 0 });
  expect(await consul.event.list('deploy')).toMatchObject([{ ID: fired.ID, Payload: 'v1' }]);
});
