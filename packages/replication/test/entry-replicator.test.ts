import { type ConfigEntry, newConfigEntry } from '@fed/fsm';
import { settled, VirtualClock } from '@fed/tooling/virtual-clock';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type EntryAnswer, type EntryOp, type EntryRound, openEntryReplicator } from '../src/index.ts';

const rng = { below: () => 0 };

function entry(Name: string, ModifyIndex: number, Protocol = 'tcp'): ConfigEntry {
  const kind = 'service-defaults';
  return newConfigEntry(kind, { Kind: kind, Name, Protocol, CreateIndex: 1, ModifyIndex });
}

/** A primary that answers when it is told to, and a store of ours. */
function world(o: { readonly local?: readonly ConfigEntry[]; readonly failOn?: string } = {}) {
  const clock = new VirtualClock();
  const local = new Map((o.local ?? []).map((one) => [one.name, one]));
  const asked: number[] = [];
  const applied: string[] = [];
  const rounds: EntryRound[] = [];
  const waiting: ((answer: EntryAnswer | Error) => void)[] = [];
  const ready: (EntryAnswer | Error)[] = [];
  const replicator = openEntryReplicator({
    fetchRemote: (minIndex) => {
      asked.push(minIndex);
      return new Promise((resolve, reject) => {
        const settle = (answer: EntryAnswer | Error): void =>
          answer instanceof Error ? reject(answer) : resolve(answer);
        const next = ready.shift();
        if (next === undefined) waiting.push(settle);
        else settle(next);
      });
    },
    fetchLocal: () => [...local.values()],
    apply: async (op: EntryOp) => {
      const text = `${op.kind} ${op.entry.name}`;
      applied.push(text);
      if (text === o.failOn) throw new Error('disk is full');
      if (op.kind === 'delete') local.delete(op.entry.name);
      else local.set(op.entry.name, op.entry);
    },
    onRound: (round) => rounds.push(round),
    clock,
    rng,
  });
  const says = (answer: EntryAnswer | Error): void => {
    const waiter = waiting.shift();
    if (waiter === undefined) ready.push(answer);
    else waiter(answer);
  };
  return {
    clock,
    asked,
    applied,
    rounds,
    local,
    replicator,
    answers: (index: number, ...entries: readonly ConfigEntry[]) => says({ index, entries }),
    fails: says,
    [Symbol.asyncDispose]: () => replicator[Symbol.asyncDispose](),
  };
}

describe('config entries', () => {
  test('what the primary lists is written at once; what is the same already is not', async () => {
    await using w = world({ local: [entry('api', 3)] });
    w.answers(7, entry('api', 99), entry('web', 7, 'http'));
    await settled();
    expect(w.applied).toEqual(['upsert web']);
    expect(w.rounds[0]).toMatchObject({ ok: true, upserts: 1, deletions: 0, remoteIndex: 7 });
    expect(w.asked).toEqual([0, 7]);
  });

  test('what is not listed any more is deleted when the index moved on', async () => {
    await using w = world();
    w.answers(7, entry('api', 3), entry('web', 7));
    await settled();
    await w.clock.advance(1_000);
    w.answers(8, entry('api', 3));
    await settled();
    expect(w.applied).toEqual(['upsert api', 'upsert web', 'delete web']);
  });

  test('a first answer that lists less than we have must be said twice', async () => {
    await using w = world({ local: [entry('api', 3), entry('web', 7)] });
    w.answers(1);
    await settled();
    expect(w.rounds[0]).toMatchObject({ ok: true, doubt: 'unproven_deletions', waitMs: 1_000 });
    expect(w.local.size).toBe(2);
    w.answers(1);
    await w.clock.advance(1_500);
    expect(w.applied).toEqual(['delete api', 'delete web']);
    expect(w.asked).toEqual([0, 0, 1]);
  });

  test('an answer that comes after a doubted one and differs from it begins the doubt anew', async () => {
    await using w = world({ local: [entry('web', 7)] });
    w.answers(1);
    await settled();
    w.answers(9, entry('web', 7));
    await w.clock.advance(1_000);
    expect(w.applied).toEqual([]);
    expect(w.rounds[1]?.doubt).toBeUndefined();
  });

  test('an index that went back changes nothing until it is said twice', async () => {
    await using w = world();
    w.answers(7, entry('web', 7));
    await settled();
    w.answers(2, entry('web', 2, 'grpc'));
    await w.clock.advance(1_000);
    expect(w.rounds[1]).toMatchObject({ doubt: 'index_went_back', upserts: 0 });
    w.answers(2, entry('web', 2, 'grpc'));
    await w.clock.advance(1_000);
    expect(w.local.get('web')?.value['Protocol']).toBe('grpc');
  });

  test.each([
    ['an entry without a name', [entry('', 1)], 'nameless_record'],
    ['two of one name', [entry('web', 1), entry('WEB', 2)], 'duplicate_record'],
  ])('%s fails the round and changes nothing', async (_what, entries, code) => {
    await using w = world();
    w.answers(5, ...entries);
    await settled();
    expect(w.rounds[0]).toMatchObject({ ok: false, failure: { stage: 'answer', error: { code } } });
    expect(w.applied).toEqual([]);
  });

  test('a failed fetch is tried again, sooner when there is news', async () => {
    await using w = world();
    w.fails(new Error('no path'));
    await settled();
    expect(w.rounds[0]).toMatchObject({ ok: false, failure: { stage: 'fetch' }, waitMs: 1_000 });
    w.replicator.wake();
    w.answers(5, entry('web', 5));
    await settled();
    await w.clock.advance(1);
    expect(w.applied).toEqual(['upsert web']);
  });

  test('an entry that cannot be written fails the round; the next good one writes it again', async () => {
    await using w = world({ failOn: 'upsert web' });
    w.answers(5, entry('web', 5));
    await settled();
    expect(w.rounds[0]).toMatchObject({ ok: false, failure: { stage: 'upsert' } });
    await w.clock.advance(1_000);
    expect(w.asked).toEqual([0, 0]);
  });

  test('stopped, it writes nothing further and leaves no timer', async () => {
    const w = world();
    w.answers(5, entry('a', 1), entry('b', 2), entry('c', 3));
    await settled();
    expect(w.applied).toEqual(['upsert a']);
    await w.replicator[Symbol.asyncDispose]();
    await w.clock.advance(60_000);
    expect(w.applied).toEqual(['upsert a']);
    expect(w.clock.armed).toBe(0);
  });

  test('any list of ours becomes the primary’s, whatever was there', async () => {
    const list = fc.uniqueArray(
      fc.record({
        name: fc.constantFrom('a', 'b', 'c', 'd'),
        index: fc.nat(9),
        protocol: fc.constantFrom('tcp', 'http'),
      }),
      { selector: ({ name }) => name },
    );
    await fc.assert(
      fc.asyncProperty(list, list, async (mine, theirs) => {
        const entries = (rows: typeof mine) => rows.map((r) => entry(r.name, r.index, r.protocol));
        await using w = world({ local: entries(mine) });
        w.answers(50, ...entries(theirs));
        w.answers(50, ...entries(theirs));
        await settled();
        await w.clock.advance(10_000);
        const said = (rows: Iterable<ConfigEntry>) =>
          [...rows].map(({ name, value }) => `${name} ${String(value['Protocol'])}`).sort();
        expect(said(w.local.values())).toEqual(said(entries(theirs)));
      }),
      { numRuns: 60 },
    );
  });
});
