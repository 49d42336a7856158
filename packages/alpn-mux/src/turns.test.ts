import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Turns } from './turns.ts';

test('turns: the first at once, the others one per turn of the loop, in order', async () => {
  const turns = new Turns();
  const ran: number[] = [];
  for (let n = 0; n < 4; n++) turns.take(() => ran.push(n));
  expect([ran, turns.waiting]).toEqual([[0], 3]);
  for (const all of [
    [0, 1],
    [0, 1, 2],
    [0, 1, 2, 3],
  ]) {
    await turn();
    expect(ran).toEqual(all);
  }
  await turn();
  turns.take(() => ran.push(4)); // nobody waited any more
  expect(ran).toEqual([0, 1, 2, 3, 4]);
});
