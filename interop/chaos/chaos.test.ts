/**
 * chaos.test.ts: what happens to a federation when each of its parts fails, measured on real processes that can reach each
 * other through gateways only.
 *
 * One federation lives through all stories, one after the other; each begins with everything mended. Names follow the
 * ways in which the original is known to suffer. Skewed clocks are not among them: a network namespace has no clock of its
 * own, and what a clock decides here (the validity of certificates) is tested where certificates are.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { until } from '../lib/until.ts';
import { Figures } from './figures.ts';
import { answered, failed, Load, longestMs, quantileMs, recoveredMs } from './load.ts';
import { type Datacenter, datacenters, World } from './world.ts';

const figures = new Figures();
let world: World;

/** Everybody was healthy before; this is how long that may take to be so again, with all checks passing. */
const mendMs = 60_000;
/** No read of another datacenter takes longer, answered or not: ten seconds and the way there and back. */
const readMsMax = 10_500;

beforeAll(async () => {
  world = await World.open();
}, 60_000);

afterAll(async () => {
  await world[Symbol.asyncDispose]();
  console.log(`\n${figures.table()}\n`);
}, 30_000);

describe('a federation of three datacenters with the same private addresses', () => {
  test('formation: from nothing to everybody reading everybody', { timeout: 90_000 }, async () => {
    const began = performance.now();
    world.startAll();
    await until('all reads', 60_000, async () => {
      for (const from of datacenters)
        for (const of of datacenters) if (!(await world.reads(from, of))) return false;
      return true;
    });
    figures.add('formation', 'all read all, from the first process', since(began), {
      unit: 'ms',
      bound: 10_000,
    });
    await world.formed(mendMs);
    figures.add('formation', '… and all gateways passing everywhere', since(began), {
      unit: 'ms',
      bound: 25_000,
    });
  });
});

describe('when something fails', () => {
  beforeEach(async () => {
    await world.mend(mendMs);
  }, mendMs + 5_000);

  afterEach(({ task }) => {
    if (task.result?.state === 'fail') console.error(world.tails());
  });

  test.each([5_000, 20_000])(
    'gateway killed, restarted after %i ms: reads in both directions are back at once',
    { timeout: 120_000 },
    async (outageMs) => {
      const story = `gateway away for ${outageMs / 1000} s`;
      await using there = reader('dc1', 'dc2');
      await using back = reader('dc2', 'dc1');
      await using others = reader('dc1', 'dc3');
      await world.gateway('dc2').kill();
      const gone = performance.now();
      await pause(outageMs);
      world.startGateway('dc2', 0);
      await until('the gateway listens', 20_000, () => world.isReady('dc2', 0));
      const ready = performance.now();
      for (const [what, load] of [
        ['dc1 reads dc2', there],
        ['dc2 reads dc1', back],
      ] as const) {
        const ms = await until(`${what} again`, 60_000, () => recoveredMs(load.reads, ready));
        figures.add(story, `${what}, after it is back`, ms, { unit: 'ms', bound: 1_000 });
        const lost = failed(load.reads).filter(({ began }) => began > gone && began < ready);
        figures.add(story, `${what}: longest that failed meanwhile`, longestMs(lost), {
          unit: 'ms',
          bound: readMsMax,
          fails: readMsMax,
        });
        expect(lost.map(({ error }) => error).filter((error) => !/gateway/.test(error ?? ''))).toEqual([]);
      }
      expect(failed(await others.stop())).toEqual([]);
    },
  );

  test('one of two gateways killed under load: no read fails', { timeout: 120_000 }, async () => {
    const story = 'one of two gateways killed';
    const ways = [
      ['dc2', 'dc1'],
      ['dc3', 'dc1'],
      ['dc1', 'dc2'],
    ] as const;
    const calm = await Promise.all(ways.map(([from, of]) => readFor(from, of, 5_000)));
    for (const [at, which] of [0, 1].entries()) {
      await world.mend(mendMs);
      const loads = ways.map(([from, of]) => reader(from, of, 4));
      await pause(2_000);
      await world.gateway('dc1', which).kill();
      await pause(8_000);
      for (const [way, load] of loads.entries()) {
        const reads = await load.stop();
        const [from, of] = ways[way] as (typeof ways)[number];
        const lost = failed(reads);
        if (lost.length > 0) console.error(`${from} reads ${of}: ${lost.length} failed: ${lost[0]?.error}`);
        figures.add(story, `gateway ${at}, ${from} reads ${of}: failed of ${reads.length}`, lost.length, {
          unit: 'reads',
          bound: 0,
          fails: 0,
        });
        figures.add(
          story,
          `gateway ${at}, ${from} reads ${of}: p99 more than before`,
          quantileMs(reads, 0.99) - quantileMs(calm[way] ?? [], 0.99),
          { unit: 'ms', bound: 500 },
        );
      }
    }
  });

  test('gateway accepts and never answers: an error in time that names the hop; others feel nothing', {
    timeout: 120_000,
  }, async () => {
    const story = 'frozen gateway';
    await using there = reader('dc1', 'dc2', 2);
    await using back = reader('dc2', 'dc1', 2);
    await using others = reader('dc1', 'dc3', 2);
    await using local = reader('dc2', 'dc2', 2);
    world.gateway('dc2').freeze();
    const began = performance.now();
    await pause(25_000);
    world.gateway('dc2').thaw();
    const thawed = performance.now();
    await silence(story, [there, back], began, thawed);
    for (const load of [others, local]) expect(failed(await load.stop())).toEqual([]);
    figures.add(story, 'dc1 reads dc3: p99 meanwhile', quantileMs(others.reads, 0.99), {
      unit: 'ms',
      bound: 100,
    });
  });

  test('black-holed datacenter: local reads and memory do not feel it', { timeout: 180_000 }, async () => {
    const story = 'black-holed datacenter';
    await using others = reader('dc1', 'dc2', 2);
    const calm = await quietestP99Ms('dc1');
    const rss = world.server('dc1').rssMiB();
    world.network.isolate('dc3');
    const began = performance.now();
    await using there = reader('dc1', 'dc3', 8);
    await using back = reader('dc3', 'dc1', 8);
    await pause(15_000);
    const meanwhile = await quietestP99Ms('dc1');
    await pause(5_000);
    const rssMore = world.server('dc1').rssMiB() - rss;
    world.network.heal();
    const healed = performance.now();
    await silence(story, [there, back], began, healed);
    expect(failed(await others.stop())).toEqual([]);
    const more = (meanwhile / calm - 1) * 100;
    figures.add(story, 'p99 of local reads, more than before', more, { unit: '%', bound: 10, fails: 100 });
    figures.add(story, 'RSS of a server elsewhere, more than before', rssMore, {
      unit: 'MiB',
      bound: 50,
      fails: 50,
    });
    figures.add(story, 'dc1 reads dc2: p99 meanwhile', quantileMs(others.reads, 0.99), {
      unit: 'ms',
      bound: 100,
    });
  });

  test('one of two gateways black-holed under load: reads find the other', { timeout: 120_000 }, async () => {
    const story = 'one of two gateways black-holed';
    const load = reader('dc2', 'dc1', 4);
    await pause(2_000);
    world.network.swallow(world.site('dc1').gateways[0]?.address ?? '');
    const began = performance.now();
    await pause(20_000);
    const reads = await load.stop();
    const lost = failed(reads);
    figures.add(story, `failed of ${reads.length}`, lost.length, { unit: 'reads', bound: 0, fails: 8 });
    const late = answered(reads).filter((read) => read.began > began);
    figures.add(story, 'longest that was answered', longestMs(late), { unit: 'ms', bound: 5_000 });
    figures.add(
      story,
      'longest in the last 5 s',
      longestMs(reads.filter((read) => read.began > began + 15_000)),
      {
        unit: 'ms',
        bound: 500,
      },
    );
  });

  test.each([
    ['the file of primary_gateways tells', true],
    ['nobody tells: the news travels over the direction that works', false],
  ])('all primary gateways replaced by new addresses; %s', { timeout: 120_000 }, async (how, tells) => {
    const story = `primary gateways moved; ${tells ? 'file' : 'no file'}`;
    const loads = (['dc2', 'dc3'] as const).map((from) => [from, reader(from, 'dc1')] as const);
    const { gateways } = world.site('dc1');
    await Promise.all(gateways.map(({ program }) => program?.kill()));
    for (const [which, gateway] of gateways.entries()) {
      world.network.own('dc1', gateway.address, false);
      gateway.address = world.network.publicAddress('dc1', movedTo++);
      world.network.own('dc1', gateway.address, true);
      world.startGateway('dc1', which);
    }
    if (tells) world.tellDoors();
    await until(
      `${how}: both listen`,
      20_000,
      async () => (await world.isReady('dc1', 0)) && world.isReady('dc1', 1),
    );
    const ready = performance.now();
    try {
      for (const [from, load] of loads) {
        const ms = await until(`${from} reads dc1 again`, 60_000, () => recoveredMs(load.reads, ready));
        figures.add(story, `${from} reads dc1, after they listen`, ms, { unit: 'ms', bound: 5_000 });
      }
      await until(
        'dc2 knows the new gateways',
        30_000,
        async () => (await world.passingGateways('dc2', 'dc1')) === 2,
      );
      figures.add(story, 'dc2 has the new record', since(ready), { unit: 'ms', bound: 15_000 });
    } finally {
      for (const [, load] of loads) await load.stop();
      world.tellDoors();
    }
  });

  test('primary down for a minute: secondaries keep reading each other, and find it when it is back', {
    timeout: 180_000,
  }, async () => {
    const story = 'primary down for 60 s';
    await using there = reader('dc2', 'dc3', 2);
    await using back = reader('dc3', 'dc2', 2);
    await using lost = reader('dc2', 'dc1');
    await Promise.all(
      [world.server('dc1'), world.gateway('dc1', 0), world.gateway('dc1', 1)].map((p) => p.kill()),
    );
    await pause(60_000);
    world.startAll();
    await until('it listens', 20_000, () => world.isReady('dc1', 0));
    const ready = performance.now();
    const ms = await until('dc2 reads dc1 again', 60_000, () => recoveredMs(lost.reads, ready));
    figures.add(story, 'dc2 reads dc1, after it is back', ms, { unit: 'ms', bound: 5_000 });
    await until('dc1 reads dc3 again', 60_000, () => world.reads('dc1', 'dc3'));
    figures.add(story, 'dc1 reads dc3, after it is back', since(ready), { unit: 'ms', bound: 5_000 });
    const all = [...(await there.stop()), ...(await back.stop())];
    figures.add(story, `secondaries: failed of ${all.length}`, failed(all).length, {
      unit: 'reads',
      bound: 0,
      fails: 0,
    });
    figures.add(story, 'secondaries: p99', quantileMs(all, 0.99), { unit: 'ms', bound: 100 });
    const errors = failed(await lost.stop());
    figures.add(story, 'dc2 reads dc1 meanwhile: longest that failed', longestMs(errors), {
      unit: 'ms',
      bound: readMsMax,
      fails: readMsMax,
    });
  });

  test('asymmetric partition: one direction lost between two; the third reads both', {
    timeout: 120_000,
  }, async () => {
    const story = 'one direction lost';
    await using there = reader('dc2', 'dc1', 2);
    await using back = reader('dc1', 'dc2', 2);
    await using third = reader('dc3', 'dc1', 2);
    await using fourth = reader('dc3', 'dc2', 2);
    world.network.cut('dc2', 'dc1');
    const began = performance.now();
    await pause(25_000);
    world.network.heal();
    const healed = performance.now();
    await silence(story, [there, back], began, healed);
    for (const load of [third, fourth]) expect(failed(await load.stop())).toEqual([]);
  });

  test('server killed -9: an error that names the hop, and reads when it is back', {
    timeout: 120_000,
  }, async () => {
    const story = 'server killed -9';
    await using there = reader('dc1', 'dc2');
    await world.server('dc2').kill();
    const began = performance.now();
    await pause(10_000);
    world.startServer('dc2');
    await until('it answers', 20_000, () => world.reads('dc2', 'dc2'));
    const ready = performance.now();
    const ms = await until('dc1 reads dc2 again', 60_000, () => recoveredMs(there.reads, ready - 5_000));
    figures.add(story, 'dc1 reads dc2, after it answers at home', Math.max(0, ms - 5_000), {
      unit: 'ms',
      bound: 1_000,
    });
    const errors = failed(there.reads).filter((read) => read.began > began);
    expect(errors.length).toBeGreaterThan(0);
    expect(errors.at(-1)?.error).toMatch(/gateway/);
    const seen = performance.now();
    await until(
      'dc2 reads all',
      60_000,
      async () => (await world.reads('dc2', 'dc1')) && world.reads('dc2', 'dc3'),
    );
    figures.add(story, 'dc2 reads all, after that', since(seen), { unit: 'ms', bound: 2_000 });
  });
});

/** New public addresses for gateways that move; each is used once. */
let movedTo = 3;

const since = (when: number): number => performance.now() - when;

const reader = (from: Datacenter, of: Datacenter, readers = 1): Load =>
  new Load(() => world.reads(from, of), readers);

/** Of local reads; the best of five spells, because other programs of this machine come and go, and what we look for stays. */
async function quietestP99Ms(datacenter: Datacenter): Promise<number> {
  let quietest = Number.POSITIVE_INFINITY;
  for (let spell = 0; spell < 5; spell++)
    quietest = Math.min(quietest, quantileMs(await readFor(datacenter, datacenter, 3_000, 4), 0.99));
  return quietest;
}

async function readFor(from: Datacenter, of: Datacenter, ms: number, readers = 1) {
  const load = reader(from, of, readers);
  await pause(ms);
  return await load.stop();
}

/** Reads over a way that was silent from `began` to `ended`: each failed in time and named the hop; then they came back. */
async function silence(story: string, loads: readonly Load[], began: number, ended: number): Promise<void> {
  for (const [at, load] of loads.entries()) {
    const way = at === 0 ? 'there' : 'back';
    const ms = await until(`${story}: ${way}, reads again`, 60_000, () => recoveredMs(load.reads, ended));
    figures.add(story, `${way}: reads again, after it is over`, ms, { unit: 'ms', bound: 5_000 });
    const lost = failed(load.reads).filter((read) => read.began >= began && read.began < ended);
    figures.add(story, `${way}: longest of ${lost.length} failed`, longestMs(lost), {
      unit: 'ms',
      bound: readMsMax,
      fails: readMsMax,
    });
    const nameless = lost.filter(({ error }) => !/gateway|server .* silent/.test(error ?? ''));
    figures.add(story, `${way}: failed without naming a hop`, nameless.length, {
      unit: 'reads',
      bound: 0,
      fails: 0,
    });
    if (nameless.length > 0) console.error(`${story}: ${way}: ${nameless[0]?.error}`);
  }
  await world.formed(mendMs);
  figures.add(story, 'all members alive and all gateways passing again', since(ended), {
    unit: 'ms',
    bound: 15_000,
  });
}
