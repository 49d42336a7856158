import { settled, VirtualClock } from '@fed/tooling/virtual-clock';
import { expect, test } from 'vitest';
import { Reach, type ReachPorts } from './reach.ts';

function world(over: Partial<ReachPorts> = {}) {
  const clock = new VirtualClock();
  const tries: string[] = [];
  const met: string[] = [];
  let reachable = false;
  const ports: ReachPorts = {
    clock,
    rng: { below: (n) => n - 1 },
    meet: (datacenter) => {
      tries.push(`${datacenter}@${clock.now()}`);
      return reachable ? Promise.resolve() : Promise.reject(new Error('refused'));
    },
    worthTrying: () => true,
    met: (datacenter, count) => void met.push(`${datacenter} after ${count}`),
    failed: () => {},
    ...over,
  };
  return {
    clock,
    tries,
    met,
    reach: new Reach(ports),
    open: (): void => {
      reachable = true;
    },
  };
}

test('reach: a datacenter is tried at once', async () => {
  const { reach, tries, met, open } = world();
  open();
  reach.want('dc1');
  await settled();
  expect(tries).toEqual(['dc1@0']);
  expect(met).toEqual(['dc1 after 1']);
  expect(reach.pending()).toEqual([]);
});

test('reach: however long it takes, no pause is longer than 750 ms', async () => {
  const { reach, clock, met, open } = world();
  reach.want('dc1');
  await clock.advance(3_600_000);
  open();
  const before = clock.now();
  await clock.advance(750);
  expect(clock.now() - before).toBe(750);
  expect(met).toHaveLength(1);
});

test('reach: news during a try is answered by another try, because the first may have begun before it', async () => {
  const pending: (() => void)[] = [];
  const { reach, tries } = world({
    meet: (datacenter) => {
      tries.push(datacenter);
      return new Promise((resolve) => pending.push(resolve));
    },
  });
  reach.want('dc1');
  reach.want('dc1');
  expect(tries).toEqual(['dc1']);
  pending[0]?.();
  await settled();
  expect(tries).toEqual(['dc1', 'dc1']);
  pending[1]?.();
  await settled();
  expect(tries).toEqual(['dc1', 'dc1']);
});

/** Meetings of which nobody ever says anything. */
function silence() {
  const asked: { readonly at: number; readonly signal: AbortSignal }[] = [];
  const failures: unknown[] = [];
  const silent = world({
    meet: (_datacenter, signal) => {
      asked.push({ at: silent.clock.now(), signal });
      return new Promise(() => {}); // deaf to its signal, too
    },
    failed: (_datacenter, _tries, error) => void failures.push(error),
  });
  return { ...silent, asked, failures };
}

test('reach: a try that goes silent is given up after 6 s, and the next one begins', async () => {
  const { reach, clock, asked, failures } = silence();
  reach.want('dc1');
  await clock.advance(5_999);
  expect(asked).toHaveLength(1);
  await clock.advance(751);
  expect(asked.map(({ signal }) => signal.aborted)).toEqual([true, false]);
  expect(failures).toMatchObject([{ code: 'budget_spent', message: expect.stringContaining('meeting dc1') }]);
});

test('reach: a way may be slow and not silent: the next try has twice the time, 30 s at most', async () => {
  const { reach, clock, asked } = silence();
  reach.want('dc1');
  await clock.advance(200_000);
  const took = asked.slice(1).map(({ at }, i) => at - asked[i]!.at);
  expect(took.slice(0, 5).map((ms) => Math.floor(ms / 1_000))).toEqual([6, 12, 24, 30, 30]);
});

test('reach: after news a try has no more time than at first', async () => {
  const { reach, clock, asked } = silence();
  reach.want('dc1');
  await clock.advance(10_000); // the second try is under way, for 12 s
  reach.want('dc1');
  await clock.advance(10_000);
  expect(asked).toHaveLength(3);
  await clock.advance(6_000);
  expect(asked).toHaveLength(4);
});

test('reach: closing ends a try that is silent', async () => {
  const { reach, clock, asked, failures } = silence();
  reach.want('dc1');
  reach[Symbol.dispose]();
  await settled();
  expect(asked.map(({ signal }) => signal.aborted)).toEqual([true]);
  expect(clock.armed).toBe(0);
  expect(failures).toEqual([]);
});

test('reach: nothing is dialled while there is no way to try', async () => {
  const { reach, clock, tries } = world({ worthTrying: () => false });
  reach.want('dc1');
  await clock.advance(10_000);
  expect(tries).toEqual([]);
  expect(reach.pending()).toEqual(['dc1']);
});

test('reach: closing stops every try and leaves no timer', async () => {
  const { reach, clock } = world();
  reach.want('dc1');
  await clock.advance(1000);
  reach[Symbol.dispose]();
  await clock.advance(10_000);
  expect(clock.armed).toBe(0);
});

test('reach: a doubt is answered at once, by tries until one works', async () => {
  const { reach, clock, tries, met, open } = world();
  reach.doubt('dc1');
  await settled();
  expect(tries).toEqual(['dc1@0']);
  open();
  await clock.advance(750);
  expect(met).toEqual(['dc1 after 2']);
});

test('reach: however often it is doubted, a datacenter is met for that once in 5 s', async () => {
  const { reach, clock, tries, open } = world();
  open();
  for (let i = 0; i < 39; i++) {
    reach.doubt('dc1');
    await clock.advance(500);
  }
  expect(tries).toEqual(['dc1@0', 'dc1@5000', 'dc1@10000', 'dc1@15000']);
  expect(reach.pending()).toEqual(['dc1']); // the last doubt is not forgotten either
});

test('reach: news does not wait for the rest a doubt would get', async () => {
  const { reach, clock, tries, open } = world();
  open();
  reach.doubt('dc1');
  await settled();
  reach.doubt('dc1');
  reach.want('dc1');
  await settled();
  expect(tries).toEqual(['dc1@0', 'dc1@0']);
  await clock.advance(60_000);
  expect(tries).toHaveLength(2);
  expect(clock.armed).toBe(0);
});

test('reach: doubts about one that is being tried change nothing', async () => {
  const { reach, clock, tries } = world();
  const alone = world();
  reach.want('dc1');
  alone.reach.want('dc1');
  for (let i = 0; i < 100; i++) {
    reach.doubt('dc1'); // its own dials fail, too
    await clock.advance(100);
    await alone.clock.advance(100);
  }
  expect(tries).toEqual(alone.tries);
});
