import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { freePorts } from '@fed/tooling/ports';
import { SteppedClock } from '@fed/tooling/virtual-clock';
import { afterEach, expect, test } from 'vitest';
import { Agent } from './agent.ts';
import { exchange } from './exchange.ts';
import type { RegistrationBody } from './registration.ts';

const stack = { current: new AsyncDisposableStack() };
afterEach(async () => {
  await stack.current.disposeAsync();
  stack.current = new AsyncDisposableStack();
});
const never = new AbortController().signal;

async function agentAt(answer: (q: IncomingMessage, r: ServerResponse) => void, token?: string) {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  stack.current.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as { port: number };
  const clock = new SteppedClock();
  const url = `http://127.0.0.1:${port}`;
  return { clock, url, agent: new Agent({ url, exchange, clock, ...(token !== undefined && { token }) }) };
}
const json = (value: unknown) => (_q: unknown, r: ServerResponse) => r.end(JSON.stringify(value));

test('agent: a registration is PUT as JSON, with the token in its header', async () => {
  const seen: unknown[] = [];
  const { agent, clock } = await agentAt((q, r) => {
    void text(q).then((body) => {
      seen.push(q.method, q.url, q.headers['x-consul-token'], JSON.parse(body));
      r.end();
    });
  }, 'secret');
  await agent.register({ ID: 'gw' } as RegistrationBody, never);
  expect(seen).toEqual([
    'PUT',
    '/v1/agent/service/register?replace-existing-checks=true',
    'secret',
    { ID: 'gw' },
  ]);
  expect(clock.armed).toBe(0);
});

test('agent: ids are escaped; 404 means unknown', async () => {
  const { agent } = await agentAt((q, r) => {
    r.statusCode = q.url === '/v1/agent/service/a%2Fb' ? 200 : 404;
    r.end('{"Port":1}');
  });
  expect(await agent.instance('a/b', never)).toEqual({ address: '', port: 1 });
  expect(await agent.instance('other', never)).toBeUndefined();
});

test.each([
  [{ xDS: { Port: 8_502, Ports: { Plaintext: 18_502, TLS: 8_503 } } }, 18_502, 8_503],
  [{ xDS: { Port: 8_502 } }, 8_502, undefined],
  [{ xDS: { Port: -1, Ports: { Plaintext: -1, TLS: 8_503 } } }, undefined, 8_503],
  [{}, undefined, undefined],
])('agent: the xDS ports of %j are %s and, over TLS, %s', async (self, port, tlsPort) => {
  const { xdsPort, xdsTlsPort } = await (await agentAt(json(self))).agent.self(never);
  expect([xdsPort, xdsTlsPort]).toEqual([port, tlsPort]);
});

test('agent: its datacenter, and the proxy configuration of an instance', async () => {
  const self = { Config: { Datacenter: 'dc1' } };
  expect(await (await agentAt(json(self))).agent.self(never)).toEqual({ datacenter: 'dc1' });
  const config = { envoy_stats_tags: ['a=b'] };
  const whole = { ID: 'gw', Address: '10.0.0.1', Port: 8443, Proxy: { Config: config } };
  expect(await (await agentAt(json(whole))).agent.instance('gw', never)).toEqual({
    address: '10.0.0.1',
    port: 8443,
    proxyConfig: config,
  });
  expect(await (await agentAt(json({ ID: 'gw' }))).agent.instance('gw', never)).toEqual({
    address: '',
    port: 0,
  });
  const unknown = await agentAt((_q, r) => {
    r.statusCode = 404;
    r.end('unknown service ID: gw');
  });
  expect(await unknown.agent.instance('gw', never)).toBeUndefined();
});

test('agent: 4xx is refused, 5xx and nonsense are failed, with what it said', async () => {
  const refusing = await agentAt((_q, r) => {
    r.statusCode = 403;
    r.end('Permission denied\n');
  });
  await expect(refusing.agent.self(never)).rejects.toMatchObject({
    code: 'refused',
    message: expect.stringContaining('403 to GET /v1/agent/self: Permission denied'),
  });
  const failing = await agentAt((_q, r) => {
    r.statusCode = 500;
    r.end();
  });
  await expect(failing.agent.instance('gw', never)).rejects.toMatchObject({ code: 'failed' });
  await expect((await agentAt((_q, r) => r.end('<'))).agent.self(never)).rejects.toMatchObject({
    code: 'failed',
  });
});

test('agent: nobody there, no answer in time, given up: unreachable, naming the address', async () => {
  const { agent, clock, url } = await agentAt(() => {});
  const waiting = agent.instance('gw', never);
  clock.advance(5_000);
  await expect(waiting).rejects.toMatchObject({ code: 'unreachable', message: expect.stringContaining(url) });
  expect(clock.armed).toBe(0);
  await expect(agent.instance('gw', AbortSignal.abort())).rejects.toMatchObject({ code: 'unreachable' });
  const [port] = await freePorts(1);
  const nobody = new Agent({ url: `http://127.0.0.1:${port}`, exchange, clock });
  await expect(nobody.instance('gw', never)).rejects.toMatchObject({
    code: 'unreachable',
    message: expect.stringContaining('ECONNREFUSED'),
  });
});

test('agent: carriers are the healthy instances that carry traffic between servers', async () => {
  const asked: (string | undefined)[] = [];
  const { agent } = await agentAt((q, r) => {
    asked.push(q.url);
    json([
      { Service: { ID: 'a', Meta: { 'consul-wan-federation': '1' } } },
      { Service: { ID: 'b', Meta: null } },
      { Service: { ID: 'c', Meta: { 'consul-wan-federation': 'yes' } } },
    ])(q, r);
  });
  expect(await agent.carriers('mesh-gateway', never)).toEqual(['a']);
  expect(asked).toEqual(['/v1/health/service/mesh-gateway?passing=1']);
});

test('agent: an instance is taken away from another node through the catalog', async () => {
  const seen: unknown[] = [];
  const { agent } = await agentAt((q, r) => {
    void text(q).then((body) => {
      seen.push(q.method, q.url, JSON.parse(body));
      r.end('true');
    });
  });
  await agent.forget('n1', 'gw', never);
  expect(seen).toEqual(['PUT', '/v1/catalog/deregister', { Node: 'n1', ServiceID: 'gw' }]);
});
