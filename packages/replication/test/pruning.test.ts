import { settled, VirtualClock } from '@fed/tooling/virtual-clock';
import { describe, expect, test } from 'vitest';
import { openPruning, type Pruning, type PruningEvent, pruningDefaults } from '../src/index.ts';
import { original } from './rows.ts';

const { intervalMs, ageMs } = pruningDefaults;

describe('pruning', () => {
  test('pruning: after a graceful leave one record is left', async () => {
    await using w = world({ known: ['dc1'], recorded: ['dc1', 'dc2'] });
    await w.clock.advance(ageMs);
    expect(w.recorded).toEqual(['dc1']);
    expect(w.events).toEqual([{ kind: 'pruned', datacenter: 'dc2', absences: 3 }]);
  });

  test('pruning: not before it was missing three times in a row', async () => {
    await using w = world({ known: ['dc1'], recorded: ['dc1', 'dc2'], startedAt: -ageMs });
    await w.clock.advance(3 * intervalMs - 1);
    expect(w.recorded).toEqual(['dc1', 'dc2']);
    await w.clock.advance(1);
    expect(w.recorded).toEqual(['dc1']);
  });

  test('pruning: who is seen in between starts over', async () => {
    await using w = world({ known: ['dc1'], recorded: ['dc1', 'dc2'], startedAt: -ageMs });
    await w.clock.advance(2 * intervalMs);
    expect(w.pruning.absences()).toEqual(new Map([['dc2', 2]]));
    w.known.add('dc2');
    await w.clock.advance(intervalMs);
    w.known.delete('dc2');
    await w.clock.advance(2 * intervalMs);
    expect(w.recorded).toEqual(['dc1', 'dc2']);
    await w.clock.advance(intervalMs);
    expect(w.recorded).toEqual(['dc1']);
  });

  test('pruning: a primary that has just restarted removes nobody', async () => {
    await using w = world({ known: [], recorded: ['dc1', 'dc2', 'dc3'], config: { intervalMs: 60_000 } });
    await w.clock.advance(ageMs - 1);
    expect(w.recorded).toEqual(['dc1', 'dc2', 'dc3']);
    w.known.add('dc2');
    await w.clock.advance(1);
    expect(w.recorded).toEqual(['dc1', 'dc2']);
  });

  test('pruning: our own record stays, known or not, in any spelling', async () => {
    await using w = world({ known: [], recorded: ['DC1'] });
    await w.clock.advance(10 * ageMs);
    expect(w.recorded).toEqual(['DC1']);
  });

  test('pruning: a removal that fails is told and tried again at the next look; others are not held up', async () => {
    await using w = world({ known: ['dc1'], recorded: ['dc1', 'dc2', 'dc3'], failFor: 'dc2' });
    await w.clock.advance(ageMs);
    expect(w.recorded).toEqual(['dc1', 'dc2']);
    expect(w.events.map(({ kind, datacenter }) => `${kind} ${datacenter}`)).toEqual([
      'failed dc2',
      'pruned dc3',
    ]);
    w.heal();
    await w.clock.advance(intervalMs);
    expect(w.recorded).toEqual(['dc1']);
  });

  test('pruning: a record that comes back is new', async () => {
    await using w = world({ known: ['dc1'], recorded: ['dc1', 'dc2'] });
    await w.clock.advance(ageMs);
    w.recorded.push('dc2');
    await w.clock.advance(2 * intervalMs);
    expect(w.recorded).toEqual(['dc1', 'dc2']);
  });

  test('pruning: stopped, it looks no more, even in the middle', async () => {
    const w = world({ known: ['dc1'], recorded: ['dc1', 'dc2'], hang: true });
    await w.clock.advance(ageMs);
    await w.pruning[Symbol.asyncDispose]();
    await w.clock.advance(10 * ageMs);
    expect(w.recorded).toEqual(['dc1', 'dc2']);
    expect(w.events).toEqual([]);
    expect(w.clock.armed).toBe(0);
  });

  test('pruning: a removal that never ends is given up after 30 s', async () => {
    await using w = world({ known: ['dc1'], recorded: ['dc1', 'dc2'], hang: true });
    await w.clock.advance(ageMs + 30_000);
    await settled();
    expect(w.events).toMatchObject([{ kind: 'failed', error: { code: 'timeout' } }]);
  });
});

// ---- fixtures ----

interface World extends AsyncDisposable {
  readonly pruning: Pruning;
  readonly clock: VirtualClock;
  readonly known: Set<string>;
  readonly recorded: string[];
  readonly events: readonly PruningEvent[];
  heal(): void;
}

function world(o: {
  known: readonly string[];
  recorded: readonly string[];
  startedAt?: number;
  failFor?: string;
  hang?: boolean;
  config?: { intervalMs: number };
}): World {
  const clock = new VirtualClock();
  const known = new Set(o.known);
  const recorded = [...o.recorded];
  const events: PruningEvent[] = [];
  let failFor = o.failFor;
  const pruning = openPruning({
    datacenter: 'dc1',
    states: () => recorded.map((datacenter) => original(datacenter, 1)),
    knows: (datacenter) => known.has(datacenter),
    remove: async (datacenter) => {
      if (o.hang) return new Promise(() => {});
      if (datacenter === failFor) throw new Error('not the leader');
      recorded.splice(recorded.indexOf(datacenter), 1);
    },
    onEvent: (event) => events.push(event),
    clock,
    ...(o.startedAt !== undefined && { startedAt: o.startedAt }),
    ...(o.config && { config: o.config }),
  });
  return {
    pruning,
    clock,
    known,
    recorded,
    events,
    heal: () => {
      failFor = undefined;
    },
    [Symbol.asyncDispose]: () => pruning[Symbol.asyncDispose](),
  };
}
