import { settled, VirtualClock } from '@fed/tooling/virtual-clock';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type AntiEntropy,
  type AntiEntropyEvent,
  type AntiEntropyOptions,
  openGatewayAntiEntropy,
  type Seen,
} from '../src/index.ts';
import type { CheckServiceNode, FederationState } from '../src/ports.ts';
import { copy, gateway } from './rows.ts';

describe('anti-entropy: the store in five steps', () => {
  test('anti-entropy: writes when our gateways changed and when our record did, and only then', async () => {
    await using w = world({ returns: false });
    await settled();
    expect(w.published).toEqual(['dc2: ']); // an empty record, the first time
    w.store.comesBack();
    await w.clock.advance(5_000);
    expect(w.published).toHaveLength(1);
    w.store.gateways([gateway('g')]); // a local gateway change
    await w.clock.advance(1);
    expect(w.published[1]).toBe('dc2: g');
    w.store.comesBack();
    await w.clock.advance(5_000);
    expect(w.published).toHaveLength(2);
    w.store.record(undefined); // a change of our own row
    await w.clock.advance(1);
    expect(w.published[2]).toBe('dc2: g');
  });

  test('anti-entropy: the record carries the moment, sorted gateways and no index', async () => {
    await using w = world();
    w.store.gateways([gateway('b', { node: 'b' }), gateway('a', { node: 'a' })]);
    await settled();
    expect(w.states[0]).toMatchObject({ PrimaryModifyIndex: 0, UpdatedAt: Uint8Array.of(7) });
    expect(w.published).toEqual(['dc2: a b']);
    expect(w.events).toEqual([{ kind: 'published', reason: 'first', gateways: 2, tookMs: 0 }]);
  });

  test('anti-entropy: a check that prints something else writes nothing', async () => {
    await using w = world();
    w.store.gateways([gateway('g', { output: 'a' })]);
    await w.clock.advance(10_000);
    for (const output of ['b', 'c', 'd']) {
      w.store.gateways([gateway('g', { output })]);
      await w.clock.advance(5_000);
    }
    expect(w.published).toEqual(['dc2: g']);
  });
});

test('anti-entropy: somebody else’s hand in our record is told, and set right', async () => {
  await using w = world();
  w.store.gateways([gateway('g')]);
  await w.clock.advance(2_000);
  w.store.record(copy('dc2', 9, 'strange'));
  await w.clock.advance(2_000);
  expect(w.events).toContainEqual({ kind: 'foreign', gateways: ['mesh-gateway at strange:8443'] });
  expect(w.published).toEqual(['dc2: g', 'dc2: g']);
  w.store.gateways([gateway('h')]);
  await w.clock.advance(5_000);
  expect(w.events.filter(({ kind }) => kind === 'foreign')).toHaveLength(1);
});

test('anti-entropy: a duel with somebody who writes our record again and again slows down, and is over after a while', async () => {
  await using w = world();
  w.store.gateways([gateway('g')]);
  await w.clock.advance(2_000);
  const answered = async (ms: number): Promise<number> => {
    const before = w.published.length;
    for (let n = 0; n < ms / 500; n++) {
      if (w.store.says() !== 'strange') w.store.record(copy('dc2', 9, 'strange'));
      await w.clock.advance(500);
    }
    return w.published.length - before;
  };
  expect(await answered(60_000)).toBeLessThanOrEqual(8);
  expect(await answered(600_000)).toBeLessThanOrEqual(12);
  w.store.comesBack();
  await w.clock.advance(600_000);
  w.store.record(copy('dc2', 9, 'strange'));
  await w.clock.advance(1_100);
  expect(w.published.at(-1)).toBe('dc2: g');
});

describe('anti-entropy: pace', () => {
  test('anti-entropy: a flood of changes costs a write per second, and the last state is written', async () => {
    await using w = world();
    await settled();
    for (let n = 1; n <= 100; n++) {
      w.store.gateways([gateway(`g${n}`)]);
      await w.clock.advance(25);
    }
    await w.clock.advance(1_000);
    expect(w.published.length).toBeLessThanOrEqual(5);
    expect(w.published.at(-1)).toBe('dc2: g100');
  });

  test('anti-entropy: no change is lost, whenever it comes', async () => {
    const changes = fc.array(fc.record({ host: fc.constantFrom('a', 'b', 'c'), waitMs: fc.nat(2_500) }), {
      maxLength: 20,
    });
    await fc.assert(
      fc.asyncProperty(changes, fc.boolean(), fc.nat(3_000), async (steps, returns, publishMs) => {
        await using w = world({ returns, publishMs });
        for (const { host, waitMs } of steps) {
          w.store.gateways([gateway(host)]);
          await w.clock.advance(waitMs);
        }
        await w.clock.advance(10_000);
        const last = steps.at(-1)?.host ?? '';
        expect(w.published.at(-1)).toBe(`dc2: ${last}`);
        w.times.slice(1).forEach((time, n) => {
          expect(time - w.times[n]!).toBeGreaterThanOrEqual(1_000);
        });
      }),
      { numRuns: 30 },
    );
  });

  test('anti-entropy: another datacenter’s record waking us before ours came back causes no second write', async () => {
    await using w = world({ returns: false });
    w.store.gateways([gateway('g')]);
    await settled();
    w.store.touch();
    await w.clock.advance(8_000);
    w.store.touch();
    await w.clock.advance(8_000);
    expect(w.published).toEqual(['dc2: g']);
  });

  test('anti-entropy: a write that does not come back in a minute is repeated', async () => {
    await using w = world({ returns: false });
    await w.clock.advance(59_999);
    expect(w.published).toHaveLength(1);
    await w.clock.advance(1);
    await settled();
    expect(w.published).toHaveLength(2);
  });

  test('anti-entropy: a store that wakes us in a loop does not make us spin', async () => {
    let reads = 0;
    const same: Seen = { index: 5, gateways: [], stored: copy('dc2', 1) };
    await using w = world({
      options: {
        watch: async () => {
          reads++;
          return same;
        },
      },
    });
    await w.clock.advance(10_000);
    expect(reads).toBeLessThanOrEqual(20 + 100 + 1);
  });
});

describe('anti-entropy: failures', () => {
  test('anti-entropy: a failed write is tried again after 1, 2, 4 s, with what is true by then', async () => {
    await using w = world();
    w.primary.fails(new Error('no path'));
    await settled();
    w.store.gateways([gateway('g')]);
    await w.clock.advance(1_000);
    await w.clock.advance(2_000);
    w.primary.heals();
    await w.clock.advance(4_000);
    expect(w.events.map((event) => (event.kind === 'failed' ? event.waitMs : event.kind))).toEqual([
      1_000,
      2_000,
      4_000,
      'published',
    ]);
    expect(w.published.at(-1)).toBe('dc2: g');
  });

  test('anti-entropy: woken, it tries at once, and the backoff starts over', async () => {
    await using w = world();
    w.primary.fails(new Error('no path'));
    await w.clock.advance(1_000);
    await w.clock.advance(2_000);
    w.antiEntropy.wake();
    await settled();
    expect(w.published).toHaveLength(4);
    expect(w.events.at(-1)).toMatchObject({ waitMs: 1_000 });
  });

  test('anti-entropy: failures are told apart', async () => {
    await using w = world({ options: { classify: () => 'authorisation' } });
    w.primary.fails(new Error('Permission denied'));
    await settled();
    expect(w.events[0]).toMatchObject({ kind: 'failed', stage: 'publish', failure: 'authorisation' });
  });

  test('anti-entropy: a read that fails is tried again', async () => {
    await using w = world();
    w.store.fails(new Error('no leader'));
    await settled();
    expect(w.events[0]).toMatchObject({ kind: 'failed', stage: 'watch', failure: 'local', waitMs: 1_000 });
    w.store.heals();
    await w.clock.advance(1_000);
    expect(w.published).toHaveLength(1);
  });

  test('anti-entropy: a primary that never answers is given up after 30 s', async () => {
    await using w = world({ options: { publish: () => new Promise(() => {}) } });
    await w.clock.advance(30_000);
    expect(w.events[0]).toMatchObject({ stage: 'publish', error: { code: 'timeout' } });
  });

  test('anti-entropy: rows of another datacenter are never published', async () => {
    await using w = world();
    w.store.gateways([gateway('g', { datacenter: 'dc3' })]);
    await settled();
    expect(w.published).toEqual([]);
    expect(w.events[0]).toMatchObject({ stage: 'sanity', error: { code: 'foreign_record' } });
  });

  test('anti-entropy: stopped, it cancels what is out and is gone at once', async () => {
    const signals: AbortSignal[] = [];
    const publish = (_: FederationState, signal: AbortSignal): Promise<void> => {
      signals.push(signal);
      return new Promise(() => {});
    };
    const w = world({ options: { publish } });
    await settled();
    await w.antiEntropy[Symbol.asyncDispose]();
    expect(signals[0]?.aborted).toBe(true);
    expect(w.events).toEqual([]);
    expect(w.clock.armed).toBe(0);
  });
});

// ---- fixtures ----

interface World extends AsyncDisposable {
  readonly antiEntropy: AntiEntropy;
  readonly clock: VirtualClock;
  readonly store: Store;
  readonly primary: { fails(error: Error): void; heals(): void };
  /** `datacenter: hosts` of each attempt, and when. */
  readonly published: readonly string[];
  readonly times: readonly number[];
  readonly states: readonly FederationState[];
  readonly events: readonly AntiEntropyEvent[];
}

/** Our own store: the gateways of the catalog and our own record, with one index. */
class Store {
  #index = 1;
  #gateways: readonly CheckServiceNode[] = [];
  #stored: FederationState | undefined;
  #pending: FederationState | undefined;
  #error: Error | undefined;
  readonly #waiters = new Set<() => void>();

  gateways(rows: readonly CheckServiceNode[]): void {
    this.#gateways = rows;
    this.touch();
  }
  record(state: FederationState | undefined): void {
    this.#stored = state;
    this.touch();
  }
  /** Where the first gateway of our record is. */
  says(): string | undefined {
    return this.#stored?.MeshGateways?.[0]?.Service.Address;
  }
  /** What the primary committed, until it is replicated. */
  commit(state: FederationState): void {
    this.#pending = state;
  }
  comesBack(): void {
    this.record(this.#pending);
  }
  fails(error: Error): void {
    this.#error = error;
    this.touch();
  }
  heals(): void {
    this.#error = undefined;
  }
  touch(): void {
    this.#index++;
    for (const wake of [...this.#waiters]) wake();
  }
  async watch(minIndex: number, signal: AbortSignal): Promise<Seen> {
    if (minIndex > 0 && this.#index <= minIndex) {
      await new Promise<void>((resolve) => {
        const end = (): void => {
          this.#waiters.delete(end);
          resolve();
        };
        this.#waiters.add(end);
        signal.addEventListener('abort', end);
      });
    }
    if (this.#error) throw this.#error;
    return { index: this.#index, gateways: this.#gateways, stored: this.#stored };
  }
}

function world(
  o: { returns?: boolean; publishMs?: number; options?: Partial<AntiEntropyOptions> } = {},
): World {
  const clock = new VirtualClock();
  const store = new Store();
  const published: string[] = [];
  const times: number[] = [];
  const states: FederationState[] = [];
  const events: AntiEntropyEvent[] = [];
  let error: Error | undefined;
  const antiEntropy = openGatewayAntiEntropy({
    datacenter: 'dc2',
    watch: (minIndex, signal) => store.watch(minIndex, signal),
    publish: async (state) => {
      const hosts = (state.MeshGateways ?? []).map((row) => row.Service.Address);
      published.push(`${state.Datacenter}: ${hosts.join(' ')}`);
      times.push(clock.now());
      states.push(state);
      if (o.publishMs) await new Promise<void>((resolve) => clock.at(clock.now() + o.publishMs!, resolve));
      if (error) throw error;
      store.commit(state);
      if (o.returns !== false) store.comesBack();
    },
    stamp: () => Uint8Array.of(7),
    onEvent: (event) => events.push(event),
    clock,
    rng: { below: () => 0 },
    ...o.options,
  });
  return {
    antiEntropy,
    clock,
    store,
    primary: {
      fails: (cause) => {
        error = cause;
      },
      heals: () => {
        error = undefined;
      },
    },
    published,
    times,
    states,
    events,
    [Symbol.asyncDispose]: () => antiEntropy[Symbol.asyncDispose](),
  };
}
