/** Laws of the state machine, over random histories. A failure prints its seed and path. */
import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { describe, test } from 'vitest';
import { apply } from '../src/apply.ts';
import { FsmError } from '../src/errors.ts';
import { goJson } from '../src/go-json.ts';
import { checkServiceNodeJson, federationStateJson } from '../src/json.ts';
import { restoreRecords, snapshotRecords } from '../src/snapshot.ts';
import { Store } from '../src/store.ts';
import { history, questions, replay } from './histories.ts';
import { vector } from './vector.ts';

const runs = { numRuns: 4000 };

describe('laws', () => {
  test('I1 replaying the log gives the same state, byte for byte', async () => {
    await fc.assert(
      fc.property(history, (entries) => {
        assert.equal(dump(replay(entries)), dump(replay(entries)));
      }),
      runs,
    );
  });

  test('I2 a snapshot restored is the same state: same records, same answers, same indexes', async () => {
    await fc.assert(
      fc.property(history, (entries) => {
        const store = replay(entries);
        const restored = new Store();
        restoreRecords(restored, snapshotRecords(store));
        assert.equal(dump(restored), dump(store));
        assert.equal(restored.appliedIndex, store.appliedIndex);
        for (const { name, ask } of questions)
          assert.deepEqual(plain(ask(restored)), plain(ask(store)), name);
      }),
      runs,
    );
  });

  test('I2 a log continued from a snapshot ends where the whole log ends', async () => {
    await fc.assert(
      fc.property(history, fc.nat(), (entries, cut) => {
        const at = entries.length === 0 ? 0 : cut % entries.length;
        const continued = new Store();
        restoreRecords(continued, snapshotRecords(replay(entries.slice(0, at))));
        entries.slice(at).forEach((entry, i) => void apply(continued, at + i + 1, entry));
        assert.equal(dump(continued), dump(replay(entries)));
      }),
      runs,
    );
  });

  test('I3 a waiter is woken if and only if his index has risen, which it does whenever he would see something new; it never goes back', async () => {
    await fc.assert(
      fc.property(history, (entries) => {
        const store = new Store();
        entries.forEach((entry, i) => {
          const before = questions.map(({ name, ask }) => {
            const { value, keys } = store.track(ask);
            const waiter = { name, ask, value, woken: false };
            const parked = store.park({
              keys,
              wake: () => {
                waiter.woken = true;
              },
            });
            return { waiter, parked };
          });
          apply(store, i + 2, entry); // 1 is what an empty table answers
          for (const { waiter, parked } of before) {
            parked[Symbol.dispose]();
            const now = waiter.ask(store);
            assert.ok(now.index >= waiter.value.index, `${waiter.name}: index went back`);
            const risen = now.index > waiter.value.index;
            if (waiter.woken) assert.ok(risen, `${waiter.name}: woken for nothing`);
            if (same(now, waiter.value)) continue;
            assert.ok(waiter.woken, `${waiter.name}: slept through a change`);
            assert.ok(risen, `${waiter.name}: changed under the same index`);
          }
          assert.equal(store.parked, 0);
        });
      }),
      runs,
    );
  });

  test('a refused command changes nothing and wakes nobody', async () => {
    await fc.assert(
      fc.property(history, (entries) => {
        const store = new Store();
        entries.forEach((entry, i) => {
          const before = dump(store);
          let woken = false;
          const keys = new Set(['nodes', 'services', 'checks', 'coordinates', 'federation-states']);
          using _parked = store.park({
            keys,
            wake: () => {
              woken = true;
            },
          });
          if (!(apply(store, i + 1, entry) instanceof FsmError)) return;
          assert.equal(dump(store), before);
          assert.equal(woken, false);
        });
      }),
      runs,
    );
  });

  test('entries damaged on their way are refused or applied, never thrown at us, and what is kept can be shown', async () => {
    const recorded = vector('raft-and-snapshot.json');
    const entries = [...recorded.raftLog, ...recorded.snapshotRecords.slice(1)].map(({ hex }) =>
      Buffer.from(hex, 'hex'),
    );
    const damage = fc.record({
      entry: fc.constantFrom(...entries),
      edits: fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 4 }),
    });
    await fc.assert(
      fc.property(fc.array(damage, { maxLength: 6 }), (damages) => {
        const store = new Store();
        damages.forEach(({ entry, edits }, i) => {
          const bytes = Buffer.from(entry);
          for (const [at, byte] of edits) bytes[at % bytes.length] = byte;
          apply(store, i + 1, bytes);
        });
        for (const row of store.federationStates().rows) JSON.parse(goJson(federationStateJson(row)));
        for (const row of store.serviceDump().rows) JSON.parse(goJson(checkServiceNodeJson(row)));
        restoreRecords(new Store(), snapshotRecords(store));
      }),
      runs,
    );
  });

  test('kept answers equal answers found afresh', async () => {
    await fc.assert(
      fc.property(history, (entries) => {
        const store = new Store();
        entries.forEach((entry, i) => {
          apply(store, i + 1, entry);
          for (const { ask } of questions) ask(store);
        });
        const fresh = replay(entries);
        for (const { name, ask } of questions) assert.deepEqual(plain(ask(store)), plain(ask(fresh)), name);
      }),
      runs,
    );
  });
});

/** The state as hex, without the header: which index was applied last is compared apart. */
function dump(store: Store): string {
  return [...snapshotRecords(store)]
    .slice(1)
    .map((record) => Buffer.from(record).toString('hex'))
    .join('\n');
}

function same(a: { readonly index: number }, b: { readonly index: number }): boolean {
  try {
    assert.deepEqual(plain({ ...a, index: 0 }), plain({ ...b, index: 0 }));
    return true;
  } catch {
    return false;
  }
}

/** Rows as ordinary objects: content is compared, not prototypes. */
function plain<T>(answer: T): T {
  return structuredClone(answer);
}
