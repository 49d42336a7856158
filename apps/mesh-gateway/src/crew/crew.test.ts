/** A crew of workers that exist only as what they are told and what they say. */

import { SteppedClock } from '@fed/tooling/virtual-clock';
import { expect, test } from 'vitest';
import { cluster } from '../../test/golden.ts';
import { Counters } from '../relay/counters.ts';
import type { RelayConfig } from '../relay/ports.ts';
import { Crew, type CrewEvent } from './crew.ts';
import type { Answers, FromWorker, Question, ToWorker } from './messages.ts';

const host = '127.0.0.1';

class Hand {
  readonly told: ToWorker[] = [];
  readonly index: number;
  /** What it answers; absent: nothing, ever. */
  answers: Partial<Answers> = {};
  killed = false;
  #say: (message: FromWorker) => void = () => {};
  #end: (how: string) => void = () => {};
  readonly link = {
    send: (message: ToWorker) => {
      this.told.push(message);
      if (message.kind === 'ask') this.#answer(message.id, message.question);
    },
    onMessage: (hear: (message: FromWorker) => void) => {
      this.#say = hear;
    },
    ended: new Promise<string>((resolve) => {
      this.#end = resolve;
    }),
    kill: () => {
      this.killed = true;
      this.end('SIGKILL');
    },
  };
  constructor(index: number) {
    this.index = index;
  }
  #answer(id: number, question: Question): void {
    const value = this.answers[question];
    if (value !== undefined) this.#say({ kind: 'answer', id, value });
  }
  ready(ready = true): void {
    this.#say({ kind: 'ready', ready });
  }
  end(how: string): void {
    this.#end(how);
  }
  /** Ports of the newest configuration. */
  get ports(): readonly number[] | undefined {
    const applied = this.told.filter((m) => m.kind === 'apply').at(-1);
    return applied?.config.listeners.map((l) => l.bind.port);
  }
}

function open(size = 2) {
  const clock = new SteppedClock();
  const hands: Hand[] = [];
  const events: CrewEvent[] = [];
  const taken = new Set<number>();
  const crew = new Crew({
    size,
    clock,
    start: (index) => {
      const hand = new Hand(index);
      hands.push(hand);
      return hand.link;
    },
    freePort: async (_host, port) => {
      if (taken.has(port)) throw new Error('listen EADDRINUSE');
    },
    onEvent: (e) => events.push(e),
  });
  return { crew, clock, hands, events, taken };
}

const configOf = (...ports: readonly number[]): RelayConfig => ({
  listeners: ports.map((port) => ({ name: `l${port}`, bind: { host, port }, helloTimeoutMs: 0, chains: [] })),
  clusters: new Map([['c', cluster({ maxConnections: 1_001 })]]),
});
/** Promises that are settled already have been heard. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('all are told the same, each its share of a cluster’s connections; ready when all are', async () => {
  const { crew, hands, events } = open();
  crew.apply(configOf(1));
  await settled();
  for (const { ports, told } of hands) {
    expect(ports).toEqual([1]);
    expect(told.at(-1)).toMatchObject({ config: { clusters: new Map([['c', { maxConnections: 501 }]]) } });
  }
  hands[0]?.ready();
  expect([crew.ready, events]).toEqual([true, []]);
  hands[1]?.ready();
  expect(events).toEqual([{ kind: 'ready' }]);
});

test('a configuration that contradicts itself is refused, and nobody is told', async () => {
  const { crew, hands } = open();
  expect(() => crew.apply(configOf(1, 1))).toThrow(expect.objectContaining({ code: 'listener_twice' }));
  await settled();
  expect(hands.flatMap((h) => h.told)).toEqual([]);
});

test('a port somebody else has is shared with nobody: said, tried again, and served once it is free', async () => {
  const { crew, clock, hands, events, taken } = open();
  taken.add(2);
  crew.apply(configOf(1, 2));
  await settled();
  expect(hands.map((h) => h.ports)).toEqual([[1], [1]]);
  expect(events).toMatchObject([{ kind: 'bindFailed', listener: 'l2', bind: { host, port: 2 } }]);
  taken.clear();
  clock.advance(10_000);
  await settled();
  expect(hands.map((h) => h.ports)).toEqual([
    [1, 2],
    [1, 2],
  ]);
  // A port that left and comes back is tried anew.
  crew.apply(configOf(1));
  taken.add(2);
  crew.apply(configOf(1, 2));
  await settled();
  expect(hands[0]?.ports).toEqual([1]);
});

test('a worker that ends is replaced, with the configuration; the others go on; sooner if it had lived for a while', async () => {
  const { crew, clock, hands, events } = open();
  crew.apply(configOf(1));
  await settled();
  for (const hand of hands) hand.ready();
  hands[0]?.end('SIGSEGV');
  await settled();
  expect(events.at(-1)).toEqual({ kind: 'workerEnded', index: 0, how: 'SIGSEGV', restartMs: 250 });
  expect(crew.ready, 'the other one is there').toBe(true);
  clock.advance(250);
  expect(hands.map((h) => h.index)).toEqual([0, 1, 0]);
  expect(hands[2]?.ports).toEqual([1]);
  hands[2]?.end('status 1');
  await settled();
  expect(events.at(-1)).toMatchObject({ index: 0, restartMs: 500 });
  clock.advance(500);
  clock.advance(60_000);
  hands[3]?.end('status 1');
  await settled();
  expect(events.at(-1)).toMatchObject({ index: 0, restartMs: 250 });
});

test('counters are summed; those of a worker that is gone stay, its gauges go', async () => {
  const { crew, clock, hands } = open();
  const tally = (accepted: number, active: number) => {
    const counters = new Counters();
    counters.add('listener.downstream_cx_total', 'l', accepted);
    counters.set('listener.downstream_cx_active', 'l', active);
    counters.set('cluster_manager.active_clusters', '', 3);
    counters.observe('listener.downstream_cx_length_ms', 'l', 10);
    return counters.tally();
  };
  for (const [i, hand] of hands.entries()) hand.answers = { tally: tally(10 + i, 1) };
  const before = await crew.counters();
  expect(before.get('listener.downstream_cx_total', 'l')).toBe(21);
  expect(before.get('listener.downstream_cx_active', 'l')).toBe(2);
  expect(before.get('cluster_manager.active_clusters')).toBe(3);
  hands[0]?.end('SIGSEGV');
  await settled();
  const after = await crew.counters();
  expect(after.get('listener.downstream_cx_total', 'l')).toBe(21);
  expect(after.get('listener.downstream_cx_active', 'l')).toBe(1);
  expect(after.text()).toContain(
    'envoy_listener_downstream_cx_length_ms_count{envoy_listener_address="l"} 2',
  );
  expect(clock.armed, 'its replacement').toBe(1);
});

test('a worker that does not answer is not waited for: what it said last counts', async () => {
  const { crew, clock, hands } = open();
  for (const hand of hands) hand.answers = { connections: 5 };
  expect(await crew.connections()).toBe(10);
  (hands[1] as Hand).answers = {};
  const asked = crew.connections();
  clock.advance(2_000);
  expect(await asked).toBe(5);
  const lost = crew.connections();
  hands[1]?.end('SIGSEGV');
  expect(await lost).toBe(5);
});

test('drain: all are told, and whoever does not end in time is ended', async () => {
  const { crew, clock, hands } = open();
  const drained = crew.drain(5_000);
  expect(hands.map((h) => h.told.at(-1))).toEqual(hands.map(() => ({ kind: 'drain', withinMs: 5_000 })));
  hands[0]?.end('status 0');
  clock.advance(6_999);
  await settled();
  expect(hands.map((h) => h.killed)).toEqual([false, false]);
  clock.advance(1);
  await drained;
  expect(hands[1]?.killed).toBe(true);
  expect(clock.armed).toBe(0);
  expect(hands).toHaveLength(2);
});
