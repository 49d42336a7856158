/** What a call does on a session that a network has forgotten without a word. */
import { type Duplex, duplexPair } from 'node:stream';
import type { Value } from '@fed/msgpack';
import { SteppedClock } from '@fed/tooling/virtual-clock';
import { expect, test } from 'vitest';
import { openRpcPool } from './pool.ts';
import type { RpcTarget } from './ports.ts';
import { RpcRegistry } from './registry.ts';
import { serveMulti } from './server.ts';

const target: RpcTarget = { datacenter: 'dc2', node: 'n1', address: { host: '10.0.0.1', port: 8300 } };
const longMs = 20_000; // silence after which a call doubts, and in which nobody asks

/** A connection whose bytes do not arrive while it is held; `release` lets them. */
class Wire {
  held = false;
  readonly ours: Duplex;
  readonly theirs: Duplex;
  readonly #waiting: (() => void)[] = [];

  constructor() {
    const [ours, near] = duplexPair();
    const [far, theirs] = duplexPair();
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const)
      from.on('data', (bytes: Buffer) => {
        const pass = (): boolean => to.write(bytes);
        if (this.held) this.#waiting.push(pass);
        else pass();
      });
    this.ours = ours;
    this.theirs = theirs;
  }

  release(): void {
    this.held = false;
    for (const pass of this.#waiting.splice(0)) pass();
  }
}

function world() {
  const clock = new SteppedClock();
  const wires: Wire[] = [];
  const registry = new RpcRegistry();
  const block = Promise.withResolvers<Value>();
  registry.register({ 'Test.Echo': (args) => args, 'Test.Block': () => block.promise });
  let dialInstead: (() => Promise<Duplex>) | undefined;
  const connect = (): Duplex => {
    const wire = new Wire();
    wires.push(wire);
    serveMulti(wire.theirs, registry, { clock });
    return wire.ours;
  };
  const pool = openRpcPool({
    dial: async () => (dialInstead ?? (async () => connect()))(),
    clock,
    yamux: { keepaliveMs: 2_000, pingTimeoutMs: 2_500 },
  });
  const call = (): Promise<unknown> => pool.call(target, 'Test.Echo', 'x', { timeoutMs: 10_000 });
  return {
    ...{ clock, wires, pool, call, connect, block },
    dialBy: (dial: () => Promise<Duplex>): void => {
      dialInstead = dial;
    },
    /** One answered call, and a long rest. */
    rested: async (): Promise<void> => {
      await call();
      clock.advance(longMs);
      await settled();
    },
    later: async (ms: number): Promise<void> => {
      await settled();
      clock.advance(ms);
      await settled();
    },
  };
}

async function settled(): Promise<void> {
  for (let n = 0; n < 30; n += 1) await new Promise((resolve) => setImmediate(resolve));
}

test('after half a second another is dialled; who waits is told, who comes is answered', async () => {
  const { wires, pool, call, rested, later } = world();
  await using _pool = pool;
  await rested();
  (wires[0] as Wire).held = true;
  const lost = expect(call()).rejects.toMatchObject({ code: 'session_lost', message: /it fell silent/ });
  await later(499);
  expect(wires).toHaveLength(1);
  await later(1);
  expect(wires).toHaveLength(2);
  await lost;
  expect(await call()).toBe('x');
  expect(pool.stats().sessions).toHaveLength(1);
});

test('a session that answers in time is kept', async () => {
  const { wires, pool, call, rested, later } = world();
  await using _pool = pool;
  await rested();
  (wires[0] as Wire).held = true;
  const answer = call();
  await later(400);
  wires[0]?.release();
  await later(100);
  expect(await answer).toBe('x');
  expect(wires).toHaveLength(1);
});

test('a session whose dial took longer is given as long', async () => {
  const { clock, wires, pool, call, connect, rested, later, dialBy } = world();
  await using _pool = pool;
  dialBy(async () => {
    const dialled = Promise.withResolvers<Duplex>();
    clock.at(clock.now() + 800, () => dialled.resolve(connect()));
    return dialled.promise;
  });
  const begun = rested();
  await later(800);
  await begun;
  (wires[0] as Wire).held = true;
  const answer = call();
  await later(799);
  expect(pool.stats().dialling).toBe(0);
  wires[0]?.release();
  await later(1);
  expect(await answer).toBe('x');
  expect(wires).toHaveLength(1);
});

test('one that answers before the other is there ends its calls, and takes no more', async () => {
  const { wires, pool, call, connect, rested, later, dialBy } = world();
  await using _pool = pool;
  await rested();
  const dialled = Promise.withResolvers<Duplex>();
  dialBy(() => dialled.promise);
  (wires[0] as Wire).held = true;
  const answer = call();
  await later(500);
  wires[0]?.release();
  expect(await answer).toBe('x');
  const next = call();
  dialled.resolve(connect());
  expect(await next).toBe('x');
  await settled();
  expect(pool.stats().sessions).toHaveLength(1);
});

test('where no other can be made, it has the time that any session has', async () => {
  const { clock, wires, pool, call, rested, later, dialBy } = world();
  await using _pool = pool;
  await rested();
  dialBy(async () => {
    throw new Error('connect ECONNREFUSED');
  });
  (wires[0] as Wire).held = true;
  const before = clock.now();
  const lost = call().then(
    () => 'answered',
    (error: unknown) => ({ error, tookMs: clock.now() - before }),
  );
  for (let n = 0; n < 30; n += 1) await later(100);
  expect(await lost).toMatchObject({ error: { code: 'session_lost' }, tookMs: 2_500 });
});

test('among other calls it is asked after a quarter of a second first', async () => {
  const { wires, pool, call, later } = world();
  await using _pool = pool;
  await call();
  await later(250);
  const waiting = call();
  (wires[0] as Wire).held = true;
  const lost = expect(Promise.all([waiting, call()])).rejects.toMatchObject({ code: 'session_lost' });
  await later(250);
  await later(499);
  expect(wires).toHaveLength(1);
  await later(1);
  expect(wires).toHaveLength(2);
  await lost;
});

test('a call that is answered late is no reason for another, as long as there are signs of life', async () => {
  const { clock, wires, pool, block, later } = world();
  await using _pool = pool;
  const late = pool.call(target, 'Test.Block', null, { timeoutMs: 600_000 });
  for (let n = 0; n < 50; n += 1) await later(100);
  block.resolve('late');
  expect(await late).toBe('late');
  expect(wires).toHaveLength(1);
  expect(clock.now()).toBe(5_000);
});

test('however many calls there are, one timer listens', async () => {
  const { clock, pool, call, later } = world();
  await using _pool = pool;
  for (let n = 0; n < 2; n += 1) await call();
  const before = clock.armed;
  for (let n = 0; n < 100; n += 1) await call();
  expect(clock.armed).toBe(before);
  await later(250); // nobody waits any more
  expect(clock.armed).toBe(before - 1);
});
