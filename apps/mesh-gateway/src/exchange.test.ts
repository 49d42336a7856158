import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, expect, test } from 'vitest';
import { exchange } from './exchange.ts';

let server: Server;
afterEach(() => {
  server.closeAllConnections();
  server.close();
});
async function served(answer: RequestListener): Promise<string> {
  server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}
const never = new AbortController().signal;

test('exchange: method, headers and body go out; status and text come back; the connection is not kept', async () => {
  const url = await served((q, r) => {
    void text(q).then((body) => {
      r.statusCode = 418;
      r.end(`${q.method} ${q.headers['x-a']} ${body} ${q.headers.connection}`);
    });
  });
  expect(await exchange(url, { method: 'PUT', headers: { 'x-a': 'b' }, body: 'ü', signal: never })).toEqual({
    status: 418,
    text: 'PUT b ü close',
  });
});

test('exchange: given up before, while waiting, and in the middle of an answer, it rejects with the reason', async () => {
  const reason = new Error('enough');
  const arrived = Promise.withResolvers<void>();
  const url = await served((q, r) => {
    if (q.url === '/half') r.write('half');
    arrived.resolve();
  });
  await expect(exchange(url, { method: 'GET', signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  for (const path of ['silent', 'half']) {
    const patience = new AbortController();
    const waiting = exchange(url + path, { method: 'GET', signal: patience.signal });
    await arrived.promise;
    patience.abort(reason);
    await expect(waiting).rejects.toBe(reason);
  }
});

test('exchange: an answer cut short, or longer than we hold, is no answer', async () => {
  const url = await served((q, r) => {
    if (q.url === '/short') {
      r.setHeader('content-length', '10');
      r.write('12345', () => r.destroy());
    } else {
      const pour = (): void => {
        while (!r.destroyed && r.write('x'.repeat(65_536)));
        r.once('drain', pour);
      };
      pour();
    }
  });
  await expect(exchange(`${url}short`, { method: 'GET', signal: never })).rejects.toThrow('aborted');
  await expect(exchange(`${url}long`, { method: 'GET', signal: never })).rejects.toThrow('more than');
});
