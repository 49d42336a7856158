import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, test } from 'vitest';
import { notLinearizable, type Operation } from '../src/checkers/linearizable.ts';

const write = (value: string, startedAt: number, endedAt: number | undefined): Operation => ({
  key: 'k',
  kind: 'write',
  value,
  startedAt,
  endedAt,
});
const read = (value: string | undefined, startedAt: number, endedAt: number): Operation => ({
  key: 'k',
  kind: 'read',
  value,
  startedAt,
  endedAt,
});

describe('known histories', () => {
  const good: Record<string, readonly Operation[]> = {
    'nothing happened': [],
    'a read before any write': [read(undefined, 0, 1)],
    'a read beside a write may see it or not': [write('a', 0, 10), read(undefined, 1, 2), read('a', 3, 4)],
    'two writes at once, in either order': [write('a', 0, 10), write('b', 0, 10), read('a', 11, 12)],
    'a doubtful write that shows late': [write('a', 0, undefined), read(undefined, 5, 6), read('a', 50, 60)],
    'a doubtful write that never shows': [write('a', 0, undefined), write('b', 1, 2), read('b', 5, 6)],
    // Herlihy & Wing (1990), figure 1, as registers
    'overlapping readers agree with one order': [
      write('a', 0, 3),
      write('b', 2, 9),
      read('a', 4, 5),
      read('b', 6, 7),
      read('b', 8, 10),
    ],
  };
  for (const [name, history] of Object.entries(good))
    test(`good: ${name}`, () => assert.equal(notLinearizable(history), undefined));

  const bad: Record<string, readonly Operation[]> = {
    'a lost write': [write('a', 0, 1), read(undefined, 2, 3)],
    'a stale read': [write('a', 0, 1), write('b', 2, 3), read('a', 4, 5)],
    'a value from nowhere': [write('a', 0, 1), read('b', 2, 3)],
    'a read that goes back': [write('a', 0, 1), write('b', 2, 20), read('b', 4, 5), read('a', 6, 7)],
    'two readers that disagree on the order': [
      write('a', 0, 10),
      write('b', 0, 10),
      read('a', 11, 12),
      read('b', 13, 14),
    ],
    'a doubtful write seen, and then not': [
      write('a', 0, 1),
      write('b', 2, undefined),
      read('b', 5, 6),
      read('a', 7, 8),
    ],
    'a read from the future': [read('a', 0, 1), write('a', 2, 3)],
  };
  for (const [name, history] of Object.entries(bad))
    test(`bad: ${name}`, () => {
      const verdict = notLinearizable(history);
      assert.equal(verdict?.key, 'k');
      assert.match(verdict.stuck, /none of these can be next/);
    });
});

/** Few moments and few values, so that everything overlaps and much is forbidden. */
const anyOperation: fc.Arbitrary<Operation> = fc
  .record({
    kind: fc.constantFrom('read' as const, 'write' as const),
    value: fc.constantFrom('a', 'b', 'c'),
    startedAt: fc.nat(12),
    lasts: fc.nat(6),
    doubtful: fc.nat(5),
    empty: fc.nat(5),
  })
  .map(({ kind, value, startedAt, lasts, doubtful, empty }) => ({
    key: 'k',
    kind,
    value: kind === 'read' && empty === 0 ? undefined : value,
    startedAt,
    endedAt: kind === 'write' && doubtful === 0 ? undefined : startedAt + lasts,
  }));

test('the search finds what trying every order finds', () => {
  const tally = { good: 0, bad: 0 };
  fc.assert(
    fc.property(fc.array(anyOperation, { maxLength: 7 }), (history) => {
      const expected = everyOrder(history);
      tally[expected ? 'good' : 'bad']++;
      assert.equal(notLinearizable(history) === undefined, expected);
    }),
    { numRuns: 3_000 },
  );
  assert.ok(tally.good > 200 && tally.bad > 200, JSON.stringify(tally));
});

/** A register really used, by `clients` at once: each operation happens at a moment, and is seen to last longer. */
const realHistory: fc.Arbitrary<readonly Operation[]> = fc
  .array(
    fc.record({
      kind: fc.constantFrom('read' as const, 'write' as const),
      early: fc.nat(40),
      late: fc.nat(40),
      doubtful: fc.nat(20),
    }),
    { minLength: 5, maxLength: 400 },
  )
  .map((steps) => {
    let value: string | undefined;
    return steps.map(({ kind, early, late, doubtful }, i): Operation => {
      const moment = 10 * i;
      if (kind === 'write') value = `v${i}`;
      return {
        key: 'k',
        kind,
        value,
        startedAt: moment - early,
        endedAt: kind === 'write' && doubtful === 0 ? undefined : moment + late,
      };
    });
  });

test('what a real register has answered is accepted, hundreds of operations long', () => {
  fc.assert(
    fc.property(realHistory, (history) => assert.equal(notLinearizable(history), undefined)),
    { numRuns: 200 },
  );
});

test('one read of a value that was overwritten before it began is found in the middle of them', () => {
  fc.assert(
    fc.property(realHistory, fc.nat(), (history, pick) => {
      const end = 10 * history.length + 1_000;
      const at = 10 * (pick % history.length);
      const bad: readonly Operation[] = [
        ...history.map((one) => (one.startedAt > at ? shifted(one, 1_000) : one)),
        write('old', at + 500, at + 501),
        write('new', at + 502, at + 503),
        read('old', at + 504, at + 505),
      ];
      assert.notEqual(notLinearizable(bad), undefined, `of ${end}`);
    }),
    { numRuns: 200 },
  );
});

function shifted(one: Operation, by: number): Operation {
  return {
    ...one,
    startedAt: one.startedAt + by,
    endedAt: one.endedAt === undefined ? undefined : one.endedAt + by,
  };
}

/** Oracle: some order of all finished operations and some of the doubtful ones that respects time and reads. */
function everyOrder(history: readonly Operation[]): boolean {
  const place = (left: readonly Operation[], value: string | undefined): boolean => {
    if (left.every(({ endedAt }) => endedAt === undefined)) return true;
    return left.some((one, i) => {
      const others = left.filter((_, j) => j !== i);
      if (others.some(({ endedAt }) => endedAt !== undefined && endedAt < one.startedAt)) return false;
      if (one.kind === 'read' && one.value !== value) return false;
      return place(others, one.value);
    });
  };
  return place(history, undefined);
}
