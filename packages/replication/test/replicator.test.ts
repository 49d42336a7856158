import { settled, VirtualClock } from '@fed/tooling/virtual-clock';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Answer,
  type FailureKind,
  openReplicator,
  type ReplicaOp,
  type Replicator,
  type ReplicatorOptions,
  type Round,
} from '../src/index.ts';
import type { FederationState } from '../src/ports.ts';
import { copy, original } from './rows.ts';

describe('replicator: one round', () => {
  // the nine cases of the original's IndexReplicator
  test('replicator: remote fetch fails: nothing is touched, wait, and ask for an immediate answer', async () => {
    await using w = world({ local: [copy('dc9', 1)] });
    w.fails(new Error('no path'));
    await settled();
    expect(w.rounds[0]).toMatchObject({ ok: false, transport: true, remoteIndex: undefined, waitMs: 1_000 });
    expect(w.rounds[0]?.failure).toMatchObject({ stage: 'fetch', kind: 'transport' });
    expect(w.applied).toEqual([]);
    await w.clock.advance(1_000);
    expect(w.asked).toEqual([0, 0]);
  });

  test('replicator: local fetch fails: that says nothing about the way', async () => {
    const fetchLocal = (): never => {
      throw new Error('store is closed');
    };
    await using w = world({ options: { fetchLocal } });
    w.answers(5, original('dc1', 5));
    await settled();
    expect(w.rounds[0]).toMatchObject({ ok: false, transport: false });
    expect(w.rounds[0]?.failure).toMatchObject({ stage: 'local', kind: 'local' });
  });

  test('replicator: an answer that is none fails the round: the peer’s fault, not the way’s', async () => {
    await using w = world();
    w.answers(5, original('', 5));
    await settled();
    expect(w.rounds[0]).toMatchObject({ ok: false, transport: false });
    expect(w.rounds[0]?.failure).toMatchObject({ stage: 'answer', kind: 'peer' });
    expect(w.rounds[0]?.failure?.error).toMatchObject({ code: 'nameless_record' });
  });

  test('replicator: no change: nothing is written, and the next question waits for news', async () => {
    await using w = world({ local: [copy('dc1', 5)] });
    w.answers(5, original('dc1', 5));
    await settled();
    expect(w.rounds[0]).toMatchObject({ ok: true, unchanged: 1, upserts: 0, deletions: 0, waitMs: 0 });
    expect(w.asked).toEqual([0, 5]);
  });

  test('replicator: a deletion fails: the round fails, updates are not reached', async () => {
    await using w = world({ local: [copy('dc9', 1)], failOn: 'delete dc9' });
    w.answers(5, original('dc1', 5));
    await settled();
    expect(w.applied).toEqual(['delete dc9']);
    expect(w.rounds[0]).toMatchObject({ ok: false, transport: false, deletions: 0, upserts: 0 });
    expect(w.rounds[0]?.failure?.stage).toBe('delete');
  });

  test('replicator: stopped between deletions, it leaves without writing on', async () => {
    const w = world({ local: [copy('dc8', 1), copy('dc9', 1)] });
    w.answers(5, original('dc1', 5));
    await settled();
    expect(w.applied).toEqual(['delete dc8']);
    await w.replicator[Symbol.asyncDispose]();
    await w.clock.advance(60_000);
    expect(w.applied).toEqual(['delete dc8']);
    expect(w.rounds).toEqual([]);
    expect(w.clock.armed).toBe(0);
  });

  test('replicator: an update fails: the next good round writes it again', async () => {
    await using w = world({ failOn: 'upsert dc1@5' });
    w.answers(5, original('dc1', 5), original('dc2', 4));
    await settled();
    expect(w.rounds[0]).toMatchObject({ ok: false, transport: false });
    expect(w.rounds[0]?.failure?.stage).toBe('upsert');
    w.heals();
    await w.clock.advance(1_000);
    expect(w.asked).toEqual([0, 0]);
    w.answers(5, original('dc1', 5), original('dc2', 4));
    await w.clock.advance(100);
    expect(w.rounds[1]).toMatchObject({ ok: true, upserts: 2 });
  });

  test('replicator: stopped between updates, it leaves without writing on', async () => {
    const w = world();
    w.answers(5, original('dc1', 5), original('dc2', 5), original('dc3', 5));
    await w.clock.advance(10);
    await w.replicator[Symbol.asyncDispose]();
    await w.clock.advance(60_000);
    expect(w.applied).toEqual(['upsert dc1@5', 'upsert dc2@5']);
  });

  test('replicator: all good: deletions, then updates, 10 ms apart, none after the last', async () => {
    await using w = world({ local: [copy('dc8', 1), copy('dc9', 1)] });
    w.answers(7, original('dc1', 5), original('dc2', 7));
    await w.clock.advance(29);
    expect(w.applied).toEqual(['delete dc8', 'delete dc9', 'upsert dc1@5']);
    await w.clock.advance(1);
    expect(w.applied.at(-1)).toBe('upsert dc2@7');
    expect(w.rounds[0]).toMatchObject({ ok: true, deletions: 2, upserts: 2, remoteIndex: 7, applyMs: 30 });
    expect(w.asked).toEqual([0, 7]);
  });
});

describe('replicator: round after round', () => {
  test('replicator: fifty creates, fifty updates, fifty deletes converge', async () => {
    await using w = world();
    const many = (index: number, host: string) =>
      Array.from({ length: 50 }, (_, n) => original(`x${n}`, index + n, host));
    w.answers(100, original('dc1', 1), ...many(10, 'g'));
    await w.clock.advance(1_000);
    expect(w.local()).toHaveLength(51);
    w.answers(300, original('dc1', 1), ...many(200, 'h'));
    await w.clock.advance(1_000);
    const indexes = w.local().map((state) => state.PrimaryModifyIndex);
    expect(indexes.sort((a, b) => a - b)).toEqual([1, ...many(200, 'h').map((state) => state.ModifyIndex)]);
    w.answers(301, original('dc1', 1));
    await w.clock.advance(1_000);
    expect(w.local().map((state) => state.Datacenter)).toEqual(['dc1']);
    expect(w.rounds.map(({ upserts, deletions }) => [upserts, deletions])).toEqual([
      [51, 0],
      [50, 0],
      [0, 50],
    ]);
  });

  test('replicator: after an outage nothing is written again that did not change', async () => {
    await using w = world();
    w.answers(5, original('dc1', 5), original('dc2', 4));
    await w.clock.advance(1_000);
    w.fails(new Error('EOF'));
    await w.clock.advance(1_000);
    w.answers(5, original('dc1', 5), original('dc2', 4));
    await w.clock.advance(1_000);
    expect(w.rounds.map(({ ok, upserts }) => [ok, upserts])).toEqual([
      [true, 2],
      [false, 0],
      [true, 0],
    ]);
  });

  test('replicator: failures in a row back off 1, 2, 4 s; a good round starts over', async () => {
    await using w = world();
    for (const waitMs of [1_000, 2_000, 4_000]) {
      w.fails(new Error('EOF'));
      await settled();
      expect(w.rounds.at(-1)?.waitMs).toBe(waitMs);
      await w.clock.advance(waitMs);
    }
    w.answers(5, original('dc1', 5));
    await settled();
    w.fails(new Error('EOF'));
    await settled();
    expect(w.rounds.at(-1)?.waitMs).toBe(1_000);
  });

  test('replicator: woken, it tries at once, and the backoff starts over', async () => {
    await using w = world();
    for (const waitMs of [1_000, 2_000]) {
      w.fails(new Error('no path'));
      await w.clock.advance(waitMs);
    }
    w.fails(new Error('no path'));
    await settled();
    w.replicator.wake();
    await settled();
    expect(w.asked).toHaveLength(4);
    w.fails(new Error('no path'));
    await settled();
    expect(w.rounds.at(-1)?.waitMs).toBe(1_000);
  });

  test('replicator: woken while a question is out, it does not wait should that fail', async () => {
    await using w = world();
    w.replicator.wake();
    w.fails(new Error('EOF'));
    await settled();
    expect(w.asked).toHaveLength(2);
  });

  test('replicator: a wake-up during a good round is not kept for a later failure', async () => {
    await using w = world();
    await settled();
    w.replicator.wake();
    w.answers(5, original('dc1', 5));
    await settled();
    w.fails(new Error('EOF'));
    await settled();
    expect(w.asked).toHaveLength(2);
  });

  test('replicator: one round per second, after a burst of five', async () => {
    await using w = world();
    for (let n = 1; n <= 9; n++) w.answers(n, original('dc1', 1));
    await settled();
    expect(w.asked).toHaveLength(5);
    await w.clock.advance(1_999);
    expect(w.asked).toHaveLength(6);
    await w.clock.advance(1);
    expect(w.asked).toHaveLength(7);
  });

  const kinds: readonly FailureKind[] = ['transport', 'authorisation', 'gate'];
  for (const kind of kinds) {
    test(`replicator: a failure of kind ${kind} ${kind === 'transport' ? 'speaks' : 'does not speak'} against the way`, async () => {
      await using w = world({ options: { classify: () => kind } });
      w.fails(new Error('x'));
      await settled();
      expect(w.rounds[0]).toMatchObject({ ok: false, transport: kind === 'transport', failure: { kind } });
      expect(w.replicator.status()).toBe(w.rounds[0]);
    });
  }

  test('replicator: a question that is never answered is given up after 330 s', async () => {
    await using w = world();
    await w.clock.advance(329_999);
    expect(w.rounds).toEqual([]);
    await w.clock.advance(1);
    expect(w.rounds[0]?.failure?.error).toMatchObject({ code: 'timeout' });
    expect(w.signals[0]?.aborted).toBe(true);
  });

  test('replicator: a fetch that throws instead of rejecting is a failed round', async () => {
    const fetchRemote = (): never => {
      throw new Error('not open');
    };
    await using w = world({ options: { fetchRemote } });
    await settled();
    expect(w.rounds[0]?.failure?.stage).toBe('fetch');
  });

  test('replicator: stopped while a question is out, it cancels and is gone at once', async () => {
    const w = world();
    await settled();
    await w.replicator[Symbol.asyncDispose]();
    expect(w.signals[0]?.aborted).toBe(true);
    expect(w.rounds).toEqual([]);
    expect(w.replicator.status()).toBeUndefined();
    expect(w.clock.armed).toBe(0);
  });

  test('replicator: stopped and started again, it goes on', async () => {
    const first = world();
    first.answers(5, original('dc1', 5));
    await settled();
    await first.replicator[Symbol.asyncDispose]();
    await using second = world({ local: first.local() });
    second.answers(6, original('dc1', 5), original('dc2', 6));
    await settled();
    expect(second.applied).toEqual(['upsert dc2@6']);
  });
});

describe('replicator: doubt', () => {
  test('replicator: an empty answer wipes nothing; it asks again 1, 2, 4 … 60 s later', async () => {
    await using w = world({ local: [copy('dc1', 5), copy('dc2', 4)] });
    const waits: number[] = [];
    for (let n = 0; n < 8; n++) {
      w.answers(20);
      await settled();
      waits.push(w.rounds.at(-1)!.waitMs / 1000);
      await w.clock.advance(w.rounds.at(-1)!.waitMs);
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60]);
    expect(w.rounds[0]).toMatchObject({ ok: true, doubt: 'unproven_deletions', withheld: 2, deletions: 0 });
    expect(w.applied).toEqual([]);
    expect(new Set(w.asked)).toEqual(new Set([0]));
  });

  test('replicator: a primary that was rebuilt is believed when it says so twice', async () => {
    await using w = world();
    w.answers(50, original('dc1', 50), original('dc2', 40));
    await w.clock.advance(1_000);
    w.answers(12, original('dc1', 12));
    await settled();
    expect(w.rounds.at(-1)).toMatchObject({ doubt: 'index_went_back', upserts: 0 });
    await w.clock.advance(1_000);
    w.answers(12, original('dc1', 12));
    await w.clock.advance(100);
    expect(w.local().map((state) => [state.Datacenter, state.PrimaryModifyIndex])).toEqual([['dc1', 12]]);
    expect(w.asked.at(-1)).toBe(12);
  });

  test('replicator: I1 and I2, whatever stale or failing servers answered before, the copies end up equal', async () => {
    const step = fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({ do: fc.constantFrom('put' as const, 'drop' as const), dc: fc.nat(4) }),
      },
      { weight: 3, arbitrary: fc.record({ do: fc.constant('answer' as const), lag: fc.nat(3) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('fail' as const, 'empty' as const) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        await using w = world();
        let index = 1;
        const table = new Map([['dc1', original('dc1', index)]]);
        const history: Answer[] = [{ index, states: [...table.values()] }];
        for (const s of steps) {
          if (s.do === 'put' || s.do === 'drop') {
            index++;
            if (s.do === 'put') table.set(`x${s.dc}`, original(`x${s.dc}`, index, `g${index}`));
            else table.delete(`x${s.dc}`);
            history.push({ index, states: [...table.values()] });
          } else {
            if (s.do === 'fail') w.fails(new Error('EOF'));
            else if (s.do === 'empty') w.answers(index);
            else if (s.do === 'answer') {
              const { index: at, states } = history[Math.max(0, history.length - 1 - s.lag)]!;
              w.answers(at, ...states);
            }
            await w.clock.advance(120_000);
          }
        }
        for (let n = 0; n < 3; n++) {
          w.answers(index, ...table.values());
          await w.clock.advance(120_000);
        }
        const wanted = [...table.values()].map((s) => [s.Datacenter, s.ModifyIndex, s.MeshGateways]);
        const got = w.local().map((s) => [s.Datacenter, s.PrimaryModifyIndex, s.MeshGateways]);
        expect(got.sort()).toEqual(wanted.sort());
      }),
      { numRuns: 40 },
    );
  });
});

// ---- fixtures ----

interface World extends AsyncDisposable {
  readonly replicator: Replicator;
  readonly clock: VirtualClock;
  /** minIndex of each question. */
  readonly asked: readonly number[];
  readonly signals: readonly AbortSignal[];
  readonly applied: readonly string[];
  readonly rounds: readonly Round[];
  /** Answers the next question, or the one that is out. */
  answers(index: number, ...states: FederationState[]): void;
  fails(error: Error): void;
  heals(): void;
  local(): readonly FederationState[];
}

function world(
  o: { local?: readonly FederationState[]; failOn?: string; options?: Partial<ReplicatorOptions> } = {},
): World {
  const clock = new VirtualClock();
  const asked: number[] = [];
  const signals: AbortSignal[] = [];
  const applied: string[] = [];
  const rounds: Round[] = [];
  const local = new Map((o.local ?? []).map((state) => [state.Datacenter, state]));
  let failOn = o.failOn;
  const queued: (() => Promise<Answer>)[] = [];
  let waiting: ((answer: Promise<Answer>) => void) | undefined;
  const give = (answer: () => Promise<Answer>): void => {
    const out = waiting;
    waiting = undefined;
    if (out) out(answer());
    else queued.push(answer);
  };
  const apply = async (op: ReplicaOp): Promise<void> => {
    const shown = op.kind === 'delete' ? `delete ${op.datacenter}` : `upsert ${show(op.state)}`;
    applied.push(shown);
    if (shown === failOn) throw new Error('not the leader');
    if (op.kind === 'delete') local.delete(op.datacenter);
    else local.set(op.state.Datacenter, op.state);
  };
  const replicator = openReplicator({
    fetchRemote: (minIndex, signal) => {
      asked.push(minIndex);
      signals.push(signal);
      const next = queued.shift();
      return next ? next() : new Promise((resolve) => (waiting = resolve));
    },
    fetchLocal: () => [...local.values()],
    apply,
    datacenter: 'dc2',
    primary: 'dc1',
    onRound: (round) => rounds.push(round),
    clock,
    rng: { below: () => 0 },
    ...o.options,
  });
  return {
    replicator,
    clock,
    asked,
    signals,
    applied,
    rounds,
    answers: (index, ...states) => give(() => Promise.resolve({ index, states })),
    fails: (error) => give(() => Promise.reject(error)),
    heals: () => {
      failOn = undefined;
    },
    local: () => [...local.values()],
    [Symbol.asyncDispose]: () => replicator[Symbol.asyncDispose](),
  };
}

function show({ Datacenter, PrimaryModifyIndex }: FederationState): string {
  return `${Datacenter}@${PrimaryModifyIndex}`;
}
