import { settled, VirtualClock } from '@fed/tooling/virtual-clock';
import { expect, test } from 'vitest';
import { AskAround } from './ask-around.ts';

function world(sync?: (name: string) => Promise<void>) {
  const clock = new VirtualClock();
  const asked: string[] = [];
  const lost = new Set<string>();
  const around = new AskAround({
    clock,
    rng: { below: (n) => n - 1 },
    others: () => ['dc1', 'dc2', 'dc3'].map((datacenter) => ({ name: `n1.${datacenter}`, datacenter })),
    lost: () => [...lost],
    sync: sync ?? (async (name) => void asked.push(`${name}@${clock.now()}`)),
  });
  return { clock, asked, lost, around };
}

test('ask around: whoever is in reach is asked, soon and then ever more rarely', async () => {
  const { clock, asked, lost, around } = world();
  lost.add('dc3');
  for (let i = 0; i < 100; i++) around.failed('dc3'); // each knock that fails says so
  await clock.advance(8_000);
  expect(asked).toEqual(['n1.dc2@500', 'n1.dc2@1500', 'n1.dc2@3500', 'n1.dc2@7500']);
});

test('ask around: it ends when nobody is missing, and the next loss begins anew', async () => {
  const { clock, asked, lost, around } = world();
  lost.add('dc3');
  around.failed('dc3');
  await clock.advance(4_000);
  lost.clear();
  await clock.advance(600_000);
  expect(asked).toHaveLength(3);
  lost.add('dc2');
  around.failed('dc2');
  await clock.advance(500);
  expect(asked.at(-1)).toBe(`n1.dc3@${604_500}`);
});

test('ask around: with nobody in reach it waits for somebody', async () => {
  const { clock, asked, lost, around } = world();
  for (const datacenter of ['dc1', 'dc2', 'dc3']) lost.add(datacenter);
  around.failed('dc1');
  await clock.advance(2_000);
  expect(asked).toEqual([]);
  lost.delete('dc2');
  await clock.advance(2_000);
  expect(asked).toEqual(['n1.dc2@3500']);
});

test('ask around: one who goes silent does not keep us from asking again', async () => {
  const { clock, asked, lost, around } = world((name) => {
    asked.push(`${name}@${clock.now()}`);
    return new Promise(() => {});
  });
  lost.add('dc3');
  around.failed('dc3');
  await clock.advance(11_500);
  expect(asked).toEqual(['n1.dc2@500', 'n1.dc2@11500']);
});

test('ask around: nothing is asked after disposal', async () => {
  const { clock, asked, lost, around } = world();
  lost.add('dc3');
  around.failed('dc3');
  around[Symbol.dispose]();
  around.failed('dc3');
  await clock.advance(60_000);
  await settled();
  expect(asked).toEqual([]);
});
