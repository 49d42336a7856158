import { afterEach, describe, expect, test } from 'vitest';
import { UnansweredError } from '../abroad.ts';
import { FailedRead, HttpError, type HttpRoute, type HttpServer, openHttp, queryOptions } from './server.ts';

let server: HttpServer | undefined;
afterEach(async () => {
  await server?.[Symbol.asyncDispose]();
  server = undefined;
});

async function open(...routes: HttpRoute[]): Promise<string> {
  server = await openHttp({ bind: { host: '127.0.0.1', port: 0 }, routes });
  return `http://127.0.0.1:${server.address.port}`;
}

const echo: HttpRoute = {
  method: 'GET',
  path: '/v1/echo/:name',
  handle: (r) => ({ json: { name: r.params['name'] } }),
};

test('http: a path parameter arrives decoded', async () => {
  const url = await open(echo);
  expect(await (await fetch(`${url}/v1/echo/a%20b`)).json()).toEqual({ name: 'a b' });
});

test('http: ?pretty indents by four', async () => {
  const url = await open(echo);
  expect(await (await fetch(`${url}/v1/echo/a?pretty`)).text()).toBe('{\n    "name": "a"\n}\n');
});

test('http: the wrong verb is told which ones are right', async () => {
  const url = await open(echo, { method: 'PUT', path: '/v1/echo/:name', handle: () => ({ text: '' }) });
  const response = await fetch(`${url}/v1/echo/a`, { method: 'DELETE' });
  expect(response.status).toBe(405);
  expect(response.headers.get('allow')?.split(',').sort()).toEqual(['GET', 'OPTIONS', 'PUT']);
});

test('http: an unknown path is 404', async () => {
  expect((await fetch(`${await open(echo)}/v1/nothing`)).status).toBe(404);
});

test('http: meta becomes headers', async () => {
  const url = await open({
    method: 'GET',
    path: '/v1/x',
    handle: () => ({ json: [], meta: { index: 7, knownLeader: true, lastContactMs: 0 } }),
  });
  const { headers } = await fetch(`${url}/v1/x`);
  expect(headers.get('x-consul-index')).toBe('7');
  expect(headers.get('x-consul-knownleader')).toBe('true');
  expect(headers.get('x-consul-lastcontact')).toBe('0');
});

test('http: a question another datacenter left unanswered: the original’s text, the hop in a header, and facts for who accepts them', async () => {
  const url = await open({
    method: 'GET',
    path: '/v1/x',
    handle: () => {
      const attempts = [{ gateway: { host: '10.0.0.2', port: 8443 }, code: 'connect_refused' }];
      throw new FailedRead('read', {
        cause: new UnansweredError(
          { datacenter: 'dc2', hop: 'local_gateway', attempts },
          'rpc error: nobody (local_gateway: …)',
        ),
      });
    },
  });
  const plain = await fetch(`${url}/v1/x`);
  expect([plain.status, await plain.text()]).toEqual([500, 'rpc error: nobody (local_gateway: …)']);
  expect(plain.headers.get('x-fed-hop')).toBe('local_gateway');
  const problem = await fetch(`${url}/v1/x`, { headers: { accept: 'application/problem+json' } });
  expect(problem.headers.get('content-type')).toBe('application/problem+json');
  expect(await problem.json()).toEqual({
    type: 'about:blank',
    title: 'Internal Server Error',
    status: 500,
    detail: 'rpc error: nobody (local_gateway: …)',
    datacenter: 'dc2',
    hop: 'local_gateway',
    attempts: [{ gateway: '10.0.0.2:8443', code: 'connect_refused' }],
  });
});

test('http: HEAD answers with the headers alone', async () => {
  const response = await fetch(`${await open(echo)}/v1/echo/a`, { method: 'HEAD' });
  expect(response.status).toBe(200);
  expect(await response.text()).toBe('');
});

describe('http: bodies', () => {
  const put: HttpRoute = {
    method: 'PUT',
    path: '/v1/put',
    handle: async (r) => ({ json: (await r.json()) ?? 'empty' }),
  };
  const send = async (body: string): Promise<Response> =>
    fetch(`${await open(put)}/v1/put`, { method: 'PUT', body });

  test('malformed JSON is 400', async () => expect((await send('{')).status).toBe(400));
  test('an empty body is nothing', async () => expect(await (await send('')).json()).toBe('empty'));
  test('more than the limit is 413', async () =>
    expect((await send(`"${'x'.repeat(1024 * 1024)}"`)).status).toBe(413));
});

test('http: an error of the original’s is passed on as 500 text, a denied permission as 403', async () => {
  const url = await open(
    { method: 'GET', path: '/v1/a', handle: () => Promise.reject(new Error('No path to datacenter')) },
    {
      method: 'GET',
      path: '/v1/b',
      handle: () => Promise.reject(new Error('rpc error making call: Permission denied')),
    },
    { method: 'GET', path: '/v1/c', handle: () => Promise.reject(new HttpError(400, 'Invalid index')) },
  );
  const answers = await Promise.all(['a', 'b', 'c'].map((p) => fetch(`${url}/v1/${p}`)));
  expect(answers.map((r) => r.status)).toEqual([500, 403, 400]);
  expect(await answers[0]?.text()).toBe('No path to datacenter');
});

test('http: a client that goes away aborts its request', async () => {
  const gone = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const url = await open({
    method: 'GET',
    path: '/v1/wait',
    handle: async (r) => {
      begun.resolve();
      await new Promise<void>((resolve) => r.signal.addEventListener('abort', () => resolve()));
      gone.resolve();
      return { text: '' };
    },
  });
  const client = new AbortController();
  const asked = fetch(`${url}/v1/wait`, { signal: client.signal }).catch(() => undefined);
  await begun.promise;
  client.abort();
  await gone.promise;
  await asked;
});

test('http: who has had his whole answer has not gone away', async () => {
  const signals: AbortSignal[] = [];
  const url = await open({
    method: 'GET',
    path: '/v1/x',
    handle: (r) => {
      signals.push(r.signal);
      return { text: 'x' };
    },
  });
  // By the second answer the first response is closed, whatever became of its connection.
  for (let n = 0; n < 2; n++) await (await fetch(`${url}/v1/x`)).text();
  expect(signals.map((signal) => signal.aborted)).toEqual([false, false]);
});

describe('http: query options', () => {
  const options = (query: string) => () => queryOptions(new URLSearchParams(query));
  test('index and wait', () =>
    expect(options('index=5&wait=10s')()).toMatchObject({ minIndex: 5, waitMs: 10_000 }));
  test('none of them', () =>
    expect(options('index=&wait=&max_stale=&passing')()).toEqual({
      ...{ minIndex: 0, waitMs: 0, maxStaleMs: 0 },
      ...{ stale: false, consistent: false, consistency: 'leader' },
    }));
  test('a bad index', () => expect(options('index=x')).toThrow('Invalid index'));
  test('a bad wait', () => expect(options('wait=10')).toThrow('Invalid wait time'));
  test('stale and consistent together', () =>
    expect(options('stale&consistent')).toThrow(/conflicting semantics/));
});
