import type { Duplex } from 'node:stream';
import { alpn, DialError, type GatewayDialer, UnreachableError } from '@fed/alpn-mux';
import { settled, VirtualClock } from '@fed/tooling/virtual-clock';
import { expect, test } from 'vitest';
import { dialAbroad } from './dial-abroad.ts';

test('dial abroad: news of a route starts over the dials to that datacenter, and no others', async () => {
  const w = world();
  const dc1 = w.dial('dc1');
  const dc2 = w.dial('dc2');
  w.changed('dc1');
  expect(w.begun()).toEqual(['dc1', 'dc2', 'dc1']);
  expect(w.abandoned()).toEqual([0]);
  w.arrive(1);
  w.arrive(2);
  expect(await dc1).toBe(w.sockets[2]);
  expect(await dc2).toBe(w.sockets[1]);
});

test('dial abroad: a walk that takes long gets company, and the first to arrive ends the others', async () => {
  const w = world();
  const dc1 = w.dial('dc1');
  await w.clock.advance(1_249);
  expect(w.begun()).toHaveLength(1);
  await w.clock.advance(1);
  expect(w.begun()).toHaveLength(2);
  w.arrive(1);
  expect(await dc1).toBe(w.sockets[1]);
  expect(w.abandoned()).toEqual([0]);
  expect(w.clock.armed).toBe(0);
});

test('dial abroad: no more than two walks at once', async () => {
  const w = world();
  const dc1 = w.dial('dc1');
  await w.clock.advance(60_000);
  expect(w.begun()).toHaveLength(2);
  w.arrive(0);
  expect(await dc1).toBe(w.sockets[0]);
});

test('dial abroad: it fails when the walk does that began first, which has used up the budget', async () => {
  const w = world();
  const dc1 = w.dial('dc1');
  await w.clock.advance(1_250);
  w.fail(1, new Error('refused'));
  await settled();
  w.fail(0, new Error('no gateway led there'));
  await expect(dc1).rejects.toThrow('no gateway led there');
  w.changed('dc1');
  expect(w.begun()).toHaveLength(2);
  expect(w.clock.armed).toBe(0);
});

test('dial abroad: a connection that arrives after another one has won is closed', async () => {
  const w = world({ heedsSignal: false });
  const dc1 = w.dial('dc1');
  await w.clock.advance(1_250);
  w.arrive(1);
  await dc1;
  w.arrive(0);
  await settled();
  expect(w.sockets.map(({ destroyed }) => destroyed)).toEqual([true, false, false, false]);
});

test('dial abroad: who gives up is not made to start over', async () => {
  const w = world();
  const caller = new AbortController();
  const dc1 = w.dial('dc1', caller.signal);
  caller.abort();
  await expect(dc1).rejects.toMatchObject({ code: 'aborted' });
  w.changed('dc1');
  expect(w.begun()).toHaveLength(1);
});

test('dial abroad: the third start over is the last, whatever the news', async () => {
  const w = world();
  const dc1 = w.dial('dc1');
  for (let news = 0; news < 5; news++) w.changed('dc1');
  expect(w.begun()).toHaveLength(4);
  w.arrive(3);
  expect(await dc1).toBe(w.sockets[3]);
});

test('dial abroad: that no gateway led there is told once a dial; that somebody gave up is not', async () => {
  const w = world();
  const dc1 = w.dial('dc1');
  await w.clock.advance(1_250);
  w.fail(1, new UnreachableError('dc1', []));
  w.fail(0, new UnreachableError('dc1', []));
  await expect(dc1).rejects.toThrow(UnreachableError);
  expect(w.unreached).toEqual(['dc1']);
  const caller = new AbortController();
  const dc2 = w.dial('dc2', caller.signal);
  caller.abort();
  await expect(dc2).rejects.toMatchObject({ code: 'aborted' });
  expect(w.unreached).toEqual(['dc1']);
});

// ---- fixtures ----

function world(o = { heedsSignal: true }) {
  const clock = new VirtualClock();
  const walks: {
    readonly datacenter: string;
    readonly signal: AbortSignal | undefined;
    readonly resolve: (socket: Duplex) => void;
    readonly reject: (error: Error) => void;
  }[] = [];
  const sockets = Array.from({ length: 4 }, () => new SomeSocket());
  const listeners: ((datacenters: readonly string[]) => void)[] = [];
  const inner: GatewayDialer = {
    dial: ({ datacenter, signal }) =>
      new Promise((resolve, reject) => {
        walks.push({ datacenter, signal, resolve, reject });
        const via = { host: '10.0.0.2', port: 8443 };
        if (o.heedsSignal)
          signal?.addEventListener('abort', () => reject(new DialError('aborted', { via }, 'given up')));
      }),
  };
  const onRoutes = (listener: (datacenters: readonly string[]) => void): Disposable => {
    listeners.push(listener);
    return { [Symbol.dispose]() {} };
  };
  const told: string[] = [];
  const unreached = (datacenter: string): void => void told.push(datacenter);
  const dialer = dialAbroad({ dialer: inner, locator: { onRoutes }, unreached, clock });
  return {
    clock,
    sockets,
    unreached: told as readonly string[],
    dial: (datacenter: string, signal?: AbortSignal) =>
      dialer.dial({ datacenter, alpn: alpn.rpcMulti, ...(signal && { signal }) }),
    begun: () => walks.map(({ datacenter }) => datacenter),
    abandoned: () => walks.flatMap(({ signal }, at) => (signal?.aborted === true ? [at] : [])),
    changed: (datacenter: string) => {
      for (const listener of listeners) listener([datacenter]);
    },
    arrive: (at: number) => walks[at]?.resolve(sockets[at] as unknown as Duplex),
    fail: (at: number, error: Error) => walks[at]?.reject(error),
  };
}

class SomeSocket {
  destroyed = false;
  destroy(): void {
    this.destroyed = true;
  }
}
