import { newRegisterRequest, openFsm } from '@fed/fsm';
import type { SerfEvent, SerfMember } from '@fed/serf';
import { settled, VirtualClock } from '@fed/tooling/virtual-clock';
import { expect, test } from 'vitest';
import { SharedLog } from '../../test/shared-log.ts';
import { onRestored } from '../on-restored.ts';
import { serverTags } from '../tags.ts';
import { openReconciler, type ReconcileEvent } from './reconciler.ts';

const minute = 60_000;
const a = '10.0.0.1:8300';

function member(name: string, status: SerfMember['status'] = 'alive'): SerfMember {
  const n = Number(name.slice(1));
  return {
    name,
    host: `10.0.0.${n}`,
    port: 8301,
    addr: Buffer.from([10, 0, 0, n]),
    status,
    vsn: { pMin: 1, pMax: 5, pCur: 2, dMin: 2, dMax: 5, dCur: 4 },
    tags: serverTags({
      datacenter: 'dc1',
      nodeId: `${n}0000000-0000-0000-0000-000000000000`,
      serverPort: 8300,
      build: '1.9.8:',
      tls: true,
      acls: false,
    }),
  };
}

async function world(...names: readonly string[]) {
  const clock = new VirtualClock();
  const log = new SharedLog();
  const fsm = await openFsm({ engine: log.open(a), clock });
  log.elect(a);
  const members = new Map(names.map((name) => [name, member(name)]));
  const listeners = new Set<(event: SerfEvent) => void>();
  const told: ReconcileEvent[] = [];
  let refusing = false;
  const open = () =>
    openReconciler({
      datacenter: 'dc1',
      self: 'n1',
      pool: {
        members: () => [...members.values()],
        member: (name) => members.get(name),
        events: (listener) => {
          listeners.add(listener);
          return { [Symbol.dispose]: () => void listeners.delete(listener) };
        },
      },
      store: fsm.store,
      onRestored: (listener) => onRestored(fsm, listener),
      apply: (command) =>
        refusing ? Promise.reject(new Error('disk full')) : fsm.apply(command, { term: 1 }),
      onEvent: (event) => told.push(event),
      clock,
      rng: { below: () => 0 },
    });
  return {
    clock,
    log,
    fsm,
    told,
    open,
    refuse: (on: boolean): void => {
      refusing = on;
    },
    /** The pool's own view changes first, then it tells. */
    tell: (
      kind: 'member-join' | 'member-leave' | 'member-failed' | 'member-update' | 'member-reap',
      row: SerfMember,
    ) => {
      if (kind === 'member-reap') members.delete(row.name);
      else members.set(row.name, row);
      for (const listener of listeners) listener({ kind, members: [row] });
    },
    forget: (name: string): void => void members.delete(name),
    listening: () => listeners.size,
    catalog: () =>
      Object.fromEntries(
        fsm.store
          .nodes()
          .rows.map(({ Node }) => [
            Node,
            fsm.store.nodeChecks(Node).rows.find((c) => c.CheckID === 'serfHealth')?.Status,
          ]),
      ),
  };
}

test('the whole pool is looked through at the beginning, and every event acted upon at once', async () => {
  const w = await world('n1', 'n2');
  await using _reconciler = w.open();
  await settled();
  expect(w.catalog()).toEqual({ n1: 'passing', n2: 'passing' });
  w.tell('member-join', member('n3'));
  w.tell('member-failed', member('n2', 'failed'));
  await settled();
  expect(w.catalog()).toEqual({ n1: 'passing', n2: 'critical', n3: 'passing' });
  w.tell('member-leave', member('n3', 'left'));
  w.tell('member-reap', member('n2', 'failed'));
  await settled();
  expect(w.catalog()).toEqual({ n1: 'passing' });
  expect(w.clock.now()).toBe(0);
  expect(w.told.map((e) => e.kind === 'written' && `${e.node} ${e.status}`)).toEqual([
    'n1 alive',
    'n2 alive',
    'n3 alive',
    'n2 failed',
    'n3 left',
    'n2 gone',
  ]);
});

test('news that is old by the time it is looked at does nothing: the member as it is now counts', async () => {
  const w = await world('n1', 'n2');
  await using _reconciler = w.open();
  w.tell('member-failed', member('n2', 'failed'));
  w.tell('member-reap', member('n2', 'failed'));
  w.tell('member-join', member('n2'));
  await settled();
  expect(w.catalog()).toEqual({ n1: 'passing', n2: 'passing' });
});

test('what nobody told is found within a minute', async () => {
  const w = await world('n1', 'n2');
  await using _reconciler = w.open();
  await settled();
  const request = newRegisterRequest({ Datacenter: 'dc1', Node: 'n2', Address: '10.6.6.6' });
  await w.fsm.apply({ type: 'register', request });
  await w.clock.advance(minute);
  expect(w.fsm.store.node('n2').row?.Address).toBe('10.0.0.2');
});

test('a node that is no member is given up after five minutes, unless it shows up; one that gossip never knew stays', async () => {
  const w = await world('n1', 'n2', 'n3', 'n4');
  {
    await using _earlier = w.open();
    await settled();
  }
  const external = newRegisterRequest({ Datacenter: 'dc1', Node: 'printer', Address: '10.0.0.99' });
  await w.fsm.apply({ type: 'register', request: external });
  w.forget('n2');
  w.forget('n3');
  await using _reconciler = w.open();
  await w.clock.advance(4 * minute);
  expect(Object.keys(w.catalog())).toEqual(['n1', 'n2', 'n3', 'n4', 'printer']);
  w.tell('member-join', member('n3'));
  await w.clock.advance(minute);
  expect(Object.keys(w.catalog())).toEqual(['n1', 'n3', 'n4', 'printer']);
});

test('a write that fails is tried again, sooner than in a minute, and later each time', async () => {
  const w = await world('n1', 'n2');
  await using _reconciler = w.open();
  await settled();
  w.refuse(true);
  w.tell('member-reap', member('n2'));
  await w.clock.advance(1_000 + 2_000 + 4_000);
  const waits = w.told.flatMap((e) => (e.kind === 'failed' ? [e.waitMs] : []));
  expect(waits).toEqual([1_000, 2_000, 4_000, 8_000]);
  w.refuse(false);
  await w.clock.advance(8_000);
  expect(w.catalog()).toEqual({ n1: 'passing' });
});

test('a catalog that was replaced is looked through at once', async () => {
  const w = await world('n1', 'n2');
  const empty = w.fsm.snapshot();
  await using _reconciler = w.open();
  await settled();
  await w.fsm.restore(empty);
  await settled();
  expect(w.catalog()).toEqual({ n1: 'passing', n2: 'passing' });
});

test('ended, it hears and writes nothing more, and leaves no timer', async () => {
  const w = await world('n1');
  const reconciler = w.open();
  await settled();
  await reconciler[Symbol.asyncDispose]();
  w.tell('member-join', member('n2'));
  await w.clock.advance(10 * minute);
  expect(w.catalog()).toEqual({ n1: 'passing' });
  expect([w.clock.armed, w.listening()]).toEqual([0, 0]);
});
