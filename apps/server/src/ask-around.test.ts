import { settled, VirtualClock } from '@fed/tooling/virtual-clock';
import { expect, test } from 'vitest';
import { AskAround } from './ask-around.ts';

function world(sync?: (name: string) => Promise<void>, below = (n: number): number => n - 1) {
  const clock = new VirtualClock();
  const asked: string[] = [];
  const lost = new Set<string>();
  const around = new AskAround({
    clock,
    rng: { below },
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
  await clock.advance(500);
  expect(asked).toEqual(['n1.dc2@2500']);
});

test('ask around: one who goes silent does not keep us from asking another', async () => {
  const { clock, asked, lost, around } = world((name) => {
    asked.push(`${name}@${clock.now()}`);
    return new Promise(() => {});
  });
  lost.add('dc3');
  around.failed('dc3');
  await clock.advance(12_500);
  expect(asked).toEqual(['n1.dc2@500', 'n1.dc1@12500']);
});

test('ask around: cut off from everybody, it goes on asking all in turn, and whoever is back is heard soon', async () => {
  const asked: string[] = [];
  let isBack = false;
  const { clock, lost, around } = world(async (name) => {
    asked.push(`${name}@${clock.now()}`);
    if (!isBack) throw new Error('refused');
  });
  lost.add('dc3');
  around.failed('dc3');
  await clock.advance(60_000);
  expect(asked.slice(0, 4)).toEqual(['n1.dc2@500', 'n1.dc1@2500', 'n1.dc2@4500', 'n1.dc1@6500']);
  isBack = true;
  asked.length = 0;
  await clock.advance(6_000);
  expect(asked).toEqual(['n1.dc2@60500', 'n1.dc2@61000', 'n1.dc2@62000', 'n1.dc2@64000']); // rarer with each answer
});

test('ask around: one of many who does not answer is asked rarely, too', async () => {
  let below = 0;
  const asked: string[] = [];
  const { clock, lost, around } = world(
    async (name) => {
      asked.push(`${name}@${clock.now()}`);
      if (name === 'n1.dc2') throw new Error('refused');
    },
    (n) => (n > 2 ? n - 1 : below++ % n), // the longest pauses, and everybody in turn
  );
  lost.add('dc3');
  around.failed('dc3');
  await clock.advance(200_000);
  expect(asked.slice(-4)).toEqual(['n1.dc2@135500', 'n1.dc1@137500', 'n1.dc2@197500', 'n1.dc1@199500']);
});

test('ask around: silence after many answers shortens the pause', async () => {
  const asked: number[] = [];
  let isCutOff = false;
  const { clock, lost, around } = world(async () => {
    asked.push(clock.now());
    if (isCutOff) throw new Error('refused');
  });
  lost.add('dc3');
  around.failed('dc3');
  await clock.advance(100_000);
  expect(asked.at(-1)).toBe(63_500); // and the next at 123,500
  isCutOff = true;
  await clock.advance(30_000);
  expect(asked.slice(-4)).toEqual([123_500, 125_500, 127_500, 129_500]);
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

test('ask around: knocks that fail while somebody is asked in vain do not make it rarer', async () => {
  let answers = true;
  const asked: string[] = [];
  const { clock, lost, around } = world(async (name) => {
    asked.push(`${name}@${clock.now()}`);
    if (answers) return;
    await new Promise<void>((resolve) => clock.at(clock.now() + 5_000, resolve)); // what a dial takes
    throw new Error('unreachable');
  });
  lost.add('dc3');
  around.failed('dc3');
  await clock.advance(20_000); // asked and answered, ever more rarely
  answers = false;
  const before = asked.length;
  for (let second = 0; second < 60; second++) {
    around.failed('dc3');
    await clock.advance(1_000);
  }
  const times = asked.slice(before).map((text) => Number(text.split('@')[1]));
  const pauses = times.slice(1).map((at, i) => at - times[i]!);
  expect(times.length).toBeGreaterThan(5);
  expect(Math.max(...pauses)).toBeLessThanOrEqual(7_000);
  expect(Math.min(...pauses)).toBeGreaterThan(5_000); // one at a time
});
