import { randomBytes } from 'node:crypto';
import { type Fsm, newNode, newRegisterRequest, newService, openFsm } from '@fed/fsm';
import type { SerfMember } from '@fed/serf';
import { settled, VirtualClock } from '@fed/tooling/virtual-clock';
import pino from 'pino';
import { expect, test } from 'vitest';
import { SharedLog } from '../test/shared-log.ts';
import type { Config } from './config/config.ts';
import { Authority } from './connect-ca/authority.ts';
import { openLeaderDuties } from './leader.ts';
import { Router } from './router.ts';
import { asArgs } from './rpc/args.ts';
import { serverTags } from './tags.ts';
import { buildTag } from './version.ts';
import type { World } from './world.ts';

const rng = { below: () => 0 };

function member(name: string, host: string): SerfMember {
  return {
    name,
    host,
    port: 8301,
    addr: Buffer.alloc(4),
    status: 'alive',
    vsn: { pMin: 1, pMax: 5, pCur: 2, dMin: 2, dMax: 5, dCur: 4 },
    tags: serverTags({
      datacenter: 'dc1',
      nodeId: idOf(name),
      serverPort: 8300,
      build: buildTag,
      tls: true,
      acls: false,
      shared: { servers: 2 },
    }),
  };
}
const idOf = (name: string): string => `${name.slice(1)}0000000-0000-0000-0000-000000000000`;
const members = [member('n1', '10.0.0.1'), member('n2', '10.0.0.2')];

/** Two servers of dc1 with all the duties a leader has; what they ask of the primary is written down, with the asker. */
async function datacenter(primary: string) {
  const log = new SharedLog();
  const asked: { readonly by: string; readonly method: string; readonly signal: AbortSignal }[] = [];
  const events: string[] = [];
  const servers = new Map<string, { readonly fsm: Fsm; readonly clock: VirtualClock }>();
  for (const { name, host } of members) {
    const clock = new VirtualClock();
    const address = `${host}:8300`;
    const fsm = await openFsm({ engine: log.open(address), clock });
    const world = { clock, rng, wallMs: () => Date.UTC(2026, 0, 1), randomBytes } as unknown as World;
    await openLeaderDuties({
      config: { datacenter: 'dc1', primary, serverPort: 8300 } as Config,
      world,
      fsm,
      ask: async (method, args, { signal }) => {
        asked.push({ by: name, method, signal });
        if (method === 'FederationState.Apply') {
          const state = asArgs(args)['State'];
          await fsm.apply({ type: 'federationState', op: 'upsert', state: state as never });
          return true;
        }
        return new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
        });
      },
      locator: { hear: () => {} },
      router: new Router(rng),
      self: newNode({ Node: name, Address: host, Datacenter: 'dc1', ID: idOf(name) }),
      authorityOn: (hand) =>
        new Authority({ datacenter: 'dc1', primary, fsm: hand, maker: { randomBytes, now: () => 0 } }),
      lan: {
        members: () => members,
        member: (wanted) => members.find((m) => m.name === wanted),
        events: () => ({ [Symbol.dispose]: () => {} }),
        userEvent: (event, payload) => events.push(`${event} ${Buffer.from(payload).toString()}`),
      },
      observed: { published: () => {}, replicated: () => {} },
      log: pino({ level: 'silent' }),
    });
    servers.set(address, { fsm, clock });
  }
  const at = (address: string) => servers.get(address) as { fsm: Fsm; clock: VirtualClock };
  const turn = async (): Promise<void> => {
    for (const { clock } of servers.values()) await clock.advance(10_000);
    await settled();
  };
  return { log, asked, events, at, turn };
}
const a = '10.0.0.1:8300';
const b = '10.0.0.2:8300';
const gateway = (port: number) =>
  newRegisterRequest({
    Datacenter: 'dc1',
    Node: 'n1',
    SkipNodeUpdate: true,
    Service: newService({ ID: 'mesh-gateway', Service: 'mesh-gateway', Kind: 'mesh-gateway', Port: port }),
  });

test('in the primary one root is made, and whoever leads publishes, alone', async () => {
  const dc = await datacenter('dc1');
  dc.log.elect(a);
  await dc.turn();
  const roots = dc
    .at(b)
    .fsm.store.caRoots()
    .rows.map(({ ID }) => ID);
  expect(roots).toHaveLength(1);
  expect(dc.asked.map(({ by, method }) => `${by} ${method}`)).toEqual(['n1 FederationState.Apply']);
  expect(
    dc
      .at(b)
      .fsm.store.nodes()
      .rows.map(({ Node }) => Node),
  ).toEqual(['n1', 'n2']);
  expect(dc.events).toEqual(['consul:new-leader n1']);

  dc.log.elect(b);
  await dc.turn();
  expect(dc.at(a).clock.armed).toBe(0);
  await dc.at(b).fsm.apply({ type: 'register', request: gateway(8443) });
  await dc.turn();
  expect(dc.asked.slice(1).map(({ by, method }) => `${by} ${method}`)).toEqual(['n2 FederationState.Apply']);
  const [state] = dc.at(a).fsm.store.federationStates().rows;
  expect(state?.MeshGateways?.map(({ Service }) => Service.Port)).toEqual([8443]);
  expect(
    dc
      .at(a)
      .fsm.store.caRoots()
      .rows.map(({ ID }) => ID),
  ).toEqual(roots);

  dc.log.elect(undefined);
  await dc.turn();
  expect([dc.at(a).clock.armed, dc.at(b).clock.armed]).toEqual([0, 0]);
});

test('in a secondary whoever leads copies from the primary; who leads no more hangs up at once', async () => {
  const dc = await datacenter('dc9');
  dc.log.elect(a);
  await dc.turn();
  const by = (name: string) => dc.asked.filter((each) => each.by === name && !each.signal.aborted);
  expect(by('n1').map(({ method }) => method)).toEqual(
    expect.arrayContaining(['FederationState.List', 'ConnectCA.Roots']),
  );
  expect(dc.asked.filter((each) => each.by === 'n2')).toEqual([]);
  dc.log.elect(b);
  await settled();
  expect(by('n1').filter(({ method }) => method !== 'FederationState.Apply')).toEqual([]);
  await dc.turn();
  expect(by('n2').map(({ method }) => method)).toEqual(
    expect.arrayContaining(['FederationState.List', 'ConnectCA.Roots']),
  );
});
