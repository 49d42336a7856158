import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { backoffDefault, backoffMs } from './backoff.ts';
import { Limiter } from './limiter.ts';

describe('backoff', () => {
  test('backoff: 1, 2, 4 … 120 s', () => {
    const waits = [1, 2, 3, 4, 5, 6, 7, 8, 9, 1_000].map((n) =>
      backoffMs(n, backoffDefault, { below: () => 0 }),
    );
    expect(waits.map((ms) => ms / 1000)).toEqual([1, 2, 4, 8, 16, 32, 64, 120, 120, 120]);
  });

  test('backoff: chance adds a tenth at most, and only chance exceeds the cap', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.nat(1e6), (failures, dice) => {
        const plainMs = backoffMs(failures, backoffDefault, { below: () => 0 });
        const waitMs = backoffMs(failures, backoffDefault, { below: (n) => dice % n });
        expect(plainMs).toBeLessThanOrEqual(backoffDefault.maxMs);
        expect(waitMs).toBeGreaterThanOrEqual(plainMs);
        expect(waitMs).toBeLessThanOrEqual(plainMs * 1.1);
      }),
    );
  });
});

describe('limiter', () => {
  test('limiter: a burst passes, then one per second', () => {
    const limiter = new Limiter({ perSecond: 1, burst: 5 }, 0);
    let now = 0;
    const at = Array.from({ length: 8 }, () => {
      now += limiter.take(now);
      return now;
    });
    expect(at).toEqual([0, 0, 0, 0, 0, 1_000, 2_000, 3_000]);
  });

  test('limiter: rest fills the purse, up to the burst', () => {
    const limiter = new Limiter({ perSecond: 1, burst: 2 }, 0);
    const takes = [0, 0, 1_000, 100_000, 100_000, 100_000].map((now) => limiter.take(now));
    expect(takes).toEqual([0, 0, 0, 0, 0, 1_000]);
  });

  test('limiter: over any span no more than burst plus rate pass', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(3_000), { minLength: 1, maxLength: 60 }), (idles) => {
        const limiter = new Limiter({ perSecond: 2, burst: 3 }, 0);
        let now = 0;
        const passed: number[] = [];
        for (const idleMs of idles) {
          now += idleMs;
          now += limiter.take(now);
          passed.push(now);
        }
        passed.forEach((from, first) => {
          passed.slice(first).forEach((to, more) => {
            expect(more + 1).toBeLessThanOrEqual(3 + ((to - from) * 2) / 1000 + 1e-9);
          });
        });
      }),
    );
  });
});
