import { PassThrough } from 'node:stream';
import { DialError, type DialLesson } from '@fed/alpn-mux';
import type { Probe } from '@fed/gateway-locator';
import { settled, VirtualClock } from '@fed/tooling/virtual-clock';
import { expect, test } from 'vitest';
import { openProbing } from './probing.ts';

const gateway = { host: '192.0.2.1', port: 8443 };

test('probing: what is worth it is dialled by the name of any server, and what it taught is told', async () => {
  await using w = world();
  w.wanted = [{ gateway, datacenter: 'dc1' }];
  await w.clock.advance(1_500);
  expect(w.dialled).toEqual(['192.0.2.1 server.dc1.consul']);
  expect(w.lessons).toMatchObject([{ gateway, datacenter: 'dc1', alpn: 'consul/rpc-multi', ok: true }]);
  expect(w.sockets[0]?.writableEnded).toBe(true);
  w.fails = 'connect_refused';
  w.wanted = [{ gateway, datacenter: 'dc1' }];
  await w.clock.advance(3_000);
  expect(w.lessons[1]).toMatchObject({ ok: false, code: 'connect_refused' });
});

test('probing: nothing is worth it: nothing is dialled, for ever', async () => {
  await using w = world();
  await w.clock.advance(60_000);
  expect(w.dialled).toEqual([]);
});

test('probing: closing ends what is under way, and that teaches nothing', async () => {
  const w = world();
  w.hangs = true;
  w.wanted = [{ gateway, datacenter: 'dc1' }];
  await w.clock.advance(1_500);
  expect(w.dialled).toHaveLength(1);
  await w[Symbol.asyncDispose]();
  expect(w.lessons).toEqual([]);
});

function world() {
  const clock = new VirtualClock();
  const w = {
    clock,
    wanted: [] as Probe[],
    dialled: [] as string[],
    lessons: [] as DialLesson[],
    sockets: [] as PassThrough[],
    fails: undefined as DialError['code'] | undefined,
    hangs: false,
    async [Symbol.asyncDispose]() {
      await Promise.all([probing[Symbol.asyncDispose](), settled()]);
    },
  };
  const probing = openProbing({
    locator: { toProbe: () => w.wanted.splice(0) },
    tls: undefined as never, // handed on to the dial, which is ours here
    domain: 'consul',
    learned: (lesson) => w.lessons.push(lesson),
    clock,
    rng: { below: () => 0 },
    dialAlpn: async ({ via, sni, signal }) => {
      w.dialled.push(`${via.host} ${sni}`);
      if (w.hangs)
        await new Promise<never>((_, reject) =>
          signal?.addEventListener('abort', () => reject(new DialError('aborted', { via }, 'given up'))),
        );
      if (w.fails) throw new DialError(w.fails, { via }, 'no');
      const socket = new PassThrough();
      w.sockets.push(socket);
      return socket;
    },
  });
  return w;
}
