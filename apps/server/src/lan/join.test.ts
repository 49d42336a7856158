import { VirtualClock } from '@fed/tooling/virtual-clock';
import { expect, test } from 'vitest';
import type { LanJoinConfig } from '../config/servers.ts';
import { type JoinEvent, openLanJoin } from './join.ts';

function world(join: Partial<LanJoinConfig>) {
  const clock = new VirtualClock();
  const tries: string[] = [];
  const told: JoinEvent[] = [];
  const exhausted: string[] = [];
  let answering = false;
  const open = () =>
    openLanJoin({
      pool: {
        members: () => [],
        join: (targets) => {
          tries.push(`${targets.join(' ')} @${clock.now() / 1000}`);
          return answering
            ? Promise.resolve({ joined: targets.length, errors: [] })
            : Promise.reject(new Error('connection refused'));
        },
      },
      join: { startJoin: [], retryJoin: [], retryIntervalMs: 30_000, retryMax: 0, ...join },
      own: { hosts: ['10.0.0.1', '127.0.0.1'], port: 8301 },
      onEvent: (event) => told.push(event),
      exhausted: (error) => exhausted.push(error.message),
      clock,
    });
  return {
    clock,
    tries,
    told,
    exhausted,
    open,
    answer: (): void => {
      answering = true;
    },
  };
}

test('nobody to join: nothing is done', async () => {
  const w = world({});
  await using _join = await w.open();
  await w.clock.advance(60_000);
  expect([w.tries, w.clock.armed]).toEqual([[], 0]);
});

test('retry_join goes on, soon at first and then on the interval, until somebody answers', async () => {
  const w = world({ retryJoin: ['10.0.0.2', '10.0.0.3:9301'] });
  await using _join = await w.open();
  await w.clock.advance(100_000);
  expect(w.tries.map((line) => line.split('@')[1])).toEqual(['0', '1', '3', '7', '15', '31', '61', '91']);
  w.answer();
  await w.clock.advance(21_000);
  expect(w.told.at(-1)).toEqual({ kind: 'joined', addresses: 2, attempts: 9 });
  await w.clock.advance(600_000);
  expect([w.tries.length, w.clock.armed]).toEqual([9, 0]);
});

test('our own address in the list answers for nobody else', async () => {
  const w = world({
    retryJoin: ['10.0.0.1', '10.0.0.1:8301', '10.0.0.1:9301', '127.0.0.1:8301', '10.0.0.2'],
  });
  w.answer();
  await using _join = await w.open();
  expect(w.tries).toEqual(['10.0.0.1:9301 10.0.0.2 @0']);
});

test('a limit on attempts stands for the time it means: the interval is kept from the first', async () => {
  const w = world({ retryJoin: ['10.0.0.2'], retryIntervalMs: 10_000, retryMax: 2 });
  await using _join = await w.open();
  await w.clock.advance(60_000);
  expect(w.tries.map((line) => line.split('@')[1])).toEqual(['0', '10', '20']);
  expect(w.exhausted).toEqual(['retry_join: none answered in 3 attempts: connection refused']);
});

test('start_join must work, and the error says what else there is', async () => {
  const w = world({ startJoin: ['10.0.0.2'] });
  await expect(w.open()).rejects.toThrow(/start_join: none of 10\.0\.0\.2 can be joined .*use retry_join/);
  w.answer();
  await using _join = await w.open();
  expect(w.told).toEqual([{ kind: 'joined', addresses: 1, attempts: 1 }]);
});

test('closing ends the wait', async () => {
  const w = world({ retryJoin: ['10.0.0.2'] });
  const join = await w.open();
  await w.clock.advance(10);
  await join[Symbol.asyncDispose]();
  expect(w.clock.armed).toBe(0);
});
