import { type Fsm, newRegisterRequest, openFsm } from '@fed/fsm';
import { settled, VirtualClock } from '@fed/tooling/virtual-clock';
import { expect, test } from 'vitest';
import { SharedLog } from '../test/shared-log.ts';
import { type TermEvent, Terms } from './terms.ts';

const a = '10.0.0.1:8300';
const b = '10.0.0.2:8300';

/** A server whose duty writes a node as it begins, and counts. */
async function server(log: SharedLog, address: string, clock: VirtualClock) {
  const fsm: Fsm = await openFsm({ engine: log.open(address), clock });
  const told: string[] = [];
  const running = new Set<number>();
  /** What beginning and ending wait for. */
  const gates = { begin: Promise.resolve(), end: Promise.resolve() };
  const accidents: Error[] = [];
  let overlaps = 0;
  const terms = new Terms({
    engine: fsm.engine,
    begin: async (term) => {
      if (running.size > 0) overlaps++;
      running.add(term);
      try {
        await gates.begin;
        const accident = accidents.shift();
        if (accident !== undefined) throw accident;
        const request = newRegisterRequest({
          Datacenter: 'dc1',
          Node: `${address} in ${term}`,
          Address: '10.0.0.1',
        });
        await fsm.apply({ type: 'register', request }, { term });
      } catch (error) {
        running.delete(term);
        throw error;
      }
      return {
        [Symbol.asyncDispose]: async () => {
          await gates.end;
          running.delete(term);
        },
      };
    },
    onEvent: (event: TermEvent) =>
      told.push(
        event.kind === 'not_begun'
          ? `not_begun ${event.term} ${event.waitMs}`
          : `${event.kind} ${event.term}`,
      ),
    clock,
    rng: { below: () => 0 },
  });
  return { fsm, terms, told, running, gates, accidents, overlaps: () => overlaps };
}

function gate(): { readonly closed: Promise<void>; readonly open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { closed: promise, open: resolve };
}

test('each term is begun once and ended once, by the server that leads in it', async () => {
  const log = new SharedLog();
  const clock = new VirtualClock();
  const [first, second] = [await server(log, a, clock), await server(log, b, clock)];
  expect(first.terms.current).toBeUndefined();
  for (const leader of [a, b, a, a, undefined, b]) {
    log.elect(leader);
    await settled();
    expect([first.running.size, second.running.size]).toEqual([Number(leader === a), Number(leader === b)]);
  }
  expect(first.told).toEqual(['began 1', 'ended 1', 'began 3', 'ended 3', 'began 4', 'ended 4']);
  expect(second.told).toEqual(['began 2', 'ended 2', 'began 6']);
  expect(first.fsm.store.nodes().rows.map((row) => row.Node)).toEqual([
    `${a} in 1`,
    `${a} in 3`,
    `${a} in 4`,
    `${b} in 2`,
    `${b} in 6`,
  ]);
  await second.terms[Symbol.asyncDispose]();
  expect(second.running.size).toBe(0);
});

test('a term that ends while its duties are ending is waited for, and one that came and went meanwhile is left out', async () => {
  const log = new SharedLog();
  const one = await server(log, a, new VirtualClock());
  log.elect(a);
  await settled();
  const ending = gate();
  one.gates.end = ending.closed;
  log.elect(undefined);
  log.elect(a);
  log.elect(undefined);
  log.elect(a);
  await settled();
  expect(one.told).toEqual(['began 1']);
  ending.open();
  await settled();
  expect(one.told).toEqual(['began 1', 'ended 1', 'began 5']);
  expect(one.overlaps()).toBe(0);
});

test('what was begun in a term that is over is not written in the next, though the same server leads', async () => {
  const log = new SharedLog();
  const one = await server(log, a, new VirtualClock());
  const beginning = gate();
  one.gates.begin = beginning.closed;
  log.elect(a);
  await settled();
  log.elect(undefined);
  log.elect(a);
  beginning.open();
  await settled();
  expect(one.fsm.store.nodes().rows.map((row) => row.Node)).toEqual([`${a} in 3`]);
  expect(one.told).toEqual(['began 3']);
});

test('a term that could not be begun is tried again while it lasts, and not afterwards', async () => {
  const log = new SharedLog();
  const clock = new VirtualClock();
  const one = await server(log, a, clock);
  const fail = () => one.accidents.push(new Error('the disk is full'));
  fail();
  fail();
  log.elect(a);
  await clock.advance(499);
  expect(one.told).toEqual(['not_begun 1 500']);
  await clock.advance(1001);
  expect(one.told).toEqual(['not_begun 1 500', 'not_begun 1 1000', 'began 1']);
  fail();
  log.elect(a);
  await settled();
  log.elect(b);
  await clock.advance(60_000);
  expect(one.told.slice(3)).toEqual(['ended 1', 'not_begun 2 500']);
  expect(clock.armed).toBe(0);
});
