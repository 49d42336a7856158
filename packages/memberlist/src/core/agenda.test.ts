import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Agenda } from './agenda.ts';

test('agenda: the soonest first, and among equals the one that came first', () => {
  const agenda = new Agenda<string>();
  agenda.add(5, 'late');
  agenda.add(3, 'early, first');
  agenda.add(3, 'early, second');
  expect(agenda.next).toBe(3);
  expect([agenda.take(5), agenda.take(5), agenda.take(5), agenda.take(5)]).toEqual([
    'early, first',
    'early, second',
    'late',
    undefined,
  ]);
});

test('agenda: nothing is taken before its time', () => {
  const agenda = new Agenda<string>();
  agenda.add(5, 'x');
  expect(agenda.take(4.999)).toBeUndefined();
  expect(agenda.take(5)).toBe('x');
});

test('agenda: what is cancelled never comes, whatever was added and cancelled around it', () => {
  const operation = fc.oneof(
    fc.record({ op: fc.constant('add' as const), at: fc.integer({ min: 0, max: 50 }) }),
    fc.record({ op: fc.constant('cancel' as const), at: fc.nat() }),
    fc.record({ op: fc.constant('take' as const), at: fc.integer({ min: 0, max: 50 }) }),
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
      const agenda = new Agenda<number>();
      const entries: ReturnType<typeof agenda.add>[] = [];
      let expected: { at: number; due: number }[] = [];
      const soonest = () => expected.toSorted((a, b) => a.at - b.at || a.due - b.due)[0];
      for (const { op, at } of operations) {
        if (op === 'add') {
          expected.push({ at, due: entries.length });
          entries.push(agenda.add(at, entries.length));
        } else if (op === 'cancel' && entries.length > 0) {
          const index = at % entries.length;
          agenda.cancel(entries[index]);
          expected = expected.filter(({ due }) => due !== index);
        } else if (op === 'take') {
          const first = soonest();
          const wanted = first !== undefined && first.at <= at ? first.due : undefined;
          expect(agenda.take(at)).toBe(wanted);
          if (wanted !== undefined) expected = expected.filter(({ due }) => due !== wanted);
        }
        expect(agenda.size).toBe(expected.length);
        expect(agenda.next).toBe(soonest()?.at);
      }
    }),
  );
});
