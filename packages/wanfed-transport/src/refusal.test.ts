import fc from 'fast-check';
import { expect, test } from 'vitest';
import { refusalMs } from './refusal.ts';

const range = { refusalMsMin: 250, refusalMsMax: 2_000 };

test('refusal: doubles from 250 ms to 2 s when chance says nothing', () => {
  const waits = [1, 2, 3, 4, 5, 60].map((n) => refusalMs(n, range, { below: () => 0 }));
  expect(waits).toEqual([250, 500, 1_000, 2_000, 2_000, 2_000]);
});

test('refusal: chance shortens it by half at most', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e9 }), fc.integer({ min: 0, max: 1e6 }), (failures, dice) => {
      const fullMs = refusalMs(failures, range, { below: () => 0 });
      const waitMs = refusalMs(failures, range, { below: (n) => dice % n });
      expect(waitMs).toBeGreaterThanOrEqual(fullMs / 2);
      expect(waitMs).toBeLessThanOrEqual(fullMs);
    }),
  );
});
