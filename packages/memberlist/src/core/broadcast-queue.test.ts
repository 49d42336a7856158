import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BroadcastQueue } from './broadcast-queue.ts';
import { retransmitLimit } from './formulas.ts';

test('queue: every message is given out exactly as often as the limit says, then finished', () => {
  const queue = new BroadcastQueue({ retransmitMult: 2, tableSize: () => 10 });
  const finished: number[] = [];
  for (let i = 0; i < 20; i++)
    queue.add({ message: Uint8Array.of(i), subject: `n${i}`, finished: () => finished.push(i) });
  const told = new Map<number, number>();
  for (let got = queue.take(2, 31); got.length > 0; got = queue.take(2, 31))
    for (const [n] of got) told.set(n!, (told.get(n!) ?? 0) + 1);
  expect(told.size).toBe(20);
  expect(new Set(told.values())).toEqual(new Set([retransmitLimit(2, 10)]));
  expect(finished).toHaveLength(20);
  expect(queue.length).toBe(0);
});

test('queue: room is never exceeded, and nothing is lost before it is finished', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          size: fc.integer({ min: 1, max: 40 }),
          subject: fc.option(fc.constantFrom('a', 'b', 'c')),
        }),
      ),
      fc.array(fc.integer({ min: 0, max: 100 }), { maxLength: 50 }),
      (messages, limits) => {
        const queue = new BroadcastQueue({ retransmitMult: 1, tableSize: () => 50 });
        let open = 0;
        for (const { size, subject } of messages) {
          open++;
          const finished = (): void => {
            open--;
          };
          queue.add({ message: new Uint8Array(size), finished, ...(subject === null ? {} : { subject }) });
        }
        for (const limit of limits) {
          const got = queue.take(2, limit);
          expect(got.reduce((sum, m) => sum + m.length + 2, 0)).toBeLessThanOrEqual(limit);
          expect(queue.length).toBe(open);
        }
        queue.prune(0);
        expect([queue.length, open]).toEqual([0, 0]);
      },
    ),
  );
});
