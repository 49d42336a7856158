/** /v1/config over real HTTP, in a primary and in a secondary whose questions travel as they would on the wire. */
import { createMemoryFs, embeddedLog, type Fsm, openFsm } from '@fed/fsm';
import { decode, encode } from '@fed/msgpack';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Access } from '../acl/access.ts';
import { readRules } from '../acl/rules.ts';
import { aroundEndpoints } from '../around-endpoints.ts';
import { fetchConfigEntries } from '../config-entries/fetch.ts';
import { type Ask, createAsk } from '../rpc/ask.ts';
import { Callers } from '../rpc/callers.ts';
import { configEntryEndpoints } from '../rpc/config-entry.ts';
import { configEntryRoutes } from './config-entries.ts';
import { createApi, type HttpServer, listen } from './server.ts';

const everybody = new Access({
  enabled: false,
  defaultPolicy: 'allow',
  tokens: [],
  defaultSecret: undefined,
});
const signal = new AbortController().signal;
let closing: AsyncDisposableStack;
let primary: Datacenter;
let secondary: Datacenter;

interface Datacenter {
  readonly fsm: Fsm;
  readonly ask: Ask;
  readonly http: HttpServer;
}

async function open(datacenter: string, access: Access, other?: () => Datacenter): Promise<Datacenter> {
  const fsm = closing.use(
    await openFsm({ engine: embeddedLog({ dir: `/${datacenter}`, fs: createMemoryFs() }) }),
  );
  const callers = new Callers({ datacenter, domain: 'consul', verify: () => true });
  const reading = { fsm, queryTimeDefaultMs: 300_000, queryTimeMaxMs: 600_000 };
  const endpoints = aroundEndpoints(configEntryEndpoints({ ...reading, callers }), {
    access,
    datacenter,
    fsm,
  });
  const ask = createAsk({
    datacenter,
    primary: 'dc1',
    endpoints,
    // What goes abroad is bytes, there and back.
    abroad: async (to, method, args, context) => {
      if (other === undefined || to !== 'dc1') throw new Error('No path to datacenter');
      const reply = await other().ask(method, decode(encode(args)), context);
      return decode(encode(endpoints[method]?.wire?.writeReply?.(reply) ?? reply));
    },
  });
  const routes = configEntryRoutes({ datacenter, nodeName: 'n1', ask, primary: 'dc1' });
  const serve = createApi({ routes, authorizer: (secret) => access.authorizer(secret) });
  const http = closing.use(await listen({ bind: { host: '127.0.0.1', port: 0 }, serve }));
  return { fsm, ask, http };
}

async function openBoth(access = everybody): Promise<void> {
  primary = await open('dc1', access);
  secondary = await open('dc2', access, () => primary);
}

beforeEach(async () => {
  closing = new AsyncDisposableStack();
  await openBoth();
});
afterEach(() => closing.disposeAsync());

async function send(
  method: string,
  path: string,
  body?: unknown,
  o: { readonly at?: Datacenter; readonly token?: string } = {},
): Promise<{ status: number; text: string; json: () => unknown; index: number }> {
  const response = await fetch(`http://127.0.0.1:${(o.at ?? primary).http.address.port}${path}`, {
    method,
    ...(o.token === undefined ? {} : { headers: { 'X-Consul-Token': o.token } }),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const index = Number(response.headers.get('x-consul-index'));
  return { status: response.status, text, json: () => JSON.parse(text) as unknown, index };
}

const web = { Kind: 'service-defaults', Name: 'web', Protocol: 'http' };

describe('in the primary', () => {
  test('what is written is read, listed and deleted', async () => {
    expect(await send('PUT', '/v1/config', web)).toMatchObject({ status: 200, text: 'true' });
    const one = await send('GET', '/v1/config/service-defaults/web');
    expect(one).toMatchObject({ status: 200, index: 1 });
    expect(one.text).toBe(
      '{"Kind":"service-defaults","Name":"web","Protocol":"http","TransparentProxy":{},"MeshGateway":{},"Expose":{},"CreateIndex":1,"ModifyIndex":1}',
    );
    expect((await send('GET', '/v1/config/service-defaults')).text).toBe(`[${one.text}]`);
    expect((await send('GET', '/v1/config')).text).toBe(`[${one.text}]`);
    expect((await send('GET', '/v1/config/service-resolver')).text).toBe('[]');
    expect(await send('DELETE', '/v1/config/service-defaults/web')).toMatchObject({
      status: 200,
      text: '{}',
    });
    expect(await send('GET', '/v1/config/service-defaults/web')).toMatchObject({
      status: 404,
      text: 'Config entry not found for "service-defaults" / "web"',
    });
  });

  test('a condition that does not hold changes nothing, and says so', async () => {
    const cas = async (n: string, method = 'PUT', path = '/v1/config') =>
      (await send(method, `${path}?cas=${n}`, method === 'PUT' ? web : undefined)).text;
    expect(await cas('3')).toBe('false');
    expect(await cas('0')).toBe('true');
    expect(await cas('0')).toBe('false');
    expect(await cas('2')).toBe('true');
    expect(await cas('2', 'DELETE', '/v1/config/service-defaults/web')).toBe('false');
    expect(await cas('4', 'DELETE', '/v1/config/service-defaults/web')).toBe('true');
    expect(await cas('four')).toMatch(/Invalid value for cas: "four"; it is the ModifyIndex that was read/);
  });

  test('a reader who waits is woken by the change', async () => {
    await send('PUT', '/v1/config', web);
    const waiting = send('GET', '/v1/config/service-defaults/web?index=1&wait=60s');
    await send('PUT', '/v1/config', { ...web, Protocol: 'grpc' });
    expect((await waiting).json()).toMatchObject({ Protocol: 'grpc', ModifyIndex: 2 });
  });

  test.each<[string, string, string, unknown, number, RegExp]>([
    ['no JSON map', 'PUT', '/v1/config', [], 400, /Request decoding failed: the body is not a map/],
    ['a misspelt key', 'PUT', '/v1/config', { ...web, Protocl: 'x' }, 400, /invalid config key "Protocl"/],
    ['a rule broken', 'PUT', '/v1/config', { Kind: 'service-defaults' }, 400, /Name is required/],
    [
      'a kind we do not write',
      'PUT',
      '/v1/config',
      { Kind: 'service-router', Name: 'w' },
      400,
      /what can be written here is service-defaults/,
    ],
    [
      'a kind nobody knows',
      'GET',
      '/v1/config/service-defualts',
      undefined,
      400,
      /invalid config entry kind: service-defualts/,
    ],
    [
      'no name to delete',
      'DELETE',
      '/v1/config/service-defaults',
      undefined,
      404,
      /Must provide both a kind and name/,
    ],
    [
      'a contradiction with others',
      'PUT',
      '/v1/config',
      { Kind: 'service-resolver', Name: 'a', Redirect: { Service: 'b', ServiceSubset: 'v1' } },
      500,
      /service "b" does not have a subset named "v1"/,
    ],
  ])('%s: an error that names it, and nothing written', async (_what, method, path, body, status, words) => {
    const answer = await send(method, path, body);
    expect(answer.status).toBe(status);
    expect(answer.text).toMatch(words);
    expect(primary.fsm.store.configEntries().rows).toEqual([]);
  });
});

describe('in a secondary', () => {
  test('a write goes to the primary whatever ?dc= says; a read is answered from the copy, or where it is asked for', async () => {
    const at = secondary;
    expect(await send('PUT', '/v1/config?dc=dc2', web, { at })).toMatchObject({ status: 200, text: 'true' });
    expect(primary.fsm.store.configEntry('service-defaults', 'web').row).toBeDefined();
    expect((await send('GET', '/v1/config/service-defaults/web', undefined, { at })).status).toBe(404);
    const there = await send('GET', '/v1/config/service-defaults/web?dc=dc1', undefined, { at });
    expect(there.json()).toMatchObject({ Protocol: 'http' });
    expect((await send('GET', '/v1/config/service-defaults?dc=dc1', undefined, { at })).json()).toMatchObject(
      [{ Name: 'web' }],
    );
    expect((await send('GET', '/v1/config?dc=dc1', undefined, { at })).json()).toMatchObject([
      { Name: 'web' },
    ]);
  });

  test('what replication fetches is every entry as it stands there', async () => {
    await send('PUT', '/v1/config', { Kind: 'proxy-defaults', Name: 'global', Config: { a: 1 } });
    await send('PUT', '/v1/config', web);
    const answer = await fetchConfigEntries({ ask: secondary.ask, primary: 'dc1', minIndex: 0, signal });
    expect(answer.index).toBe(2);
    expect(encode(answer.entries.map(({ value }) => value))).toEqual(
      encode(primary.fsm.store.configEntries().rows.map(({ value }) => value)),
    );
  });

  test('a deletion on a condition is refused: an older primary would not heed it', async () => {
    const answer = await send('DELETE', '/v1/config/service-defaults/web?cas=1', undefined, {
      at: secondary,
    });
    expect(answer.status).toBe(400);
    expect(answer.text).toMatch(/understood by the servers of dc1 alone: ask one of them/);
  });
});

describe('tokens', () => {
  beforeEach(async () => {
    const rules = readRules({
      operator: 'read',
      service: { web: { policy: 'write' }, api: { policy: 'read' } },
    });
    const tokens = [
      { secret: 'one', accessor: 'a', rules },
      { secret: 'all', accessor: 'b', rules: undefined },
    ];
    await openBoth(new Access({ enabled: true, defaultPolicy: 'deny', tokens, defaultSecret: undefined }));
  });
  const status = async (body: unknown, token: string): Promise<number> =>
    (await send('PUT', '/v1/config', body, { token })).status;

  test('who may write a service writes its entries, and sends its callers only where he may look', async () => {
    const token = 'one';
    expect(await status(web, token)).toBe(200);
    expect(await status({ ...web, Name: 'api' }, token)).toBe(403);
    const resolver = { Kind: 'service-resolver', Name: 'web' };
    for (const Name of ['web', 'api', 'db']) await status({ ...web, Name }, 'all');
    expect(await status({ ...resolver, Redirect: { Service: 'api' } }, token)).toBe(200);
    expect(await status({ ...resolver, Redirect: { Service: 'db' } }, token)).toBe(403);
    expect(await status({ ...resolver, Failover: { '*': { Service: 'db' } } }, token)).toBe(403);
  });

  test('what holds for all is the operator’s; everybody may read how proxies are set', async () => {
    const defaults = { Kind: 'proxy-defaults', Name: 'global' };
    expect(await status(defaults, 'one')).toBe(403);
    expect(await status(defaults, 'all')).toBe(200);
    expect((await send('GET', '/v1/config/proxy-defaults/global', undefined, { token: 'one' })).status).toBe(
      200,
    );
  });

  test('a list has the entries one may see', async () => {
    for (const Name of ['web', 'db']) await status({ ...web, Name }, 'all');
    const names = async (token: string): Promise<unknown> =>
      (
        (await send('GET', '/v1/config/service-defaults', undefined, { token })).json() as { Name: string }[]
      ).map(({ Name }) => Name);
    expect(await names('one')).toEqual(['web']);
    expect(await names('all')).toEqual(['db', 'web']);
    expect((await send('GET', '/v1/config/service-defaults/db', undefined, { token: 'one' })).status).toBe(
      403,
    );
    expect((await send('DELETE', '/v1/config/service-defaults/db', undefined, { token: 'one' })).status).toBe(
      403,
    );
  });
});
