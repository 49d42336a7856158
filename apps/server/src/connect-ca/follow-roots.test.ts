import { randomBytes } from 'node:crypto';
import { createMemoryFs, embeddedLog, type Fsm, type MemoryFs, openFsm } from '@fed/fsm';
import type { Value } from '@fed/msgpack';
import { expect, test } from 'vitest';
import type { Endpoint } from '../rpc/ask.ts';
import { Callers } from '../rpc/callers.ts';
import { connectCaEndpoints } from '../rpc/connect-ca.ts';
import { Authority, clusterIdOf } from './authority.ts';
import { openFollowRoots, type RootsTurn } from './follow-roots.ts';

class ManualClock {
  #now = 0;
  readonly #timers = new Set<{ readonly when: number; readonly wake: () => void }>();
  now(): number {
    return this.#now;
  }
  at(when: number, wake: () => void): Disposable {
    const timer = { when, wake };
    this.#timers.add(timer);
    return { [Symbol.dispose]: () => void this.#timers.delete(timer) };
  }
  advance(ms: number): void {
    this.#now += ms;
    for (const timer of [...this.#timers])
      if (timer.when <= this.#now && this.#timers.delete(timer)) timer.wake();
  }
}

const rng = { below: () => 0 };
const signal = new AbortController().signal;
const open = (clock: ManualClock, fs: MemoryFs = createMemoryFs()): Promise<Fsm> =>
  openFsm({ engine: embeddedLog({ dir: '/data', fs }), clock, rng });
const authorityOf = (fsm: Fsm): Authority =>
  new Authority({
    datacenter: 'dc1',
    primary: 'dc1',
    fsm,
    maker: { randomBytes, now: () => Date.UTC(2026, 0, 1) },
  });

function rootsOf(fsm: Fsm, datacenter: string): (args: { readonly [key: string]: Value }) => Promise<Value> {
  const endpoints = connectCaEndpoints({
    fsm,
    datacenter,
    primary: 'dc1',
    queryTimeDefaultMs: 600_000,
    queryTimeMaxMs: 600_000,
    authority: authorityOf(fsm),
    callers: new Callers({ datacenter, domain: 'consul', verify: () => true }),
  });
  return async (args) => (endpoints['ConnectCA.Roots'] as Endpoint).answer(args, { signal });
}

/** A primary and a secondary that follows it; `next` is the next turn of the loop. */
async function pair(o: { readonly rooted: boolean }) {
  const clock = new ManualClock();
  const primary = await open(clock);
  const secondary = await open(clock);
  if (o.rooted) await authorityOf(primary).ensureRoot();
  const turns: RootsTurn[] = [];
  let heard: (() => void) | undefined;
  const answer = rootsOf(primary, 'dc1');
  const follow = openFollowRoots({
    datacenter: 'dc2',
    primary: 'dc1',
    ask: (_method, args) => answer(args as { readonly [key: string]: Value }),
    fsm: secondary,
    clock,
    rng,
    onTurn: (turn) => {
      turns.push(turn);
      heard?.();
    },
  });
  const turn = async (number: number): Promise<RootsTurn> => {
    while (turns.length < number)
      await new Promise<void>((resolve) => {
        heard = resolve;
      });
    return turns[number - 1] as RootsTurn;
  };
  return {
    clock,
    primary,
    secondary,
    follow,
    turn,
    async [Symbol.asyncDispose]() {
      // The primary goes first: a question that waits there ends with it.
      clock.advance(10_000_000);
      await follow[Symbol.asyncDispose]();
      await primary[Symbol.asyncDispose]();
      await secondary[Symbol.asyncDispose]();
    },
  };
}

test('roots: a secondary has the primary’s, and its trust domain, and answers the same', async () => {
  await using both = await pair({ rooted: true });
  expect(await both.turn(1)).toMatchObject({ kind: 'copied', roots: 1 });
  expect(clusterIdOf(both.secondary.store)).toBe(clusterIdOf(both.primary.store));
  const theirs = (await rootsOf(both.primary, 'dc1')({})) as { readonly [key: string]: Value };
  const ours = (await rootsOf(both.secondary, 'dc2')({})) as { readonly [key: string]: Value };
  expect([ours['ActiveRootID'], ours['TrustDomain']]).toEqual([
    theirs['ActiveRootID'],
    theirs['TrustDomain'],
  ]);
});

test('roots: while the primary has none, it is asked again, later each time, and at once when woken', async () => {
  await using both = await pair({ rooted: false });
  expect(await both.turn(1)).toMatchObject({ kind: 'failed', waitMs: 1000 });
  both.clock.advance(1000);
  expect(await both.turn(2)).toMatchObject({ kind: 'failed', waitMs: 2000 });
  await authorityOf(both.primary).ensureRoot();
  both.follow.wake();
  expect(await both.turn(3)).toMatchObject({ kind: 'copied' });
});

test('roots: a copy that is up to date is not written again', async () => {
  await using both = await pair({ rooted: true });
  await both.turn(1);
  const written = both.secondary.stats().appliedIndex;
  both.clock.advance(1000);
  for (let ready = 0; ready < 16; ready += 1) await Promise.resolve(); // the next question reaches the primary
  both.clock.advance(700_000); // the wait of the blocking query is over
  expect(await both.turn(2)).toEqual({ kind: 'same' });
  expect(both.secondary.stats().appliedIndex).toBe(written);
});

test('authority: root, key and serial number are there again after a crash', async () => {
  const clock = new ManualClock();
  const fs = createMemoryFs();
  const first = await open(clock, fs);
  await authorityOf(first).ensureRoot();
  const before = first.store.caProviderState('consul').row;
  const serial = first.store.index('connect-ca-builtin-serial');
  await first[Symbol.asyncDispose]();

  await using again = await open(clock, fs);
  await authorityOf(again).ensureRoot();
  expect(again.store.caProviderState('consul').row).toEqual(before);
  expect(again.store.index('connect-ca-builtin-serial')).toBe(serial);
  expect(again.store.caRoots().rows).toHaveLength(1);
});

test('authority: who crashed between two of its writes goes on with the next', async () => {
  const clock = new ManualClock();
  for (let writes = 1; writes <= 3; writes += 1) {
    const fsm = await open(clock);
    let left = writes;
    const failing: Pick<Fsm, 'apply' | 'store'> = {
      store: fsm.store,
      apply: (command) => {
        left -= 1;
        return left < 0 ? Promise.reject(new Error('power cut')) : fsm.apply(command);
      },
    };
    await expect(authorityOf(failing as Fsm).ensureRoot()).rejects.toThrow('power cut');
    await authorityOf(fsm).ensureRoot();
    const [root, ...more] = fsm.store.caRoots().rows;
    expect(more).toEqual([]);
    expect(root?.RootCert).toBe(fsm.store.caProviderState('consul').row?.RootCert);
    await fsm[Symbol.asyncDispose]();
  }
});
