import { expect, test } from 'vitest';
import { Router } from './router.ts';
import { type HealthRound, openRouterHealth } from './router-health.ts';
import type { ServerMember } from './tags.ts';

class ManualClock {
  #now = 0;
  readonly #timers = new Set<{ readonly when: number; readonly wake: () => void }>();
  now(): number {
    return this.#now;
  }
  at(when: number, wake: () => void): Disposable {
    const timer = { when, wake };
    this.#timers.add(timer);
    return { [Symbol.dispose]: () => void this.#timers.delete(timer) };
  }
  advance(ms: number): void {
    this.#now += ms;
    for (const timer of [...this.#timers])
      if (timer.when <= this.#now && this.#timers.delete(timer)) timer.wake();
  }
}

const member = (name: string, datacenter: string): ServerMember => ({
  name,
  datacenter,
  id: '',
  host: '10.0.0.1',
  port: 8300,
  tls: true,
  federationStates: true,
  build: '1.0.0',
  alone: false,
});

function setUp(o: { answers: (name: string) => boolean; below?: (n: number) => number }) {
  const rng = { below: o.below ?? ((n: number) => n - 1) }; // a shuffle that leaves the order as it is
  const router = new Router(rng);
  const clock = new ManualClock();
  const pinged: string[] = [];
  const rounds: HealthRound[] = [];
  let heard: (() => void) | undefined;
  const health = openRouterHealth({
    datacenter: 'dc1',
    router,
    clock,
    rng,
    ping: ({ node, datacenter }) => {
      pinged.push(`${node}.${datacenter}`);
      return o.answers(node) ? Promise.resolve({}) : Promise.reject(new Error('silent'));
    },
    onRound: (round) => {
      rounds.push(round);
      heard?.();
    },
  });
  const nextRound = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      heard = resolve;
      clock.advance(ms);
    });
  return { router, clock, pinged, rounds, health, nextRound };
}

/** Lets everything that is ready to run, run. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 16; turn += 1) await Promise.resolve();
}

test('health: nobody is asked for two minutes, then the first of each other datacenter', async () => {
  const { router, clock, pinged, rounds, health, nextRound } = setUp({ answers: () => true });
  await using _health = health;
  router.seen(member('a', 'dc1'), true);
  router.seen(member('b', 'dc2'), true);
  router.seen(member('c', 'dc2'), true);
  clock.advance(119_999);
  expect(pinged).toEqual([]);
  await nextRound(1);
  expect(pinged).toEqual(['b.dc2']);
  expect(rounds).toEqual([{ datacenter: 'dc2', answered: 'b', silent: [] }]);
});

test('health: one who is silent goes behind one who answers', async () => {
  const { router, rounds, health, nextRound } = setUp({ answers: (name) => name === 'c' });
  await using _health = health;
  for (const name of ['a', 'b', 'c']) router.seen(member(name, 'dc2'), true);
  await nextRound(120_000);
  expect(router.servers('dc2').map(({ name }) => name)).toEqual(['c', 'a', 'b']);
  expect(rounds[0]?.silent.map(({ name }) => name)).toEqual(['a', 'b']);
});

test('health: when nobody answers, that is told, and the next round asks again', async () => {
  const { router, pinged, rounds, health, nextRound } = setUp({ answers: () => false });
  await using _health = health;
  router.seen(member('a', 'dc2'), true);
  await nextRound(120_000);
  await settle();
  expect(rounds[0]).toMatchObject({ answered: undefined });
  await nextRound(180_000);
  expect(pinged).toEqual(['a.dc2', 'a.dc2']);
  expect(router.route('dc2').kind).toBe('server');
});

test('health: whom gossip calls failed is asked last', async () => {
  const { router, pinged, health, nextRound } = setUp({ answers: () => true });
  await using _health = health;
  router.seen(member('a', 'dc2'), false);
  router.seen(member('b', 'dc2'), true);
  await nextRound(120_000);
  expect(pinged).toEqual(['b.dc2']);
});

test('health: load moves, because each round starts from a new order', async () => {
  const { router, pinged, health, nextRound } = setUp({ answers: () => true, below: () => 0 });
  await using _health = health;
  for (const name of ['a', 'b', 'c']) router.seen(member(name, 'dc2'), true);
  const first = router.servers('dc2')[0]?.name;
  await nextRound(120_000);
  expect(router.servers('dc2')[0]?.name).not.toBe(first);
  expect(pinged).toEqual([`${router.servers('dc2')[0]?.name}.dc2`]);
});

test('health: after the end nobody is asked', async () => {
  const { router, clock, pinged, health } = setUp({ answers: () => true });
  router.seen(member('a', 'dc2'), true);
  await health[Symbol.asyncDispose]();
  clock.advance(1_000_000);
  expect(pinged).toEqual([]);
});
