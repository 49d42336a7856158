/** When a datacenter is dialled, and when not. */
import { expect, test } from 'vitest';
import { Breaker } from './breaker.ts';

const config = { failuresMax: 3, refuseMs: 500, refuseMsMax: 2_000 };
const cause = new Error('connect refused');

function failing(times: number, now = 0): Breaker {
  const breaker = new Breaker(config);
  for (let n = 0; n < times; n += 1) breaker.failed(now, cause);
  return breaker;
}

test('two failures in a row are no reason yet', () => {
  expect(failing(2).mayDial(0)).toEqual({ yes: true });
});

test('after three, dials are refused for a while, with the reason', () => {
  expect(failing(3).mayDial(100)).toEqual({ yes: false, againInMs: 400, cause });
});

test('half-open: then one dial is let through, and only one', () => {
  const breaker = failing(3);
  expect([breaker.mayDial(500).yes, breaker.mayDial(500).yes]).toEqual([true, false]);
});

test('a failed probe doubles the wait, up to its maximum', () => {
  const breaker = failing(3);
  const waits: number[] = [];
  for (let now = 500, n = 0; n < 4; n += 1) {
    breaker.mayDial(now);
    breaker.failed(now, cause);
    const may = breaker.mayDial(now);
    if (may.yes) throw new Error('dialled while it should wait');
    waits.push(may.againInMs);
    now += may.againInMs;
  }
  expect(waits).toEqual([1_000, 2_000, 2_000, 2_000]);
});

test('an abandoned probe makes room for another one', () => {
  const breaker = failing(3);
  breaker.mayDial(500);
  breaker.abandoned();
  expect(breaker.mayDial(500).yes).toBe(true);
});

test('a connection alone does not forget the failures, an answered call does', () => {
  const breaker = failing(3);
  breaker.mayDial(500);
  breaker.connected();
  expect(breaker.isOpen).toBe(true);
  breaker.forgive();
  expect([breaker.isOpen, breaker.failures, breaker.mayDial(0).yes]).toEqual([false, 0, true]);
});
