/**
 * scenarios.ts: each pain the original is known for, as a story with a figure and a bound.
 *
 * A story is told of any subject. Ours must stay within the bound; the model of the original's rules must not, or the story
 * proves nothing. Times are virtual, in milliseconds. Sources: runs of Consul 1.9.8, and its sources (original.ts).
 * Lives here: the stories. Must not live here: who is told of (subject.ts, original.ts).
 */
import { type Kind, type Subject, subjectOf } from './subject.ts';

export interface Scenario {
  readonly name: string;
  readonly measures: string;
  /** The figure must not be larger. */
  readonly bound: number;
  readonly unit: 'ms' | 'reads' | 'writes';
  readonly datacenters: number;
  readonly gateways: number;
  readonly tell: (s: Subject) => Promise<number>;
}

export interface Told {
  readonly scenario: Scenario;
  readonly kind: Kind;
  /** Infinity: not within the time it was watched. */
  readonly figure: number;
  readonly within: boolean;
}

const formedMsMax = 180_000;
/** Nothing is watched for longer. */
const watchMs = 150_000;

export async function tell(scenario: Scenario, kind: Kind, seed = 1): Promise<Told> {
  const subject = await subjectOf(kind, { seed, ...scenario });
  const figure = await scenario.tell(subject);
  await subject.clock.until(subject.end());
  return { scenario, kind, figure, within: figure <= scenario.bound };
}

export const scenarios: readonly Scenario[] = [
  {
    name: 'late gateway',
    measures: 'from the primary’s gateway being there to the first read of a secondary that waited for it',
    bound: 1_500,
    unit: 'ms',
    datacenters: 2,
    gateways: 1,
    async tell(s) {
      s.start({ gatewaysOf: ['dc2'] });
      await s.clock.run(12_000);
      s.startGateways('dc1');
      return timeUntil(s, () => reads(s, 'dc2', 'dc1'));
    },
  },
  {
    name: 'secondary restarts',
    measures: 'from its start to its first read of the primary',
    bound: 1_500,
    unit: 'ms',
    datacenters: 2,
    gateways: 1,
    async tell(s) {
      await formed(s, ['dc1', 'dc2']);
      await s.killServer('dc2');
      await s.clock.run(2_000);
      s.startServer('dc2');
      return timeUntil(s, () => reads(s, 'dc2', 'dc1'));
    },
  },
  {
    name: 'gateway back after an outage',
    measures: 'from its start, its own configuration included, to reads in both directions',
    bound: 1_000,
    unit: 'ms',
    datacenters: 2,
    gateways: 1,
    async tell(s) {
      await formed(s, ['dc1', 'dc2']);
      await s.killGateways('dc1');
      await s.clock.run(3_000);
      await Promise.all([reads(s, 'dc2', 'dc1'), s.clock.run(6_000)]); // somebody notices
      s.startGateways('dc1');
      return timeUntil(s, async () => (await reads(s, 'dc2', 'dc1')) && (await reads(s, 'dc1', 'dc2')));
    },
  },
  {
    name: 'only server of a datacenter dies behind a healthy gateway',
    measures: 'until another datacenter calls it failed',
    bound: 60_000,
    unit: 'ms',
    datacenters: 2,
    gateways: 1,
    async tell(s) {
      await formed(s, ['dc1', 'dc2']);
      await s.killServer('dc2');
      return timeUntil(s, async () => s.status('dc1', 'dc2') === 'failed');
    },
  },
  {
    name: 'gateway that accepts and says nothing',
    measures: 'until a read through it ends, either way',
    bound: 11_000,
    unit: 'ms',
    datacenters: 2,
    gateways: 1,
    async tell(s) {
      await formed(s, ['dc1', 'dc2']);
      s.freezeGateways('dc1', true);
      await s.clock.run(1_000);
      return timeUntilSettled(s, s.read('dc2', 'dc1'));
    },
  },
  {
    name: 'silent gateway and a death elsewhere',
    measures: 'until the death of a third datacenter is noticed while another one’s gateway is silent',
    bound: 90_000,
    unit: 'ms',
    datacenters: 3,
    gateways: 1,
    async tell(s) {
      await formed(s, ['dc1', 'dc2', 'dc3']);
      s.freezeGateways('dc1', true);
      await s.clock.run(15_000);
      await s.killServer('dc3');
      await s.killGateways('dc3');
      return timeUntil(s, async () => s.status('dc2', 'dc3') === 'failed');
    },
  },
  {
    name: 'all gateways of the primary replaced',
    measures: 'until a secondary reads the primary again, without a restart',
    bound: 5_000,
    unit: 'ms',
    datacenters: 2,
    gateways: 2,
    async tell(s) {
      await formed(s, ['dc1', 'dc2']);
      await s.clock.until(s.replaceGateways('dc1'));
      return timeUntil(s, () => reads(s, 'dc2', 'dc1'));
    },
  },
  {
    name: 'both moved while apart',
    measures: 'until they read each other, when a third datacenter is all they have in common',
    bound: 10_000,
    unit: 'ms',
    datacenters: 3,
    gateways: 1,
    async tell(s) {
      await formed(s, ['dc1', 'dc2', 'dc3']);
      s.cutLink('dc1', 'dc2', true);
      await s.clock.run(2_000);
      await s.clock.until(s.replaceGateways('dc1'));
      await s.clock.until(s.replaceGateways('dc2'));
      await s.clock.run(20_000);
      s.cutLink('dc1', 'dc2', false);
      return timeUntil(s, async () => (await reads(s, 'dc2', 'dc1')) && (await reads(s, 'dc1', 'dc2')));
    },
  },
  {
    name: 'one of two gateways dark',
    measures: 'reads over new connections, of eight, that fail before a health check has seen it',
    bound: 0,
    unit: 'reads',
    datacenters: 2,
    gateways: 2,
    async tell(s) {
      await formed(s, ['dc1', 'dc2']);
      s.darkenGateways('dc1', true, { onlyFirst: true });
      let failed = 0;
      for (let i = 0; i < 8; i++) {
        s.breakConnections('dc1');
        await s.clock.run(100);
        if (!(await reads(s, 'dc1', 'dc2'))) failed++;
      }
      return failed;
    },
  },
  {
    name: 'own gateway replaced while the primary is away',
    measures: 'until two secondaries read each other again',
    bound: 5_000,
    unit: 'ms',
    datacenters: 3,
    gateways: 1,
    async tell(s) {
      await formed(s, ['dc1', 'dc2', 'dc3']);
      await s.killGateways('dc1');
      await s.killServer('dc1');
      await s.clock.run(1_000);
      await s.clock.until(s.replaceGateways('dc2'));
      return timeUntil(s, () => reads(s, 'dc2', 'dc3'));
    },
  },
  {
    name: 'primary back after two minutes',
    measures: 'from its gateway’s return until a secondary knows what changed meanwhile',
    bound: 5_000,
    unit: 'ms',
    datacenters: 2,
    gateways: 1,
    async tell(s) {
      await formed(s, ['dc1', 'dc2']);
      await s.killGateways('dc1');
      await s.killServer('dc1');
      await s.clock.run(120_000);
      s.startServer('dc1');
      await s.clock.run(1_000);
      await s.clock.until(s.replaceGateways('dc1'));
      return timeUntil(s, async () => s.knowsGateways('dc2', 'dc1'));
    },
  },
  {
    name: 'unchanged records after an outage',
    measures: 'copies a secondary writes again although nothing changed',
    bound: 0,
    unit: 'writes',
    datacenters: 3,
    gateways: 1,
    async tell(s) {
      await formed(s, ['dc1', 'dc2', 'dc3']);
      await s.clock.run(12_000);
      const before = s.copies('dc2');
      s.cutLink('dc1', 'dc2', true);
      await s.clock.run(60_000);
      s.cutLink('dc1', 'dc2', false);
      await s.clock.run(60_000);
      return s.copies('dc2') - before;
    },
  },
  {
    name: 'health check that says the same in other words',
    measures: 'writes to the primary for ten new texts',
    bound: 0,
    unit: 'writes',
    datacenters: 2,
    gateways: 1,
    async tell(s) {
      await formed(s, ['dc1', 'dc2']);
      await s.clock.run(12_000);
      const before = s.writes();
      for (let i = 0; i < 10; i++) {
        await s.clock.until(s.mumble('dc1'));
        await s.clock.run(2_000);
      }
      return s.writes() - before;
    },
  },
];

/** Everybody reads everybody, and has for long enough that nothing of it is new. */
async function formed(s: Subject, dcs: readonly string[]): Promise<void> {
  s.start({ gatewaysOf: dcs });
  const began = s.clock.now();
  for (;;) {
    let whole = true;
    for (const from of dcs)
      for (const to of dcs) if (from !== to && whole && !(await reads(s, from, to))) whole = false;
    if (whole) break;
    if (s.clock.now() - began > formedMsMax) throw new Error('it never formed');
    await s.clock.run(500);
  }
  await s.clock.run(5_000);
}

/** Whether a read asked now is answered well, however long that takes, up to a limit. */
async function reads(s: Subject, from: string, to: string): Promise<boolean> {
  return (await settle(s, s.read(from, to))) === 'answered';
}

async function settle(s: Subject, work: Promise<unknown>): Promise<'answered' | 'failed' | 'hangs'> {
  let outcome: 'answered' | 'failed' | undefined;
  work.then(
    () => {
      outcome = 'answered';
    },
    () => {
      outcome = 'failed';
    },
  );
  await s.clock.run(watchMs, () => outcome !== undefined);
  return outcome ?? 'hangs';
}

async function timeUntilSettled(s: Subject, work: Promise<unknown>): Promise<number> {
  const began = s.clock.now();
  return (await settle(s, work)) === 'hangs' ? Number.POSITIVE_INFINITY : s.clock.now() - began;
}

async function timeUntil(s: Subject, holds: () => Promise<boolean>): Promise<number> {
  const began = s.clock.now();
  while (s.clock.now() - began < watchMs) {
    if (await holds()) return s.clock.now() - began;
    await s.clock.run(50);
  }
  return Number.POSITIVE_INFINITY;
}
