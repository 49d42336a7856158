/** Whatever state a connection is in, a reset ends it, and the other end hears of it. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { reset } from './reset.ts';

const opened: (() => void)[] = [];
afterEach(() => {
  for (const close of opened.splice(0)) close();
});

/** Two ends of one connection; nothing is read at the far one before `resume()`. */
async function pair(): Promise<{ near: Socket; far: Socket; fate: Promise<string> }> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const near = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  const [[far]] = (await Promise.all([once(server, 'connection'), once(near, 'connect')])) as [[Socket], []];
  server.close();
  opened.push(
    () => near.destroy(),
    () => far.destroy(),
  );
  const fate = new Promise<string>((resolve) => {
    far.once('error', (e: Error & { code?: string }) => resolve(e.code ?? e.message));
    far.once('close', () => resolve('closed in order'));
    // Who has read an end reads no more; such a one finds out when it writes.
    far.once('end', () => far.write('are you there?'));
  });
  return { near, far, fate };
}

/** More than the kernel takes for a peer that does not read. */
const tooMuch = Buffer.alloc(64 * 1024 * 1024);

test.each<[string, (near: Socket) => void]>([
  ['nothing was ever written', () => {}],
  ['its end has just been written', (near) => near.end()],
  ['it is ending, with a peer that takes nothing', (near) => near.end(tooMuch)],
  ['a peer takes nothing', (near) => near.write(tooMuch)],
])('%s: closed, and the other end sees a reset', async (_state, prepare) => {
  const { near, far, fate } = await pair();
  prepare(near);
  const closed = once(near, 'close');
  reset(near);
  await closed;
  far.resume();
  expect(await fate).toMatch(/^(ECONNRESET|EPIPE)$/);
});

test('its end has arrived: reset all the same', async () => {
  const { near, far, fate } = await pair();
  near.end();
  await once(near, 'finish');
  reset(near);
  await once(near, 'close');
  far.resume();
  expect(await fate).toMatch(/^(ECONNRESET|EPIPE)$/);
});

test('twice, or of what is closed already: nothing', async () => {
  const { near } = await pair();
  near.end();
  reset(near);
  reset(near);
  await once(near, 'close');
  reset(near);
});
