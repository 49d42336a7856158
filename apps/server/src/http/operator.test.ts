/** Servers and their health over real HTTP: of this datacenter, and of another through RPC as a server of Consul answers it. */
import { decode, encode } from '@fed/msgpack';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ServerHealth } from '../lan/health.ts';
import { createAsk } from '../rpc/ask.ts';
import { operatorEndpoints } from '../rpc/operator.ts';
import { operatorRoutes } from './operator.ts';
import { type HttpServer, openHttp } from './server.ts';

const server = {
  name: 'n1',
  datacenter: 'dc1',
  id: 'd33f7cd5-5247-33b3-be1d-92ef9183ddcd',
  host: '10.0.0.1',
  port: 8300,
  tls: true,
  federationStates: true,
  build: '1.9.8:fed',
  status: 'alive',
  address: '10.0.0.1:8300',
  sinceMs: Date.UTC(2026, 10, 27, 17, 39, 47),
} as ServerHealth['server'];
const fine = { server, leader: true, healthy: true, lastContact: '0', lastTerm: 2, lastIndex: 4 };
let servers: readonly ServerHealth[];
let http: HttpServer;

beforeEach(async () => {
  servers = [fine];
  const endpoints = operatorEndpoints({ health: async () => servers });
  const ask = createAsk({
    datacenter: 'dc1',
    primary: 'dc1',
    endpoints,
    // Through the bytes of the wire and back, as from a server far away.
    abroad: async (to, method, args, context) => {
      if (to !== 'dc2') throw new Error('No path to datacenter');
      return decode(encode((await endpoints[method]?.answer(args as never, context)) ?? null));
    },
  } as Parameters<typeof createAsk>[0]);
  http = await openHttp({
    bind: { host: '127.0.0.1', port: 0 },
    routes: operatorRoutes({ datacenter: 'dc1', ask }),
  });
});
afterEach(() => http[Symbol.asyncDispose]());

async function ask(path: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${http.address.port}/v1/operator/${path}`);
  return `${response.status} ${await response.text()}`;
}

const health =
  '{"ID":"d33f7cd5-5247-33b3-be1d-92ef9183ddcd","Name":"n1","Address":"10.0.0.1:8300","SerfStatus":"alive","Version":"1.9.8","Leader":true,"LastContact":"0s","LastTerm":2,"LastIndex":4,"Healthy":true,"Voter":true,"StableSince":"2026-11-27T17:39:47Z"}';

for (const where of ['', '?dc=dc2']) {
  test(`operator: the servers ${where}`, async () =>
    expect(await ask(`raft/configuration${where}`)).toBe(
      '200 {"Servers":[{"ID":"d33f7cd5-5247-33b3-be1d-92ef9183ddcd","Node":"n1","Address":"10.0.0.1:8300","Leader":true,"ProtocolVersion":"3","Voter":true,"LastIndex":4}],"Index":0}',
    ));
  test(`operator: their health ${where}`, async () =>
    expect(await ask(`autopilot/health${where}`)).toBe(
      `200 {"Healthy":true,"FailureTolerance":0,"Servers":[${health}]}`,
    ));
}

test('operator: one that does not fare well makes it 429; how long ago it heard of the leader is shown', async () => {
  servers = [fine, { ...fine, leader: false, healthy: false, lastContact: '1.5s' }];
  const answer = await ask('autopilot/health');
  expect(answer).toMatch(/^429 \{"Healthy":false,"FailureTolerance":0,/);
  expect(answer).toContain('"LastContact":"1.5s"');
  servers = [{ ...fine, lastContact: 'never' }];
  expect(await ask('autopilot/health')).toContain('"LastContact":"never"');
});

test('operator: a datacenter nobody knows', async () =>
  expect(await ask('raft/configuration?dc=dc9')).toBe('500 No path to datacenter'));
