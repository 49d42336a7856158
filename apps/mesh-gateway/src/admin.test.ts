import { expect, test } from 'vitest';
import { openAdmin } from './admin.ts';

const any = { host: '127.0.0.1', port: 0 };

test('admin: metrics, readiness, connections; nothing else, and nothing but reading', async () => {
  let ready = false;
  await using admin = await openAdmin(any, {
    metrics: () => 'envoy_server_live 1\n',
    ready: () => ready,
    connections: () => [{ id: 1 }],
  });
  const url = `http://127.0.0.1:${admin.address.port}`;
  const get = async (path: string, method = 'GET'): Promise<[number, string]> => {
    const response = await fetch(url + path, { method });
    return [response.status, await response.text()];
  };
  expect(await get('/metrics')).toEqual([200, 'envoy_server_live 1\n']);
  expect(await get('/ready')).toEqual([503, 'NOT READY\n']);
  ready = true;
  expect(await get('/ready?x=1')).toEqual([200, 'LIVE\n']);
  expect(await get('/connections')).toEqual([200, '[{"id":1}]']);
  expect((await get('/'))[0]).toBe(404);
  expect((await get('/ready', 'POST'))[0]).toBe(405);
});

test('admin: an address in use is refused by the name of the flag', async () => {
  const views = { metrics: () => '', ready: () => true, connections: () => [] };
  await using admin = await openAdmin(any, views);
  await expect(openAdmin(admin.address, views)).rejects.toMatchObject({
    code: 'bind_failed',
    message: expect.stringContaining('--admin-bind'),
  });
});
