/** The agent's endpoints and the catalog's writes over real HTTP, on a real state machine that keeps its log in memory. */

import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { createMemoryFs, embeddedLog, type Fsm, newNode, openFsm } from '@fed/fsm';
import { settled, VirtualClock } from '@fed/tooling/virtual-clock';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Access } from '../acl/access.ts';
import { readRules } from '../acl/rules.ts';
import { Agent } from '../agent/agent.ts';
import { aroundEndpoints } from '../around-endpoints.ts';
import { catalogWriteEndpoints } from '../catalog-writes/endpoints.ts';
import { createAsk } from '../rpc/ask.ts';
import { catalogEndpoints } from '../rpc/catalog.ts';
import { agentCheckRoutes } from './agent-checks.ts';
import { agentServiceRoutes } from './agent-services.ts';
import { catalogWriteRoutes } from './catalog-writes.ts';
import { readRoutes } from './reads.ts';
import { createApi, type HttpServer, listen } from './server.ts';
import { snapshotRoutes } from './snapshot.ts';

const datacenter = 'dc1';
const nodeName = 'n1';
let fsm: Fsm;
let agent: Agent;
let server: HttpServer;
let clock: VirtualClock;

async function open(access: Access): Promise<void> {
  clock = new VirtualClock();
  fsm = await openFsm({ engine: embeddedLog({ dir: '/log', fs: createMemoryFs() }), clock });
  agent = new Agent({
    node: newNode({ Node: nodeName, Address: '192.0.2.1', Datacenter: datacenter, ID: '' }),
    fsm,
    write: async (command) => void (await fsm.apply(command)),
    clock,
    probe: () => Promise.resolve({ status: 'passing', output: 'fine' }),
    failed: (what, error) => {
      throw new Error(what, { cause: error });
    },
  });
  const limits = { queryTimeDefaultMs: 300_000, queryTimeMaxMs: 600_000 };
  const endpoints = aroundEndpoints(
    {
      ...catalogEndpoints({ ...limits, fsm, datacenters: () => [datacenter] }),
      ...catalogWriteEndpoints({ datacenter, fsm }),
    },
    { access, datacenter, fsm },
  );
  const ask = createAsk({
    datacenter,
    primary: datacenter,
    endpoints,
    abroad: () => Promise.reject(new Error('No path to datacenter')),
  });
  const serve = createApi({
    authorizer: (secret) => access.authorizer(secret),
    defaultPolicy: () => access.defaultPolicy,
    routes: [
      ...readRoutes({ datacenter, nodeName, ask }),
      ...catalogWriteRoutes({ datacenter, ask }),
      ...agentServiceRoutes({ datacenter, agent }),
      ...agentCheckRoutes({ agent }),
      ...snapshotRoutes({
        datacenter,
        fsm,
        server: { id: 'id', address: '192.0.2.1:8300' },
        wallMs: () => 0,
        restored: () => Promise.resolve(),
      }),
    ],
  });
  server = await listen({ bind: { host: '127.0.0.1', port: 0 }, serve });
}

const everybody = new Access({
  enabled: false,
  defaultPolicy: 'allow',
  tokens: [],
  defaultSecret: undefined,
});
beforeEach(() => open(everybody));
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  agent[Symbol.dispose]();
  await fsm[Symbol.asyncDispose]();
});

const url = (path: string): string => `http://127.0.0.1:${server.address.port}${path}`;
const get = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(url(path), { headers });
const put = (path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(url(path), {
    method: 'PUT',
    headers,
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
const json = async <T = unknown>(answer: Promise<Response>): Promise<T> => (await (await answer).json()) as T;
const refusal = async (answer: Promise<Response>): Promise<string> => {
  const response = await answer;
  return `${response.status} ${(await response.text()).trim()}`;
};
const register = async (body: object): Promise<void> => {
  const response = await put('/v1/agent/service/register', body);
  expect(`${response.status} ${await response.text()}`).toBe('200 ');
};

describe('services', () => {
  test('a registered service is shown as the original shows it', async () => {
    await register({ Name: 'web', ID: 'w1', Port: 80, Tags: ['a'], Address: '192.0.2.7', Meta: { v: '1' } });
    expect(await (await get('/v1/agent/services')).text()).toBe(
      '{"w1":{"ID":"w1","Service":"web","Tags":["a"],"Meta":{"v":"1"},"Port":80,"Address":"192.0.2.7",' +
        '"TaggedAddresses":{"lan_ipv4":{"Address":"192.0.2.7","Port":80},"wan_ipv4":{"Address":"192.0.2.7","Port":80}},' +
        '"Weights":{"Passing":1,"Warning":1},"EnableTagOverride":false,"Datacenter":"dc1"}}',
    );
  });
  test('a filter selects, and a bad one is refused in the original’s words', async () => {
    await register({ Name: 'web' });
    await register({ Name: 'db' });
    expect(Object.keys(await json(get('/v1/agent/services?filter=Service==db')))).toEqual(['db']);
    expect(await refusal(get('/v1/agent/services?filter=Servic==db'))).toBe(
      '500 Failed to create boolean expression evaluator: Selector "Servic" is not valid',
    );
  });
  test('another registration keeps checks it does not name, unless told to replace them', async () => {
    await register({
      Name: 'web',
      Checks: [
        { CheckID: 'a', TTL: '1m' },
        { CheckID: 'b', TTL: '1m' },
      ],
    });
    await register({ Name: 'web', Check: { CheckID: 'a', TTL: '1m' } });
    expect(Object.keys(await json(get('/v1/agent/checks')))).toEqual(['a', 'b']);
    await put('/v1/agent/service/register?replace-existing-checks', {
      Name: 'web',
      Check: { CheckID: 'a', TTL: '1m' },
    });
    expect(Object.keys(await json(get('/v1/agent/checks')))).toEqual(['a']);
  });
  test('one that is not there is named', async () => {
    expect(await refusal(get('/v1/agent/service/none'))).toBe('404 unknown service ID: none');
    expect(await refusal(put('/v1/agent/service/deregister/none'))).toBe(
      '404 Unknown service ID "none". Ensure that the service ID is passed, not the service name.',
    );
  });
  test('with the hash a client has seen, the answer waits for a change', async () => {
    await register({ Name: 'web', Port: 80 });
    const first = await get('/v1/agent/service/web');
    const hash = first.headers.get('x-consul-contenthash') ?? '';
    expect(await first.json()).toMatchObject({ ContentHash: hash, Port: 80 });
    const waiting = json(get(`/v1/agent/service/web?hash=${hash}&wait=60s`));
    await register({ Name: 'other' });
    await register({ Name: 'web', Port: 81 });
    expect(await waiting).toMatchObject({ Port: 81 });
    expect((await get(`/v1/agent/service/web?hash=another`)).status).toBe(200);
  });
  test('maintenance is a critical check that nobody runs', async () => {
    await register({ Name: 'web' });
    expect(await refusal(put('/v1/agent/service/maintenance/web'))).toBe('400 Missing value for enable');
    expect(await refusal(put('/v1/agent/service/maintenance/web?enable=x'))).toBe(
      '400 Invalid value for enable: "x"',
    );
    await put('/v1/agent/service/maintenance/web?enable=true&reason=disk');
    const answer = await get('/v1/agent/health/service/id/web');
    expect([answer.status, answer.headers.get('x-consul-reason')]).toEqual([503, 'maintenance']);
    expect(await answer.json()).toMatchObject({
      AggregatedStatus: 'maintenance',
      Service: { ID: 'web' },
      Checks: [{ CheckID: '_service_maintenance:web', Notes: 'disk', Status: 'critical' }],
    });
    await put('/v1/agent/service/maintenance/web?enable=false');
    expect((await get('/v1/agent/health/service/id/web')).status).toBe(200);
  });
  test('health by name is that of the worst instance, and can be had as plain text', async () => {
    await register({ Name: 'web', ID: 'w1', Check: { TTL: '1m', Status: 'passing' } });
    await register({ Name: 'web', ID: 'w2', Check: { TTL: '1m', Status: 'warning' } });
    const worst = await get('/v1/agent/health/service/name/web');
    expect(worst.status).toBe(429);
    expect(await worst.json()).toMatchObject([
      { AggregatedStatus: 'passing' },
      { AggregatedStatus: 'warning' },
    ]);
    expect(await refusal(get('/v1/agent/health/service/id/w2?format=text'))).toBe('429 warning');
    expect(await refusal(get('/v1/agent/health/service/name/none'))).toBe('404 []');
    const odd = await get(`/v1/agent/health/service/name/${encodeURIComponent('é\r\nX: y')}`);
    expect(odd.headers.get('x-consul-reason')).toBe(
      Buffer.from('ServiceName é  X: y Not Found').toString('latin1'),
    );
  });
});

describe('checks', () => {
  test('a TTL check says what it heard, as soon as the answer is out', async () => {
    await put('/v1/agent/check/register', { Name: 'disk', TTL: '1m', Notes: 'n' });
    await put('/v1/agent/check/pass/disk?note=fine');
    expect(await json(get('/v1/health/node/n1'))).toMatchObject([
      { CheckID: 'disk', Status: 'passing', Output: 'fine' },
    ]);
    await put('/v1/agent/check/update/disk', { Status: 'warning', Output: 'o'.repeat(5000) });
    const { disk } = await json<{ disk: { Status: string; Output: string } }>(get('/v1/agent/checks'));
    expect([disk.Status, disk.Output.slice(4090)]).toEqual([
      'warning',
      'oooooo ... (captured 4096 of 5000 bytes)',
    ]);
    await clock.advance(61_000);
    await settled();
    expect(await json(get('/v1/agent/checks'))).toMatchObject({
      disk: { Status: 'critical', Output: expect.stringMatching(/^TTL expired/) },
    });
  });
  test('what is wrong is named, with the original’s status', async () => {
    const checks = '/v1/agent/check';
    expect(await refusal(put(`${checks}/register`, {}))).toBe('400 Missing check name');
    expect(await refusal(put(`${checks}/register`, { Name: 'c' }))).toBe(
      '400 Invalid check: TTL must be > 0 for TTL checks',
    );
    expect(await refusal(put(`${checks}/register`, { Name: 'c', TTL: '1s', Foo: 1 }))).toBe(
      '400 Request decode failed: json: unknown field "Foo"',
    );
    expect(await refusal(put(`${checks}/register`, { Name: 'c', TTL: '1s', Status: 'x' }))).toBe(
      '400 Bad check status',
    );
    expect(await refusal(put(`${checks}/register`, { Name: 'c', TTL: '1s', ServiceID: 'no' }))).toBe(
      '404 ServiceID "no" does not exist',
    );
    expect(await refusal(put(`${checks}/register`, { Name: 'serfHealth', TTL: '1s' }))).toMatch(
      /^400 .*kept by the pool/,
    );
    expect(await refusal(put(`${checks}/pass/no`))).toBe(
      '404 Unknown check ID "no". Ensure that the check ID is passed, not the check name.',
    );
    await put(`${checks}/register`, { Name: 'tcp', TCP: '192.0.2.1:1', Interval: '1s' });
    expect(await refusal(put(`${checks}/pass/tcp`))).toBe('500 CheckID "tcp" does not have associated TTL');
    await put(`${checks}/register`, { Name: 'ttl', TTL: '1s' });
    expect(await refusal(put(`${checks}/update/ttl`, { Status: 'x' }))).toBe("400 Invalid check status: 'x'");
    expect(await refusal(put(`${checks}/register`, '{'))).toBe('400 Request decode failed: unexpected EOF');
    expect(await refusal(put(`${checks}/register`, 'x'))).toBe(
      "400 Request decode failed: invalid character 'x' looking for beginning of value",
    );
  });
  test('old clients say it with GET, pages in a browser do not', async () => {
    await put('/v1/agent/check/register', { Name: 'disk', TTL: '1m' });
    expect((await get('/v1/agent/check/pass/disk')).status).toBe(200);
    const fromPage = await new Promise<number>((resolve) => {
      request(
        url('/v1/agent/check/fail/disk'),
        { headers: { Origin: 'http://evil.example' } },
        (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        },
      ).end();
    });
    expect(fromPage).toBe(405);
    expect(await json(get('/v1/agent/checks'))).toMatchObject({ disk: { Status: 'passing' } });
  });
});

describe('catalog', () => {
  const ext = { Node: 'ext', Address: '192.0.2.9', NodeMeta: { rack: 'r1' } };
  test('what is written about another node is read back, filtered, and removed', async () => {
    const body = {
      ...ext,
      Service: { Service: 'db', Port: 5432, Tags: ['p'] },
      Check: { CheckID: 'c', Status: 'passing' },
    };
    expect(await json(put('/v1/catalog/register', body))).toBe(true);
    const answer = await get('/v1/catalog/service/db');
    expect(answer.headers.get('x-consul-effective-consistency')).toBe('leader');
    expect(await answer.json()).toMatchObject([
      { Node: 'ext', ServiceID: 'db', ServicePort: 5432, ServiceWeights: { Passing: 1, Warning: 1 } },
    ]);
    expect(await json(get('/v1/health/service/db?passing'))).toHaveLength(1);
    expect(
      await json(get(`/v1/health/service/db?filter=${encodeURIComponent('Node.Meta.rack == r2')}`)),
    ).toEqual([]);
    expect(await json(get('/v1/catalog/services?filter=NodeMeta.rack==r1'))).toEqual({ db: ['p'] });
    expect(await json(get('/v1/catalog/node/ext?filter=Service==x'))).toMatchObject({
      Node: { Node: 'ext' },
      Services: {},
    });
    expect(await json(get('/v1/catalog/node-services/ext'))).toMatchObject({ Services: [{ ID: 'db' }] });
    expect(await json(put('/v1/catalog/deregister', { Node: 'ext' }))).toBe(true);
    expect(await json(get('/v1/catalog/node/ext'))).toBeNull();
  });
  test('what is wrong is named and changes nothing', async () => {
    const before = fsm.stats().appliedIndex;
    const write = (body: object): Promise<string> => refusal(put('/v1/catalog/register', body));
    expect(await write({ Node: 'ext' })).toBe('500 Must provide address if SkipNodeUpdate is not set');
    expect(await write({ ...ext, Foo: 1 })).toBe('400 Request decode failed: json: unknown field "Foo"');
    expect(await write({ ...ext, Service: { ID: 'x' } })).toBe(
      '500 Must provide service name (Service.Service) when service ID is provided',
    );
    expect(await write({ ...ext, Service: { Service: 'x', Meta: { 'consul-a': '1' } } })).toMatch(
      /^500 Invalid Service Meta: .*reserved for internal use/,
    );
    expect(await write({ ...ext, Node: 'n'.repeat(256) })).toMatch(/^500 Invalid node name: it is too long/);
    expect(await write({ ...ext, ID: 'x' })).toMatch(/^500 Bad node ID/);
    expect(await refusal(put('/v1/catalog/deregister', {}))).toBe('500 Must provide node');
    expect(fsm.stats().appliedIndex).toBe(before);
  });
  test('a read that failed tells waiting clients to begin anew, a bad parameter does not', async () => {
    const failed = await get('/v1/catalog/nodes?dc=dc9');
    expect([
      failed.status,
      failed.headers.get('x-consul-index'),
      failed.headers.get('x-consul-knownleader'),
    ]).toEqual([500, '1', 'false']);
    for (const [query, text] of [
      ['index=x', 'Invalid index'],
      ['index=-1', 'Invalid index'],
      ['index=99999999999999999999', 'Invalid index'],
      ['wait=10', 'Invalid wait time'],
      ['max_stale=x', 'Invalid max_stale value "x"'],
    ] as const) {
      const answer = await get(`/v1/catalog/nodes?${query}`);
      expect([answer.status, await answer.text(), answer.headers.get('x-consul-index')]).toEqual([
        400,
        text,
        null,
      ]);
    }
    expect(await refusal(get('/v1/health/service/db?passing=maybe'))).toBe('400 Invalid value for ?passing');
    expect(await refusal(get('/v1/catalog/service/'))).toBe('400 Missing service name');
    expect(await refusal(get('/v1/health/state/'))).toBe('400 Missing check state');
  });
  test('an index from the future waits, and no longer than the client does', async () => {
    const answered = get('/v1/catalog/nodes?index=9007199254740991&wait=10s');
    while (fsm.stats().parked === 0) await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(11_000);
    expect((await answered).status).toBe(200);
  });
});

describe('the state as a file', () => {
  test('saved, changed, restored: what was saved is back, and its checks run', async () => {
    await register({ Name: 'web', Check: { TTL: '1m' } });
    const saved = Buffer.from(await (await get('/v1/snapshot')).arrayBuffer());
    await put('/v1/agent/service/deregister/web');
    const restored = await fetch(url('/v1/snapshot'), { method: 'PUT', body: saved });
    expect(restored.status).toBe(200);
    expect(await json(get('/v1/catalog/services'))).toEqual({ web: [] });
    expect((await put('/v1/agent/check/pass/service:web')).status).toBe(200);
  });
  test('one that is cut or no archive changes nothing', async () => {
    await register({ Name: 'web' });
    const saved = Buffer.from(await (await get('/v1/snapshot')).arrayBuffer());
    const before = fsm.stats().appliedIndex;
    for (const body of [saved.subarray(0, saved.length - 20), Buffer.from('garbage')])
      expect(await refusal(fetch(url('/v1/snapshot'), { method: 'PUT', body }))).toMatch(
        /^500 failed to decompress snapshot/,
      );
    expect(fsm.stats().appliedIndex).toBe(before);
  });
});

describe('access', () => {
  const rules = readRules({
    service: { web: { policy: 'write' }, db: { policy: 'read' } },
    node: { n1: { policy: 'read' } },
  });
  beforeEach(async () => {
    await server[Symbol.asyncDispose]();
    agent[Symbol.dispose]();
    await fsm[Symbol.asyncDispose]();
    await open(
      new Access({
        enabled: true,
        defaultPolicy: 'deny',
        tokens: [
          { secret: 'webs', accessor: 'webs', rules },
          { secret: 'boss', accessor: 'boss', rules: undefined },
        ],
        defaultSecret: undefined,
      }),
    );
    for (const Name of ['web', 'db', 'hidden'])
      expect(
        (
          await put(
            '/v1/agent/service/register',
            { Name, Check: { TTL: '1m' } },
            { 'X-Consul-Token': 'boss' },
          )
        ).status,
      ).toBe(200);
  });

  test('a token is taken from the query, from its header, or as a bearer', async () => {
    const names = async (path: string, headers?: Record<string, string>): Promise<string[]> =>
      Object.keys(await json(get(path, headers)));
    const services = '/v1/agent/services';
    expect(await names(`${services}?token=webs`)).toEqual(['db', 'web']);
    expect(await names(services, { 'X-Consul-Token': 'webs' })).toEqual(['db', 'web']);
    expect(await names(services, { Authorization: 'Bearer webs' })).toEqual(['db', 'web']);
    expect(await names(services)).toEqual([]);
    expect(await refusal(get(services, { 'X-Consul-Token': 'nobody' }))).toBe('403 ACL not found');
    expect((await get('/v1/catalog/services')).headers.get('x-consul-default-acl-policy')).toBe('deny');
  });
  test('each write needs the right to its own service or node', async () => {
    const webs = { 'X-Consul-Token': 'webs' };
    const status = async (path: string, body?: object): Promise<number> =>
      (await put(path, body, webs)).status;
    expect(await status('/v1/agent/service/register', { Name: 'web', Port: 1 })).toBe(200);
    expect(await refusal(put('/v1/agent/service/register', { Name: 'db' }, webs))).toBe(
      "403 Permission denied: token with AccessorID 'webs' lacks permission 'service:write' on \"db\"",
    );
    // Nor under the id of somebody else's service.
    expect(await status('/v1/agent/service/register', { Name: 'web', ID: 'db' })).toBe(403);
    expect(await status('/v1/agent/check/pass/service:web')).toBe(200);
    expect(await status('/v1/agent/check/pass/service:db')).toBe(403);
    expect(await status('/v1/agent/check/register', { Name: 'disk', TTL: '1m' })).toBe(403);
    expect(await status('/v1/agent/check/register', { Name: 'more', TTL: '1m', ServiceID: 'web' })).toBe(200);
    expect(await status('/v1/agent/service/deregister/hidden')).toBe(403);
    expect(await status('/v1/agent/maintenance?enable=true')).toBe(403);
    expect(await status('/v1/agent/service/maintenance/web?enable=true')).toBe(200);
    expect(await status('/v1/catalog/register', { Node: 'ext', Address: '192.0.2.9' })).toBe(403);
    expect(await status('/v1/catalog/deregister', { Node: 'n1' })).toBe(403);
    expect(await status('/v1/snapshot')).toBe(403);
    expect((await get('/v1/snapshot', webs)).status).toBe(403);
    expect((await get('/v1/snapshot', { 'X-Consul-Token': 'boss' })).status).toBe(200);
  });
  test('reads show what the token may read', async () => {
    const webs = { 'X-Consul-Token': 'webs' };
    expect(await json(get('/v1/catalog/services', webs))).toEqual({ db: [], web: [] });
    expect(await json(get('/v1/health/service/hidden', webs))).toEqual([]);
    expect(await json(get('/v1/health/service/db', webs))).toHaveLength(1);
    expect(Object.keys(await json(get('/v1/agent/checks', webs)))).toEqual(['service:db', 'service:web']);
    expect((await get('/v1/agent/health/service/name/hidden', webs)).status).toBe(403);
    expect(await json(get('/v1/catalog/nodes'))).toEqual([]);
  });
});

describe('the wire', () => {
  test('OPTIONS tells the verbs, HEAD answers without a body', async () => {
    const options = await fetch(url('/v1/agent/services'), { method: 'OPTIONS' });
    expect([options.status, options.headers.get('allow')]).toEqual([200, 'OPTIONS,GET']);
    const head = await fetch(url('/v1/agent/services'), { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
  });
  test('a large answer is compressed for who can take it', async () => {
    for (let n = 0; n < 20; n++) await register({ Name: `service-${n}`, Tags: ['a-long-tag-that-repeats'] });
    const raw = (accept: string): Promise<{ encoding: string | undefined; body: Buffer }> =>
      new Promise((resolve, reject) => {
        request(url('/v1/agent/services'), { headers: { 'Accept-Encoding': accept } }, (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () =>
            resolve({ encoding: response.headers['content-encoding'], body: Buffer.concat(chunks) }),
          );
        })
          .on('error', reject)
          .end();
      });
    const [plain, packed, refused] = await Promise.all([
      raw('identity'),
      raw('deflate, gzip'),
      raw('gzip;q=0'),
    ]);
    expect([plain.encoding, packed.encoding, refused.encoding]).toEqual([undefined, 'gzip', undefined]);
    expect(packed.body.length).toBeLessThan(plain.body.length / 3);
    expect(gunzipSync(packed.body).equals(plain.body)).toBe(true);
  });
  test('a unix socket serves like a port, and one left behind is replaced', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'fed-http-'));
    const path = join(folder, 'http.sock');
    const serve = createApi({ routes: [{ method: 'GET', path: '/v1/x', handle: () => ({ text: 'here' }) }] });
    for (const _ of ['fresh', 'again']) {
      await using _server = await listen({ bind: { path }, serve });
      const said = await new Promise<string>((resolve, reject) => {
        const socket = connect(path, () => socket.write('GET /v1/x HTTP/1.0\r\n\r\n'));
        let text = '';
        socket.on('data', (chunk) => {
          text += chunk.toString();
        });
        socket.on('end', () => resolve(text));
        socket.on('error', reject);
      });
      expect(said).toMatch(/^HTTP\/1\.1 200 OK.*here$/s);
    }
    rmSync(folder, { recursive: true });
  });
  test('a path that cannot be decoded is not found', async () => {
    expect((await get('/v1/agent/service/%zz')).status).toBe(404);
  });
});
