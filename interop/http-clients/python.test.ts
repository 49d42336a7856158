/**
 * python.test.ts: Debian's python3-consul, unchanged, against our server.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Driven } from '../lib/driven.ts';
import { program } from '../lib/peers.ts';
import { until } from '../lib/until.ts';
import { datacenter, host, node, Server } from './server.ts';

let server: Server;
let python: Driven;
beforeAll(async () => {
  server = await Server.start();
  const script = fileURLToPath(new URL('./client.py', import.meta.url));
  python = new Driven('python-consul', program('FED_PEER_PYTHON_CONSUL'), [script, String(server.httpPort)]);
});
afterAll(async () => {
  await python?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
});

async function call<T>(path: string, args: readonly unknown[] = [], kwargs: object = {}): Promise<T> {
  return (await python.ask('call', { path, args, kwargs }))['result'] as T;
}
/** Reads answer with their index first. */
type Indexed<T> = readonly [index: string, found: T];

test('status, agent, catalog: the server is what it says', async () => {
  expect(await call('status.leader')).toBe(`${host}:${server.rpcPort}`);
  expect(await call('status.peers')).toEqual([`${host}:${server.rpcPort}`]);
  expect(await call('agent.self')).toMatchObject({ Config: { Datacenter: datacenter, NodeName: node } });
  expect(await call('agent.members')).toMatchObject([{ Name: node, Status: 1 }]);
  expect(await call('catalog.datacenters')).toEqual([datacenter]);
  const [index, nodes] = await call<Indexed<readonly object[]>>('catalog.nodes');
  expect(Number(index)).toBeGreaterThan(0);
  expect(nodes).toMatchObject([{ Node: node, Address: host }]);
  expect((await call<Indexed<object>>('catalog.services'))[1]).toEqual({ consul: [] });
});

test('a service with a TTL check: passing, failing, gone', async () => {
  const registered = { service_id: 'web1', port: 8080, tags: ['a'], check: { ttl: '60s' } };
  expect(await call('agent.service.register', ['web'], registered)).toBe(true);
  expect(await call('agent.services')).toMatchObject({ web1: { Service: 'web', Port: 8080, Tags: ['a'] } });
  const passing = async () =>
    (await call<Indexed<readonly object[]>>('health.service', ['web'], { passing: true }))[1];
  expect(await passing()).toEqual([]);
  expect(await call('agent.check.ttl_pass', ['service:web1', 'all is well'])).toBe(true);
  expect(await passing()).toMatchObject([{ Node: { Node: node }, Service: { ID: 'web1' } }]);
  expect(await call('agent.checks')).toMatchObject({
    'service:web1': { Status: 'passing', Output: 'all is well' },
  });
  expect(await call('agent.check.ttl_warn', ['service:web1'])).toBe(true);
  expect((await call<Indexed<object>>('health.checks', ['web']))[1]).toMatchObject([{ Status: 'warning' }]);
  expect(await call('agent.check.ttl_fail', ['service:web1'])).toBe(true);
  expect((await call<Indexed<object>>('health.state', ['critical']))[1]).toMatchObject([
    { CheckID: 'service:web1' },
  ]);
  expect(await call('agent.service.deregister', ['web1'])).toBe(true);
  expect((await call<Indexed<object>>('catalog.service', ['web']))[1]).toEqual([]);
});

test('a check of the node, and a service under TCP watch', async () => {
  expect(await call('agent.check.register', ['disk'], { check: { ttl: '60s' }, notes: 'room left' })).toBe(
    true,
  );
  expect((await call<Indexed<object>>('health.node', [node]))[1]).toMatchObject([
    { CheckID: 'disk', Notes: 'room left' },
    { CheckID: 'serfHealth' },
  ]);
  expect(await call('agent.check.deregister', ['disk'])).toBe(true);

  const listener = createServer((socket) => socket.destroy()).listen(0, host);
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  await call('agent.service.register', ['tcp'], { port, check: { tcp: [host, port, '100ms'] } });
  await until('the check passes', 10_000, async () => {
    const [, found] = await call<Indexed<readonly object[]>>('health.service', ['tcp'], { passing: true });
    return found.length === 1;
  });
  listener.close();
  await call('agent.service.deregister', ['tcp']);
});

test('a blocking query returns when what it asks for changes', async () => {
  await call('agent.service.register', ['slow'], { port: 1 });
  const [index] = await call<Indexed<object>>('health.service', ['slow']);
  const waiting = call<Indexed<readonly { Service: { Port: number } }[]>>('health.service', ['slow'], {
    index,
    wait: '30s',
  });
  await call('agent.service.register', ['slow'], { port: 2 });
  const [later, found] = await waiting;
  expect(Number(later)).toBeGreaterThan(Number(index));
  expect(found[0]?.Service.Port).toBe(2);
  await call('agent.service.deregister', ['slow']);
});

test('a node of somebody else’s, written straight into the catalog', async () => {
  const service = { service: 'db', id: 'db1', port: 5432, tags: ['primary'] };
  expect(await call('catalog.register', ['ext', '192.0.2.9'], { service })).toBe(true);
  expect((await call<Indexed<object>>('catalog.node', ['ext']))[1]).toMatchObject({
    Node: { Node: 'ext', Address: '192.0.2.9' },
    Services: { db1: { Service: 'db', Port: 5432 } },
  });
  expect((await call<Indexed<object>>('catalog.service', ['db']))[1]).toMatchObject([{ Node: 'ext' }]);
  expect(await call('catalog.deregister', ['ext'])).toBe(true);
  expect((await call<Indexed<object>>('catalog.service', ['db']))[1]).toEqual([]);
});

test('maintenance, coordinates, and what is refused', async () => {
  expect(await call('agent.maintenance', [true, 'new disk'])).toBe(true);
  expect((await call<Indexed<object>>('health.node', [node]))[1]).toMatchObject([
    { CheckID: '_node_maintenance', Status: 'critical', Notes: 'new disk' },
    { CheckID: 'serfHealth' },
  ]);
  expect(await call('agent.maintenance', [false])).toBe(true);
  expect(await call('coordinate.datacenters')).toMatchObject([{ Datacenter: datacenter }]);
  await expect(call('catalog.nodes', [], { dc: 'dc9' })).rejects.toMatchObject({
    answer: { kind: 'ConsulException' },
  });
});
