import { SteppedClock } from '@fed/tooling/virtual-clock';
import { expect, test } from 'vitest';
import { Deadlines } from './deadlines.ts';

function open() {
  const clock = new SteppedClock();
  const late: string[] = [];
  const deadlines = new Deadlines<string>(clock, 100, (who) => late.push(`${who} at ${clock.now()}`));
  return { clock, late, deadlines };
}

test('deadlines: each is late after his own time, with one timer for all', () => {
  const { clock, late, deadlines } = open();
  deadlines.start('a');
  clock.advance(30);
  deadlines.start('b');
  deadlines.start('c');
  expect(clock.armed).toBe(1);
  clock.advance(69);
  expect(late).toEqual([]);
  clock.advance(1);
  expect(late).toEqual(['a at 100']);
  clock.advance(30);
  expect(late).toEqual(['a at 100', 'b at 130', 'c at 130']);
  expect([deadlines.size, clock.armed]).toEqual([0, 0]);
});

test('deadlines: who is done in time is not late, and does not make the next one late', () => {
  const { clock, late, deadlines } = open();
  deadlines.start('a');
  clock.advance(50);
  deadlines.start('b');
  deadlines.stop('a');
  clock.advance(99);
  expect(late).toEqual([]);
  expect([deadlines.has('a'), deadlines.has('b')]).toEqual([false, true]);
  clock.advance(1);
  expect(late).toEqual(['b at 150']);
});

test('deadlines: who begins anew goes to the end of the queue', () => {
  const { clock, late, deadlines } = open();
  deadlines.start('a');
  deadlines.start('b');
  clock.advance(40);
  deadlines.start('a');
  clock.advance(60);
  expect(late).toEqual(['b at 100']);
  clock.advance(40);
  expect(late).toEqual(['b at 100', 'a at 140']);
});

test('deadlines: no timer stays when nobody is left', () => {
  const { clock, late, deadlines } = open();
  deadlines.start('a');
  deadlines.stop('a');
  deadlines.stop('nobody');
  expect(clock.armed).toBe(0);
  clock.advance(1_000);
  expect(late).toEqual([]);
});

test('deadlines: who is late may stop and start others', () => {
  const clock = new SteppedClock();
  const late: string[] = [];
  const deadlines: Deadlines<string> = new Deadlines<string>(clock, 100, (who) => {
    late.push(who);
    deadlines.stop('b');
    if (late.length === 1) deadlines.start('c');
  });
  deadlines.start('a');
  deadlines.start('b');
  clock.advance(100);
  expect(late).toEqual(['a']);
  expect(clock.armed).toBe(1);
  clock.advance(100);
  expect([late, clock.armed]).toEqual([['a', 'c'], 0]);
});
