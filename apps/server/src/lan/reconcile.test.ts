import { type Fsm, newCheck, newNode, newRegisterRequest, newService, openFsm } from '@fed/fsm';
import type { SerfMember } from '@fed/serf';
import { beforeEach, describe, expect, test } from 'vitest';
import { SharedLog } from '../../test/shared-log.ts';
import { takePlace } from '../snapshot/take-place.ts';
import { serverTags } from '../tags.ts';
import { buildTag } from '../version.ts';
import { gone, reconcileMember } from './reconcile.ts';

const ids = {
  n1: '11111111-1111-1111-1111-111111111111',
  n2: '22222222-2222-2222-2222-222222222222',
  other: '33333333-3333-3333-3333-333333333333',
};
const vsn = { pMin: 1, pMax: 5, pCur: 2, dMin: 2, dMax: 5, dCur: 4 };
const o = { datacenter: 'dc1', self: 'n1' };

function member(over: Partial<SerfMember> & { readonly id?: string } = {}): SerfMember {
  const { id = ids.n2, ...rest } = over;
  return {
    name: 'n2',
    host: '10.0.0.2',
    port: 8301,
    addr: Buffer.from([10, 0, 0, 2]),
    status: 'alive',
    vsn,
    tags: serverTags({
      datacenter: 'dc1',
      nodeId: id,
      serverPort: 8300,
      build: '1.9.8:abc',
      tls: true,
      acls: false,
    }),
    ...rest,
  };
}
const client = (over: Partial<SerfMember> = {}): SerfMember =>
  member({ name: 'c1', host: '10.0.0.7', tags: { role: 'node', dc: 'dc1', id: ids.other }, ...over });

let fsm: Fsm;
beforeEach(async () => {
  const log = new SharedLog();
  fsm = await openFsm({ engine: log.open('10.0.0.1:8300') });
  log.elect('10.0.0.1:8300');
});

/** Applies what is to be written; how many commands it were. */
async function reconcile(of: SerfMember): Promise<number> {
  const commands = reconcileMember(of, fsm.store, o);
  for (const command of commands) await fsm.apply(command);
  return commands.length;
}
const health = (node: string) => fsm.store.nodeChecks(node).rows.find((c) => c.CheckID === 'serfHealth');
const register = (over: Parameters<typeof newRegisterRequest>[0]) =>
  fsm.apply({ type: 'register', request: newRegisterRequest({ Datacenter: 'dc1', ...(over as object) }) });

describe('who is alive', () => {
  test('a server becomes a node, the service consul with the original’s meta, and a passing check', async () => {
    expect(await reconcile(member())).toBe(1);
    expect(fsm.store.node('n2').row).toMatchObject({ ID: ids.n2, Address: '10.0.0.2', Datacenter: 'dc1' });
    expect(fsm.store.nodeServices('n2').rows).toEqual([
      expect.objectContaining({
        ID: 'consul',
        Service: 'consul',
        Port: 8300,
        Address: '',
        Tags: [],
        Weights: { Passing: 1, Warning: 1 },
        Meta: {
          raft_version: '3',
          serf_protocol_current: '2',
          serf_protocol_max: '5',
          serf_protocol_min: '1',
          version: '1.9.8',
        },
      }),
    ]);
    expect(health('n2')).toMatchObject({
      Name: 'Serf Health Status',
      Output: 'Agent alive and reachable',
      Status: 'passing',
    });
  });

  test('a client agent becomes a node with a check, and no service', async () => {
    await reconcile(client());
    expect(fsm.store.node('c1').row?.Address).toBe('10.0.0.7');
    expect(fsm.store.nodeServices('c1').rows).toEqual([]);
    expect(health('c1')?.Status).toBe('passing');
  });

  test('saying it again writes nothing', async () => {
    await reconcile(member());
    expect(reconcileMember(member(), fsm.store, o)).toEqual([]);
  });

  test('what a server writes of itself is what its pool says of it, so the two do not overwrite each other', async () => {
    const self = newNode({ Node: 'n1', ID: ids.n1, Address: '10.0.0.1', Datacenter: 'dc1' });
    await takePlace({ fsm, self, serverPort: 8300 });
    const own = member({
      name: 'n1',
      host: '10.0.0.1',
      tags: serverTags({
        datacenter: 'dc1',
        nodeId: ids.n1,
        serverPort: 8300,
        build: buildTag,
        tls: true,
        acls: false,
      }),
    });
    expect(reconcileMember(own, fsm.store, o)).toEqual([]);
  });

  test('what others wrote about a node stays', async () => {
    await register({
      Node: 'n2',
      Address: '10.0.0.2',
      ID: ids.n2,
      NodeMeta: { rack: '7' },
      TaggedAddresses: { wan: '203.0.113.2' },
      Service: newService({ ID: 'web', Service: 'web' }),
      Check: newCheck({ Node: 'n2', CheckID: 'disk', Status: 'warning' }),
    });
    expect(await reconcile(member({ host: '10.0.0.22' }))).toBe(1);
    expect(fsm.store.node('n2').row).toMatchObject({
      Address: '10.0.0.22',
      Meta: { rack: '7' },
      TaggedAddresses: { wan: '203.0.113.2' },
    });
    expect(fsm.store.nodeServices('n2').rows.map((s) => s.ID)).toEqual(['consul', 'web']);
    expect(fsm.store.nodeChecks('n2').rows.map((c) => c.CheckID)).toEqual(['disk', 'serfHealth']);
  });

  for (const [what, changed] of [
    ['another address', member({ host: '10.0.0.9' })],
    ['another port', member({ tags: { ...member().tags, port: '9300' } })],
    ['another version', member({ tags: { ...member().tags, build: '1.9.9:' } })],
    ['another id', member({ id: ids.other })],
  ] as const)
    test(`a member that came back with ${what} is written again`, async () => {
      await reconcile(member());
      const written = await reconcile(changed);
      expect(written).toBe(what === 'another id' ? 2 : 1);
      expect(reconcileMember(changed, fsm.store, o)).toEqual([]);
      expect(fsm.store.nodes().rows).toHaveLength(1);
      expect(health('n2')?.Status).toBe('passing');
    });

  test('a machine under a new name takes its old name out of the catalog', async () => {
    await reconcile(member());
    await reconcile(member({ status: 'failed' }));
    await reconcile(member({ name: 'n9' }));
    expect(fsm.store.nodes().rows.map((n) => n.Node)).toEqual(['n9']);
  });
});

describe('who is not', () => {
  test('failed: the check turns critical, all else stays, also an address somebody else wrote', async () => {
    await reconcile(member());
    expect(await reconcile(member({ status: 'failed', host: '10.9.9.9' }))).toBe(1);
    expect(health('n2')).toMatchObject({ Status: 'critical', Output: 'Agent not live or unreachable' });
    expect(fsm.store.node('n2').row?.Address).toBe('10.0.0.2');
    expect(fsm.store.nodeServices('n2').rows.map((s) => s.ID)).toEqual(['consul']);
    expect(reconcileMember(member({ status: 'failed' }), fsm.store, o)).toEqual([]);
    await reconcile(member());
    expect(health('n2')?.Status).toBe('passing');
  });

  test('failed before it was ever registered: nothing', () => {
    expect(reconcileMember(member({ status: 'failed' }), fsm.store, o)).toEqual([]);
  });

  test('leaving: not yet', async () => {
    await reconcile(member());
    expect(reconcileMember(member({ status: 'leaving' }), fsm.store, o)).toEqual([]);
  });

  test('left: the node goes with all that is on it, and a second time there is nothing to do', async () => {
    await reconcile(member());
    await register({ Node: 'n2', SkipNodeUpdate: true, Service: newService({ ID: 'web', Service: 'web' }) });
    expect(await reconcile(member({ status: 'left' }))).toBe(1);
    expect(fsm.store.nodes().rows).toEqual([]);
    expect(fsm.store.serviceNodes('web').rows).toEqual([]);
    expect(reconcileMember(member({ status: 'left' }), fsm.store, o)).toEqual([]);
  });

  test('a leader does not take itself away: that is for the next one', async () => {
    await register({ Node: 'n1', Address: '10.0.0.1', ID: ids.n1 });
    expect(reconcileMember(member({ name: 'n1', status: 'left' }), fsm.store, o)).toEqual([]);
    expect(gone('n1', fsm.store, o)).toEqual([]);
  });

  test('members of another datacenter, and strangers, are nobody the catalog knows of', () => {
    expect(reconcileMember(member({ tags: { ...member().tags, dc: 'dc2' } }), fsm.store, o)).toEqual([]);
    expect(reconcileMember(client({ tags: { dc: 'dc1', role: 'printer' } }), fsm.store, o)).toEqual([]);
  });
});
