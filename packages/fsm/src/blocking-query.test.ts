/** Blocking queries and watches: who wakes, when, and with what. */
import assert from 'node:assert/strict';
import { SteppedClock, settled } from '@fed/tooling/virtual-clock';
import { describe, test } from 'vitest';
import { apply } from './apply.ts';
import { blockingQuery, queryWaitDefaultMs, queryWaitMaxMs } from './blocking-query.ts';
import { encodeCommand, newRegisterRequest } from './command.ts';
import { newFederationState } from './new-row.ts';
import type { ReadStore } from './read-store.ts';
import { restoreRecords, snapshotRecords } from './snapshot.ts';
import { Store } from './store.ts';

function setUp() {
  const store = new Store();
  const clock = new SteppedClock();
  const drawn: number[] = [];
  const rng = {
    below: (n: number) => {
      drawn.push(n);
      return n - 1;
    },
  };
  const upsert = (index: number, Datacenter: string): unknown =>
    apply(
      store,
      index,
      encodeCommand({ type: 'federationState', op: 'upsert', state: newFederationState({ Datacenter }) }),
    );
  const register = (index: number, request: Parameters<typeof newRegisterRequest>[0]): unknown =>
    apply(store, index, encodeCommand({ type: 'register', request: newRegisterRequest(request) }));
  let reads = 0;
  const query = (
    o: { minIndex: number; waitMs?: number; signal?: AbortSignal },
    read: (s: ReadStore) => { index: number; value: unknown } = (s) => {
      const { index, rows } = s.federationStates();
      return { index, value: rows.map((row) => row.Datacenter) };
    },
  ) =>
    blockingQuery(store, { waitMs: 0, ...o, clock, rng }, (s) => {
      reads++;
      return read(s);
    });
  return { store, clock, drawn, upsert, register, query, reads: () => reads };
}

describe('blocking query', () => {
  test('index 0 answers at once, and never with an index below 1', async () => {
    const t = setUp();
    assert.deepEqual(await t.query({ minIndex: 0 }), { index: 1, value: [] });
    assert.equal(t.clock.armed, 0);
  });

  test('an index already passed answers at once', async () => {
    const t = setUp();
    t.upsert(5, 'dc1');
    assert.deepEqual(await t.query({ minIndex: 4 }), { index: 5, value: ['dc1'] });
  });

  test('the present index waits for the next change, and leaves nothing behind', async () => {
    const t = setUp();
    t.upsert(5, 'dc1');
    const answer = t.query({ minIndex: 5 });
    assert.equal(t.store.parked, 1);
    t.upsert(6, 'dc2');
    assert.deepEqual(await answer, { index: 6, value: ['dc1', 'dc2'] });
    assert.deepEqual([t.store.parked, t.clock.armed], [0, 0]);
  });

  test('an index of the future waits, however many changes come below it', async () => {
    const t = setUp();
    const answer = t.query({ minIndex: 10, waitMs: 1000 });
    for (const index of [1, 2, 10]) {
      t.upsert(index, `dc${index}`);
      await settled();
    }
    assert.equal(t.store.parked, 1);
    t.upsert(11, 'dc11');
    assert.equal((await answer).index, 11);
  });

  test('changes of other rows do not even wake it', async () => {
    const t = setUp();
    t.upsert(1, 'dc1');
    const answer = t.query({ minIndex: 1 }, (s) => ({
      ...s.federationState('DC2'),
      value: s.federationState('DC2').row?.Datacenter,
    }));
    t.upsert(2, 'dc3');
    t.register(3, { Node: 'n' });
    await settled();
    assert.equal(t.reads(), 1);
    t.upsert(4, 'dc2');
    const { index, value } = await answer;
    assert.deepEqual([index, value], [4, 'dc2']);
    assert.equal(t.reads(), 2);
  });

  test('a kind’s watch wakes for its services, nodes and checks, and for no other kind', async () => {
    const t = setUp();
    const gateway = { ID: 'gw', Service: 'gw', Kind: 'mesh-gateway' };
    t.register(1, { Node: 'n1', Service: gateway });
    t.register(2, { Node: 'n2', Service: { ID: 'web', Service: 'web' } });
    const next = (minIndex: number) =>
      t.query({ minIndex }, (s) => ({ ...s.serviceKind('mesh-gateway'), value: null }));
    for (const [i, request] of [
      { Node: 'n1', Check: { Node: 'n1', CheckID: 'c', Status: 'passing' } },
      { Node: 'n1', Address: '10.0.0.9' },
      { Node: 'n1', Address: '10.0.0.9', Service: { ...gateway, Port: 9 } },
      { Node: 'n3', Service: gateway },
    ].entries()) {
      const before = t.store.serviceKind('mesh-gateway').index;
      const answer = next(before);
      const reads = t.reads();
      t.register(10 + 2 * i, { Node: 'n2', Check: { Node: 'n2', CheckID: `x${i}` } });
      await settled();
      assert.equal(t.reads(), reads, 'woken by another kind');
      t.register(11 + 2 * i, request);
      assert.equal((await answer).index, 11 + 2 * i);
    }
  });

  test('several changes in one turn are answered once, with the last of them', async () => {
    const t = setUp();
    t.upsert(1, 'a');
    const answer = t.query({ minIndex: 1 });
    t.upsert(2, 'b');
    t.upsert(3, 'c');
    assert.deepEqual(await answer, { index: 3, value: ['a', 'b', 'c'] });
    assert.equal(t.reads(), 2);
  });

  test('at the end of the wait it answers with what is there, without an error', async () => {
    const t = setUp();
    t.upsert(1, 'a');
    const answer = t.query({ minIndex: 1, waitMs: 1600 });
    assert.deepEqual(t.drawn, [100]);
    t.clock.advance(1600 + 98);
    await settled();
    assert.equal(t.store.parked, 1);
    t.clock.advance(1);
    assert.deepEqual(await answer, { index: 1, value: ['a'] });
    assert.deepEqual([t.store.parked, t.clock.armed], [0, 0]);
  });

  for (const [what, waitMs, effective] of [
    ['none', 0, queryWaitDefaultMs],
    ['negative', -5, queryWaitDefaultMs],
    ['beyond the maximum', 10 * queryWaitMaxMs, queryWaitMaxMs],
  ] as const)
    test(`a wait that is ${what} becomes ${effective} ms, plus up to a sixteenth`, async () => {
      const t = setUp();
      const stop = new AbortController();
      const answer = t.query({ minIndex: 1, waitMs, signal: stop.signal });
      assert.deepEqual(t.drawn, [effective / 16]);
      stop.abort();
      await assert.rejects(answer);
    });

  test('abort rejects with the signal’s reason and leaves nothing behind', async () => {
    const t = setUp();
    const stop = new AbortController();
    const answer = t.query({ minIndex: 1, signal: stop.signal });
    const reason = new Error('shutting down');
    stop.abort(reason);
    await assert.rejects(answer, reason);
    assert.deepEqual([t.store.parked, t.clock.armed], [0, 0]);
    await assert.rejects(t.query({ minIndex: 1, signal: stop.signal }), reason);
  });

  test('abort between waking and looking again is not answered twice', async () => {
    const t = setUp();
    const stop = new AbortController();
    const answer = t.query({ minIndex: 1, signal: stop.signal });
    t.upsert(2, 'a');
    stop.abort();
    await assert.rejects(answer);
    assert.equal(t.reads(), 1);
  });

  test('a restore wakes everyone once, whatever the index became', async () => {
    const t = setUp();
    t.upsert(3, 'old');
    const records = [...snapshotRecords(t.store)];
    t.upsert(9, 'new');
    const answers = [t.query({ minIndex: 9 }), t.query({ minIndex: 100 })];
    restoreRecords(t.store, records);
    for (const answer of await Promise.all(answers)) assert.deepEqual(answer, { index: 3, value: ['old'] });
  });

  test('a restore right after a change, before anyone looked, still ends the wait', async () => {
    const t = setUp();
    const records = [...snapshotRecords(t.store)];
    const answer = t.query({ minIndex: 100 });
    t.upsert(9, 'new');
    restoreRecords(t.store, records);
    assert.equal((await answer).index, 1);
  });

  test('an error of the reader rejects, at once or when woken', async () => {
    const t = setUp();
    await assert.rejects(
      t.query({ minIndex: 0 }, () => {
        throw new Error('first');
      }),
      /first/,
    );
    let calls = 0;
    const answer = t.query({ minIndex: 5 }, (s) => {
      if (calls++ > 0) throw new Error('later');
      return { ...s.federationStates(), value: null };
    });
    t.upsert(6, 'a');
    await assert.rejects(answer, /later/);
    assert.deepEqual([t.store.parked, t.clock.armed], [0, 0]);
  });
});

describe('watch', () => {
  test('calls with the answer now and after each change of it, bursts merged, until disposed', async () => {
    const t = setUp();
    const heard: (readonly string[])[] = [];
    const watch = t.store.watch(
      (s) => s.federationStates().rows.map((row) => row.Datacenter),
      (names) => heard.push(names),
    );
    t.upsert(1, 'a');
    t.upsert(2, 'b');
    await settled();
    t.register(3, { Node: 'n' });
    await settled();
    t.upsert(4, 'c');
    watch[Symbol.dispose]();
    await settled();
    t.upsert(5, 'd');
    await settled();
    assert.deepEqual(heard, [[], ['a', 'b']]);
    assert.equal(t.store.parked, 0);
  });

  test('a listener may write: it hears of its own change', async () => {
    const t = setUp();
    const heard: number[] = [];
    using _watch = t.store.watch(
      (s) => s.federationStates().index,
      (index) => {
        heard.push(index);
        if (index < 3) t.upsert(index + 1, 'a');
      },
    );
    await settled();
    assert.deepEqual(heard, [0, 1, 2, 3]);
  });
});

test('ten thousand parked queries: one change wakes those it concerns, all share one list, nothing stays behind', async () => {
  const t = setUp();
  const gateway = { ID: 'gw', Service: 'gw', Kind: 'mesh-gateway' };
  t.register(1, { Node: 'n1', Service: gateway });
  t.upsert(2, 'dc1');
  const heapBefore = process.memoryUsage().heapUsed;
  const kinds = Array.from({ length: 5000 }, () =>
    t.query({ minIndex: 1 }, (s) => {
      const { index, rows } = s.serviceKind('mesh-gateway');
      return { index, value: rows };
    }),
  );
  const states = Array.from({ length: 5000 }, (_, i) =>
    t.query({ minIndex: 2 }, (s) => ({ ...s.federationState(`dc${i % 10}`), value: i })),
  );
  assert.equal(t.store.parked, 10_000);
  const perQuery = (process.memoryUsage().heapUsed - heapBefore) / 10_000;
  const startMs = performance.now();
  t.register(3, { Node: 'n2', Service: gateway });
  const answers = await Promise.all(kinds);
  const tookMs = performance.now() - startMs;
  assert.equal(t.store.parked, 5000);
  assert.ok(answers.every(({ value }) => value === answers[0]?.value));
  for (let i = 0; i < 10; i++) t.upsert(4 + i, `dc${i}`);
  assert.deepEqual(
    (await Promise.all(states)).map(({ value }) => value),
    states.map((_, i) => i),
  );
  assert.deepEqual([t.store.parked, t.clock.armed], [0, 0]);
  console.log(`parked: about ${perQuery.toFixed(0)} bytes each; waking 5000 took ${tookMs.toFixed(1)} ms`);
});
