/**
 * stories.ts: the faults that any federation can be put through, ours, Consul's or one of both, and what is measured of it.
 *
 * Lives here: the first three stories, and what all stories share: readers, waiting for their recovery. Must not live here:
 * stories that only ours can live through (chaos.test.ts), how a figure is shown (figures.ts).
 */
import { setTimeout as pause } from 'node:timers/promises';
import { until } from '../lib/until.ts';
import type { Figures } from './figures.ts';
import { failed, Load, longestMs, p99MoreMs, type Read, recoveredMs } from './load.ts';
import type { Datacenter, World } from './world.ts';

/** No read of another datacenter takes longer, answered or not: ten seconds and the way there and back. */
export const readMsMax = 10_500;

/** So long nothing is wrong yet, for those whose reads before a fault are compared with those meanwhile. */
const calmMs = 5_000;

/** An error that says which hop failed, as ours do. */
export const namesHop = /gateway|server .* silent/;

export class Stage {
  readonly world: World;
  readonly figures: Figures;
  /** How long we wait for what does not come. */
  readonly patienceMs: number;
  /** Everybody was healthy before; this is how long that may take to be so again, with all checks passing. */
  readonly mendMs: number;

  constructor(o: { world: World; figures: Figures; patienceMs?: number; mendMs?: number }) {
    this.world = o.world;
    this.figures = o.figures;
    this.patienceMs = o.patienceMs ?? 60_000;
    this.mendMs = o.mendMs ?? 60_000;
  }

  /** Reads the catalog of `of` by way of the server of `from`, all the time. */
  reader(from: Datacenter, of: Datacenter, readers = 1): Load {
    return new Load(() => this.world.reads(from, of), readers);
  }

  /** Whatever was done is undone. Who does not find his way back by himself is started again, which is told. */
  async mend(): Promise<void> {
    try {
      await this.world.mend(this.mendMs);
    } catch (cause) {
      if (this.judges('dc1')) throw cause;
      console.error(`${(cause as Error).message}; everything is started again`);
      await this.world.restartAll();
      await this.world.formed(this.mendMs);
    }
  }

  /** From `since` to the first answer after it; Infinity if it does not come. */
  async recovery(load: Load, since: number): Promise<number> {
    return await this.within(() => recoveredMs(load.reads, since));
  }

  /** What `check` yields as soon as it does; Infinity if that takes longer than our patience. */
  async within(check: () => Promise<number | undefined> | number | undefined): Promise<number> {
    try {
      return await until('something that may never come', this.patienceMs, check);
    } catch {
      return Number.POSITIVE_INFINITY;
    }
  }

  /** What Consul does itself is told and not judged. */
  judges(from: Datacenter): boolean {
    return this.world.site(from).kind === 'ours';
  }
}

export async function gatewayAway(stage: Stage, outageMs: number): Promise<void> {
  const { world, figures } = stage;
  const story = `gateway away for ${outageMs / 1000} s`;
  await using there = stage.reader('dc1', 'dc2');
  await using back = stage.reader('dc2', 'dc1');
  await using others = stage.reader('dc1', 'dc3');
  await world.gateway('dc2').kill();
  const gone = performance.now();
  await pause(outageMs);
  world.startGateway('dc2', 0);
  await until('the gateway listens', 20_000, () => world.isReady('dc2', 0));
  const ready = performance.now();
  for (const [from, of, load] of [
    ['dc1', 'dc2', there],
    ['dc2', 'dc1', back],
  ] as const) {
    const judged = stage.judges(from);
    figures.add(story, `${from} reads ${of}, after it is back`, await stage.recovery(load, ready), {
      unit: 'ms',
      bound: 1_000,
      judged,
    });
    const meanwhile = during(load.reads, gone, ready);
    const lost = failed(meanwhile);
    figures.add(story, `${from} reads ${of}: longest meanwhile`, longestMs(meanwhile), {
      unit: 'ms',
      bound: readMsMax,
      fails: readMsMax,
      judged,
    });
    tellNameless(stage, story, `${from} reads ${of}`, lost, judged);
  }
  const lost = failed(await others.stop());
  figures.add(story, 'dc1 reads dc3: failed', lost.length, {
    unit: 'reads',
    bound: 0,
    fails: 0,
    judged: stage.judges('dc1'),
  });
}

export async function oneOfTwoKilled(
  stage: Stage,
  o: { readonly calmMs: number; readonly afterMs: number },
): Promise<void> {
  const { world, figures } = stage;
  const story = 'one of two gateways killed';
  const ways = [
    ['dc2', 'dc1'],
    ['dc3', 'dc1'],
    ['dc1', 'dc2'],
  ] as const;
  for (const [at, which] of [0, 1].entries()) {
    await stage.mend();
    const loads = ways.map(([from, of]) => stage.reader(from, of, 4));
    await pause(o.calmMs);
    const killed = performance.now();
    await world.gateway('dc1', which).kill();
    await pause(o.afterMs);
    for (const [way, load] of loads.entries()) {
      const reads = await load.stop();
      const [from, of] = ways[way] as (typeof ways)[number];
      const judged = stage.judges(from);
      const lost = failed(reads);
      if (lost.length > 0) console.error(`${from} reads ${of}: ${lost.length} failed: ${lost[0]?.error}`);
      const what = `gateway ${at}, ${from} reads ${of}`;
      figures.add(story, `${what}: failed`, lost.length, { unit: 'reads', bound: 0, fails: 0, judged });
      // Seconds before: the machine may have had more or less to do a minute ago.
      figures.add(story, `${what}: p99 more than before`, p99MoreMs(reads, killed), {
        unit: 'ms',
        bound: 500,
        judged,
      });
    }
  }
}

export async function frozenGateway(stage: Stage, frozenMs: number): Promise<void> {
  const { world, figures } = stage;
  const story = 'frozen gateway';
  await using there = stage.reader('dc1', 'dc2', 2);
  await using back = stage.reader('dc2', 'dc1', 2);
  await using others = stage.reader('dc1', 'dc3', 2);
  await using local = stage.reader('dc2', 'dc2', 2);
  await pause(calmMs);
  world.gateway('dc2').freeze();
  const began = performance.now();
  await pause(frozenMs);
  world.gateway('dc2').thaw();
  const thawed = performance.now();
  await silence(stage, story, { there: [there, 'dc1'], back: [back, 'dc2'] }, began, thawed);
  for (const [what, load, from] of [
    ['dc1 reads dc3: failed', others, 'dc1'],
    ['dc2 reads dc2: failed', local, 'dc2'],
  ] as const) {
    const judged = stage.judges(from);
    const lost = failed(await load.stop()).length;
    figures.add(story, what, lost, { unit: 'reads', bound: 0, fails: 0, judged });
  }
  const judged = stage.judges('dc1');
  figures.add(story, 'dc1 reads dc3: p99 more than before', p99MoreMs(others.reads, began), {
    unit: 'ms',
    bound: 100,
    judged,
  });
}

/** Reads under way at any moment between the two, answered or not: one may hang from before the beginning until the end. */
const during = (reads: readonly Read[], began: number, ended: number): readonly Read[] =>
  reads.filter((read) => read.began < ended && read.began + read.tookMs > began);

/** Reads over a way that was silent from `began` to `ended`: each failed in time and named the hop; then they came back. */
export async function silence(
  stage: Stage,
  story: string,
  loads: Readonly<Record<string, readonly [load: Load, from: Datacenter]>>,
  began: number,
  ended: number,
): Promise<void> {
  const { figures, world } = stage;
  for (const [way, [load, from]] of Object.entries(loads)) {
    const judged = stage.judges(from);
    const ms = await stage.recovery(load, ended);
    figures.add(story, `${way}: reads again, after it is over`, ms, { unit: 'ms', bound: 5_000, judged });
    const meanwhile = during(load.reads, began, ended);
    const lost = failed(meanwhile);
    figures.add(story, `${way}: longest meanwhile`, longestMs(meanwhile), {
      unit: 'ms',
      bound: readMsMax,
      fails: readMsMax,
      judged,
    });
    tellNameless(stage, story, way, lost, judged);
  }
  const formed = await stage.within(async () => {
    await world.formed(0);
    return performance.now() - ended;
  });
  figures.add(story, 'all members alive and all gateways passing again', formed, {
    unit: 'ms',
    bound: 15_000,
    judged: (['dc1', 'dc2', 'dc3'] as const).every((datacenter) => stage.judges(datacenter)),
  });
}

function tellNameless(
  { figures }: Stage,
  story: string,
  way: string,
  lost: readonly Read[],
  judged: boolean,
): void {
  const nameless = lost.filter(({ error }) => !namesHop.test(error ?? ''));
  figures.add(story, `${way}: failed without naming a hop`, nameless.length, {
    unit: 'reads',
    bound: 0,
    fails: 0,
    judged,
  });
  if (judged && nameless.length > 0) console.error(`${story}: ${way}: ${nameless[0]?.error}`);
}
