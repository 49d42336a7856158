/**
 * chaos.test.ts: what happens to a federation when each of its parts fails, measured on real processes that can reach each
 * other through gateways only.
 *
 * One federation lives through all stories, one after the other; each begins with everything mended. Names follow the
 * ways in which the original is known to suffer. `FED_CHAOS=short` tells those that say most, shorter: a minute and a half.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { until } from '../lib/until.ts';
import { Figures } from './figures.ts';
import { answered, failed, longestMs, p99MoreMs, type Read, recoveredMs } from './load.ts';
import { frozenGateway, gatewayAway, oneOfTwoKilled, readMsMax, Stage, silence } from './stories.ts';
import { type Datacenter, datacenters, World } from './world.ts';

const short = process.env['FED_CHAOS'] === 'short';
const figures = new Figures();
let world: World;
let stage: Stage;

const mendMs = 60_000;
/** After which a session that nobody uses is asked for a sign of life when somebody does, and more. */
const restMs = 5_000;

beforeAll(async () => {
  world = await World.open();
  stage = new Stage({ world, figures, mendMs });
}, 60_000);

afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
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

  test.each(short ? [5_000] : [5_000, 20_000])(
    'gateway killed, restarted after %i ms: reads in both directions are back at once',
    { timeout: 120_000 },
    (outageMs) => gatewayAway(stage, outageMs),
  );

  test('one of two gateways killed under load: no read fails', { timeout: 120_000 }, () =>
    oneOfTwoKilled(stage, short ? { calmMs: 1_000, afterMs: 3_000 } : { calmMs: 5_000, afterMs: 8_000 }),
  );

  test('either of two gateways black-holed while nobody reads: the first read finds the other', {
    timeout: 120_000,
  }, async () => {
    const story = 'gateway black-holed while nobody reads';
    const tookMs: number[] = [];
    // The connection that waits for the next read leads through one of them.
    for (const { address } of world.site('dc1').gateways) {
      await until('a read', mendMs, () => world.reads('dc2', 'dc1'));
      await pause(restMs);
      world.network.swallow(address);
      const began = performance.now();
      await world.reads('dc2', 'dc1');
      tookMs.push(since(began));
      world.network.heal();
      await world.mend(mendMs);
    }
    figures.add(story, 'longest first read', Math.max(...tookMs), { unit: 'ms', bound: 1_500, fails: 5_000 });
  });

  test.skipIf(short)(
    'gateway accepts and never answers: an error in time that names the hop; others feel nothing',
    { timeout: 120_000 },
    () => frozenGateway(stage, 25_000),
  );

  test.skipIf(short)(
    'black-holed datacenter: an error in time that names the hop; others and memory do not feel it',
    { timeout: 180_000 },
    async () => {
      const story = 'black-holed datacenter';
      await using others = stage.reader('dc1', 'dc2', 2);
      await using there = stage.reader('dc1', 'dc3', 8);
      await using back = stage.reader('dc3', 'dc1', 8);
      await pause(5_000);
      const rss = world.server('dc1').rssMiB();
      world.network.isolate('dc3');
      const began = performance.now();
      await pause(35_000);
      const rssMore = world.server('dc1').rssMiB() - rss;
      world.network.heal();
      const healed = performance.now();
      await silence(stage, story, { there: [there, 'dc1'], back: [back, 'dc3'] }, began, healed);
      expect(failed(await others.stop())).toEqual([]);
      figures.add(story, 'RSS of a server elsewhere, more than before', rssMore, {
        unit: 'MiB',
        bound: 50,
        fails: 50,
      });
      figures.add(story, 'dc1 reads dc2: p99 more than before', p99MoreMs(others.reads, began), {
        unit: 'ms',
        bound: 100,
      });
    },
  );

  test.skipIf(short)(
    'one of two gateways black-holed under load: reads find the other',
    { timeout: 120_000 },
    async () => {
      const story = 'one of two gateways black-holed';
      const load = stage.reader('dc2', 'dc1', 4);
      await pause(2_000);
      world.network.swallow(world.site('dc1').gateways[0]?.address ?? '');
      const began = performance.now();
      await pause(20_000);
      const reads = await load.stop();
      const lost = failed(reads);
      figures.add(story, `failed of ${reads.length}`, lost.length, { unit: 'reads', bound: 0, fails: 8 });
      const late = answered(reads).filter((read) => read.began > began);
      figures.add(story, 'longest that was answered', longestMs(late), { unit: 'ms', bound: 2_000 });
      figures.add(
        story,
        'longest in the last 5 s',
        longestMs(reads.filter((read) => read.began > began + 15_000)),
        {
          unit: 'ms',
          bound: 500,
        },
      );
    },
  );

  test.skipIf(short)(
    'only gateway black-holed, no RST: an error in time that names the hop; what goes out feels nothing',
    { timeout: 120_000 },
    async () => {
      const story = 'only gateway black-holed';
      await using into = stage.reader('dc1', 'dc2', 2);
      await using intoToo = stage.reader('dc3', 'dc2', 2);
      await using out = stage.reader('dc2', 'dc1', 2);
      await using others = stage.reader('dc1', 'dc3', 2);
      world.network.swallow(world.site('dc2').gateways[0]?.address ?? '');
      const began = performance.now();
      await pause(25_000);
      world.network.heal();
      const healed = performance.now();
      const ways = { 'dc1 reads dc2': [into, 'dc1'], 'dc3 reads dc2': [intoToo, 'dc3'] } as const;
      await silence(stage, story, ways, began, healed);
      for (const [what, load] of [
        ['dc2 reads dc1', out],
        ['dc1 reads dc3', others],
      ] as const) {
        const reads = await load.stop();
        if (failed(reads).length > 0) console.error(`${story}: ${what}: ${failed(reads)[0]?.error}`);
        figures.add(story, `${what}: failed`, failed(reads).length, { unit: 'reads', bound: 0, fails: 0 });
      }
    },
  );

  test.skipIf(short)(
    'own gateway black-holed: the primary is reached past it, and elsewhere the error names it',
    { timeout: 120_000 },
    async () => {
      const story = 'own gateway black-holed';
      await using past = stage.reader('dc2', 'dc1', 2);
      await using nowhere = stage.reader('dc2', 'dc3', 2);
      await using local = stage.reader('dc2', 'dc2', 2);
      await using others = stage.reader('dc1', 'dc3', 2);
      world.network.swallowWithin('dc2', world.network.privateAddresses('dc2').gateways[0]);
      const began = performance.now();
      await pause(30_000);
      world.network.heal();
      const healed = performance.now();
      const meanwhile = (reads: readonly Read[]) =>
        reads.filter((read) => read.began >= began && read.began < healed);
      const lost = failed(meanwhile(past.reads));
      figures.add(story, 'dc2 reads dc1, past it: failed', lost.length, {
        unit: 'reads',
        bound: 0,
        fails: 4,
      });
      figures.add(story, '… longest', longestMs(meanwhile(past.reads)), { unit: 'ms', bound: 5_000 });
      const settled = meanwhile(past.reads).filter((read) => read.began > began + 15_000);
      figures.add(story, '… longest after 15 s', longestMs(settled), { unit: 'ms', bound: 500 });
      const unnamed = failed(meanwhile(nowhere.reads)).filter(
        ({ error }) => !/our own (gateway|datacenter has)/.test(error ?? ''),
      );
      if (unnamed.length > 0) console.error(`${story}: ${unnamed[0]?.error}`);
      figures.add(story, 'dc2 reads dc3: failed without naming it', unnamed.length, {
        unit: 'reads',
        bound: 0,
        fails: 0,
      });
      for (const load of [local, others]) expect(failed(await load.stop())).toEqual([]);
      await silence(stage, story, { 'dc2 reads dc3': [nowhere, 'dc2'] }, began, healed);
    },
  );

  test.skipIf(short)(
    'clocks that are minutes wrong: everybody still meets everybody, and a change travels',
    { timeout: 180_000 },
    async () => {
      const story = 'clocks 7 min fast and 5 min slow';
      const skews = { dc2: '+7m', dc3: '-5m' } as const;
      const skewed = ['dc2', 'dc3'] as const;
      const restart = async (): Promise<void> => {
        for (const datacenter of skewed) {
          await world.gateway(datacenter).kill();
          await world.server(datacenter).kill();
        }
        world.startAll();
        await until(
          'they listen',
          20_000,
          async () => (await world.isReady('dc2', 0)) && world.isReady('dc3', 0),
        );
      };
      await using others = stage.reader('dc1', 'dc1', 2);
      for (const datacenter of skewed) world.site(datacenter).skew = skews[datacenter];
      try {
        await restart();
        const ready = performance.now();
        for (const from of datacenters)
          for (const of of datacenters)
            await until(`${from} reads ${of}`, 30_000, () => world.reads(from, of));
        figures.add(story, 'all read all, after they listen', since(ready), { unit: 'ms', bound: 3_000 });
        await world.formed(mendMs);
        figures.add(story, 'all members alive and all gateways passing', since(ready), {
          unit: 'ms',
          bound: 20_000,
        });
        const loads = [
          stage.reader('dc2', 'dc3', 2),
          stage.reader('dc3', 'dc2', 2),
          stage.reader('dc3', 'dc1', 2),
        ];
        await pause(10_000);
        const reads = (await Promise.all(loads.map((load) => load.stop()))).flat();
        figures.add(story, 'failed in 10 s', failed(reads).length, { unit: 'reads', bound: 0, fails: 0 });
        // The records of the slow one are older by the calendar than those they replace.
        await world.gateway('dc3').kill();
        const gone = performance.now();
        await until(
          'dc2 knows that it is gone',
          60_000,
          async () => (await world.passingGateways('dc2', 'dc3')) === 0,
        );
        figures.add(story, 'a gateway of the slow one fails: known in the fast one', since(gone), {
          unit: 'ms',
          bound: 15_000, // a health check every 10 s finds it
        });
      } finally {
        for (const datacenter of skewed) world.site(datacenter).skew = undefined;
      }
      await restart();
      const ready = performance.now();
      await world.formed(mendMs);
      figures.add(story, 'with right clocks again: all alive and passing', since(ready), {
        unit: 'ms',
        bound: 20_000,
      });
      expect(failed(await others.stop())).toEqual([]);
    },
  );

  test.each(
    [
      ['the file of primary_gateways tells', true],
      ['nobody tells: the news travels over the direction that works', false],
    ].slice(0, short ? 1 : 2) as [string, boolean][],
  )('all primary gateways replaced by new addresses; %s', { timeout: 120_000 }, async (how, tells) => {
    const story = `primary gateways moved; ${tells ? 'file' : 'no file'}`;
    const loads = (['dc2', 'dc3'] as const).map((from) => [from, stage.reader(from, 'dc1')] as const);
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

  test.skipIf(short)(
    'primary down for two minutes: secondaries keep reading each other, and find it when it is back',
    { timeout: 300_000 },
    async () => {
      const story = 'primary down for 120 s';
      await using there = stage.reader('dc2', 'dc3', 2);
      await using back = stage.reader('dc3', 'dc2', 2);
      await using lost = stage.reader('dc2', 'dc1');
      await pause(5_000);
      const began = performance.now();
      await Promise.all(
        [world.server('dc1'), world.gateway('dc1', 0), world.gateway('dc1', 1)].map((p) => p.kill()),
      );
      const gone = performance.now();
      figures.add(story, 'dc2 and dc3 know that it failed', await knownToHaveFailed('dc1', gone), {
        unit: 'ms',
        bound: failedMs,
      });
      await pause(Math.max(0, gone + 120_000 - performance.now()));
      world.startAll();
      await until('it listens', 20_000, () => world.isReady('dc1', 0));
      const ready = performance.now();
      figures.add(story, 'dc2 reads dc1, after it is back', await stage.recovery(lost, ready), {
        unit: 'ms',
        bound: 5_000,
      });
      await until('dc1 reads dc3 again', 60_000, () => world.reads('dc1', 'dc3'));
      figures.add(story, 'dc1 reads dc3, after it is back', since(ready), { unit: 'ms', bound: 5_000 });
      const all = [...(await there.stop()), ...(await back.stop())];
      figures.add(story, 'secondaries: failed', failed(all).length, { unit: 'reads', bound: 0, fails: 0 });
      figures.add(story, 'secondaries: p99 more than before', p99MoreMs(all, began), {
        unit: 'ms',
        bound: 100,
      });
      const errors = failed(await lost.stop());
      figures.add(story, 'dc2 reads dc1 meanwhile: longest that failed', longestMs(errors), {
        unit: 'ms',
        bound: readMsMax,
        fails: readMsMax,
      });
    },
  );

  test.skipIf(short)(
    'asymmetric partition: one direction lost between two; the third reads both',
    {
      timeout: 120_000,
    },
    async () => {
      const story = 'one direction lost';
      await using there = stage.reader('dc2', 'dc1', 2);
      await using back = stage.reader('dc1', 'dc2', 2);
      await using third = stage.reader('dc3', 'dc1', 2);
      await using fourth = stage.reader('dc3', 'dc2', 2);
      world.network.cut('dc2', 'dc1');
      const began = performance.now();
      await pause(25_000);
      world.network.heal();
      const healed = performance.now();
      await silence(stage, story, { there: [there, 'dc2'], back: [back, 'dc1'] }, began, healed);
      for (const load of [third, fourth]) expect(failed(await load.stop())).toEqual([]);
    },
  );

  test('server killed -9: an error that names the hop, and reads when it is back', {
    timeout: 120_000,
  }, async () => {
    const story = 'server killed -9';
    await using there = stage.reader('dc1', 'dc2');
    await world.server('dc2').kill();
    const began = performance.now();
    if (short) await pause(5_000);
    // Its gateway lives, takes every connection and closes it: Consul sees no failure in that, and calls it alive for ever.
    else
      figures.add(story, 'dc1 and dc3 know that it failed', await knownToHaveFailed('dc2', began), {
        unit: 'ms',
        bound: failedMs,
      });
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

/**
 * By then all others know. Of two members each is probed every second turn of 5 s, or every third when a new round begins
 * with the other; 5 s without an answer, and the suspect has 30 s to object.
 */
const failedMs = 50_000;

/** How long after `gone` all others call the server of `of` failed. */
async function knownToHaveFailed(of: Datacenter, gone: number): Promise<number> {
  const others = datacenters.filter((from) => from !== of);
  return await stage.within(async () => {
    for (const from of others) if ((await world.status(from, of)) !== 4) return undefined;
    return performance.now() - gone;
  });
}
