import { type Fsm, newCheck, newNode, newService, openFsm } from '@fed/fsm';
import { settled, VirtualClock } from '@fed/tooling/virtual-clock';
import { beforeEach, expect, test } from 'vitest';
import { SharedLog } from '../../test/shared-log.ts';
import { catalogWriteEndpoints } from '../catalog-writes/endpoints.ts';
import { openOwnNode } from '../lan/own-node.ts';
import { asArgs } from '../rpc/args.ts';
import { type Ask, createAsk } from '../rpc/ask.ts';
import { createAtHome } from '../rpc/at-home.ts';
import { internalEndpoints } from '../rpc/internal.ts';
import { Agent } from './agent.ts';
import { type OwnWrite, ownWrites } from './own-writes.ts';
import { registerCommand } from './requests.ts';

const a = '10.0.0.1:8300';
const b = '10.0.0.2:8300';
const self = newNode({
  Node: 'n2',
  Address: '10.0.0.2',
  Datacenter: 'dc1',
  ID: '22222222-2222-2222-2222-222222222222',
  Meta: { rack: '7' },
  TaggedAddresses: { lan: '10.0.0.2', wan: '203.0.113.2' },
});

let log: SharedLog;
let clock: VirtualClock;
let leader: Fsm;
let follower: Fsm;
let asked: string[];
let write: OwnWrite;

/** Two servers; what is watched is the second, and the first is asked through the same door peers come in by. */
beforeEach(async () => {
  log = new SharedLog();
  clock = new VirtualClock();
  leader = await openFsm({ engine: log.open(a), clock });
  follower = await openFsm({ engine: log.open(b), clock });
  log.elect(a);
  asked = [];
  const doors = new Map<string, Ask>();
  for (const [address, fsm] of [
    [a, leader],
    [b, follower],
  ] as const) {
    const limits = { queryTimeDefaultMs: 300_000, queryTimeMaxMs: 600_000, holdTimeoutMs: 7_000 };
    const endpoints = {
      ...catalogWriteEndpoints({ datacenter: 'dc1', fsm }),
      ...internalEndpoints({ ...limits, fsm, lan: () => ({ userEvent: () => {} }) }),
    };
    const atHome = createAtHome({
      ...limits,
      datacenter: 'dc1',
      engine: fsm.engine,
      pool: {
        call: (to, method, args) => {
          asked.push(`${method} ${String(asArgs(args)['Token'])}`);
          const door = doors.get(`${to.address.host}:${to.address.port}`) as Ask;
          return door(method, args, { signal: new AbortController().signal });
        },
      },
      nodeAt: () => undefined,
      fromOwnServer: () => false,
      leaving: new AbortController().signal,
      clock,
      rng: { below: () => 0 },
    });
    const abroad = () => Promise.reject(new Error('no other datacenter is asked'));
    doors.set(address, createAsk({ datacenter: 'dc1', primary: 'dc1', endpoints, atHome, abroad }));
  }
  const ask = doors.get(b) as Ask;
  write = ownWrites({
    datacenter: 'dc1',
    node: 'n2',
    fsm: follower,
    ask,
    secret: () => 'agent',
    arriveMsMax: 7_000,
  });
});

function openAgent(): Agent {
  return new Agent({
    node: self,
    fsm: follower,
    write,
    clock,
    probe: () => Promise.resolve({ status: 'passing', output: 'fine' }),
    failed: (what, cause) => {
      throw new Error(what, { cause });
    },
  });
}
const web = newService({ ID: 'web', Service: 'web', Port: 80 });
const tcp = newCheck({
  Node: 'n2',
  CheckID: 'service:web',
  ServiceID: 'web',
  Status: 'critical',
  Type: 'tcp',
  Definition: { TCP: '10.0.0.2:80', Interval: 10_000_000_000 },
});

test('a service registered at a server that does not lead is written by the leader, and is here when it is acknowledged', async () => {
  using agent = openAgent();
  log.lag(b, true);
  let done = false;
  const registered = agent.register({ service: web, checks: [tcp] }, { replaceChecks: false }).then(() => {
    done = true;
  });
  await settled();
  expect(leader.store.nodeServices('n2').rows.map((row) => row.ID)).toEqual(['web']);
  expect([done, agent.services().length]).toEqual([false, 0]);
  log.lag(b, false);
  await registered;
  expect(agent.services().map((row) => row.ID)).toEqual(['web']);
  expect(asked.slice(0, 2)).toEqual(['Catalog.Register agent', 'Internal.NodeInfo agent']);
});

test('its check runs here, and what it finds is written by the leader', async () => {
  using agent = openAgent();
  await agent.register({ service: web, checks: [tcp] }, { replaceChecks: false });
  await settled();
  expect(leader.store.nodeChecks('n2').rows.map((row) => [row.CheckID, row.Status, row.Output])).toEqual([
    ['service:web', 'passing', 'fine'],
  ]);
  expect(await agent.deregister('web')).toBe(true);
  expect(leader.store.nodeServices('n2').rows).toEqual([]);
});

test('what the leader refuses is refused in its words', async () => {
  const lonely = newCheck({ Node: 'n2', CheckID: 'x', ServiceID: 'gone' });
  await expect(openAgent().registerCheck(lonely)).rejects.toThrow(
    'service "gone" of check "x" is not registered',
  );
});

test('a server that leads writes for itself', async () => {
  using agent = openAgent();
  log.elect(b);
  await agent.register({ service: web, checks: [] }, { replaceChecks: false });
  expect(asked).toEqual([]);
  expect(leader.store.nodeServices('n2').rows.map((row) => row.ID)).toEqual(['web']);
});

test('leadership lost under a write: the next leader does it', async () => {
  log.elect(b);
  using agent = openAgent();
  const registered = agent.register({ service: web, checks: [] }, { replaceChecks: false });
  log.elect(a);
  await registered;
  expect(asked[0]).toBe('Catalog.Register agent');
  expect(leader.store.nodeServices('n2').rows.map((row) => row.ID)).toEqual(['web']);
});

test('after a restore the checks found are run, those that went on go on, and those gone are forgotten', async () => {
  log.elect(b);
  using agent = openAgent();
  const empty = follower.snapshot();
  await agent.register({ service: web, checks: [tcp] }, { replaceChecks: false });
  const timers = clock.armed;
  const full = follower.snapshot();
  await follower.restore(empty);
  await settled();
  expect([agent.checks().length, clock.armed]).toEqual([0, timers - 1]);
  await follower.restore(full);
  await settled();
  expect([agent.checks().length, clock.armed]).toEqual([1, timers]);
});

test('this server’s node says what its configuration says, whoever wrote it, soon at first, and then not more often than every 15 s', async () => {
  const failed: unknown[] = [];
  const own = openOwnNode({
    self,
    fsm: follower,
    write,
    failed: (error) => failed.push(error),
    clock,
    rng: { below: () => 0 },
  });
  await settled();
  const row = () => leader.store.node('n2').row;
  expect(row()).toMatchObject({ ID: self.ID, Meta: { rack: '7' }, TaggedAddresses: { wan: '203.0.113.2' } });
  // What a leader knows of a member it has never seen before: no meta, no addresses but one.
  const bare = newNode({ Node: 'n2', Address: '10.0.0.2', Datacenter: 'dc1', ID: self.ID });
  for (const waitMs of [1_000, 1_000, 15_000]) {
    await leader.apply(registerCommand(bare, {}));
    await clock.advance(waitMs - 1);
    expect(row()?.Meta).toBeNull();
    await clock.advance(1);
    expect(row()?.Meta).toEqual({ rack: '7' });
  }
  log.elect(undefined);
  await own[Symbol.asyncDispose]();
  expect(failed).toEqual([]);
});
