/** What each command means, and which indexes move. Rules after Consul agent/consul/state and fsm tests. */
import assert from 'node:assert/strict';
import { goTime, goTimeZero } from '@fed/msgpack';
import { describe, test } from 'vitest';
import { apply } from './apply.ts';
import { type Command, encodeCommand, newDeregisterRequest, newRegisterRequest } from './command.ts';
import { FsmError } from './errors.ts';
import { newFederationState } from './new-row.ts';
import type { FederationState } from './rows.ts';
import { Store } from './store.ts';

/** A store and a hand that applies commands at the indexes it is told. */
function machine() {
  const store = new Store();
  const at = (index: number, command: Command): unknown => apply(store, index, encodeCommand(command));
  return {
    store,
    at,
    register: (index: number, request: Parameters<typeof newRegisterRequest>[0]) =>
      at(index, { type: 'register', request: newRegisterRequest(request) }),
    deregister: (index: number, request: Parameters<typeof newDeregisterRequest>[0]) =>
      at(index, { type: 'deregister', request: newDeregisterRequest(request) }),
    upsert: (index: number, state: Partial<FederationState>) =>
      at(index, { type: 'federationState', op: 'upsert', state: newFederationState(state) }),
    remove: (index: number, Datacenter: string) =>
      at(index, { type: 'federationState', op: 'delete', state: newFederationState({ Datacenter }) }),
    get read() {
      return store;
    },
  };
}

function refused(result: unknown, code: FsmError['code']): void {
  assert.ok(result instanceof FsmError, `expected a refusal, got ${String(result)}`);
  assert.equal(result.code, code);
}

describe('federation state', () => {
  test('upsert: the first write sets all three indexes, and answers true', () => {
    const m = machine();
    assert.equal(m.upsert(12, { Datacenter: 'dc1' }), true);
    const { index, row } = m.read.federationState('dc1');
    assert.deepEqual([index, row?.CreateIndex, row?.ModifyIndex, row?.PrimaryModifyIndex], [12, 12, 12, 12]);
  });

  test('upsert: a later write keeps CreateIndex; PrimaryModifyIndex is kept when given, else set', () => {
    const m = machine();
    m.upsert(12, { Datacenter: 'dc1' });
    m.upsert(15, { Datacenter: 'dc1', PrimaryModifyIndex: 99 });
    const given = m.read.federationState('dc1').row;
    assert.deepEqual([given?.CreateIndex, given?.ModifyIndex, given?.PrimaryModifyIndex], [12, 15, 99]);
    m.upsert(16, { Datacenter: 'dc1' });
    assert.equal(m.read.federationState('dc1').row?.PrimaryModifyIndex, 16);
  });

  test('upsert: saying the same again still moves the index, because the writer waits to see it come back', () => {
    const m = machine();
    m.upsert(12, { Datacenter: 'dc1' });
    m.upsert(13, { Datacenter: 'dc1' });
    assert.equal(m.read.federationStates().index, 13);
  });

  test('names are found in any case, the spelling is that of the last write', () => {
    const m = machine();
    m.upsert(1, { Datacenter: 'DC1' });
    m.upsert(2, { Datacenter: 'dc1' });
    assert.deepEqual(
      m.read.federationStates().rows.map((row) => [row.Datacenter, row.CreateIndex]),
      [['dc1', 1]],
    );
    assert.equal(m.read.federationState('Dc1').row?.Datacenter, 'dc1');
  });

  test('list: ascending by lower-cased name; get of a missing one answers with the table index', () => {
    const m = machine();
    for (const [i, Datacenter] of ['b', 'C', 'a'].entries()) m.upsert(i + 1, { Datacenter });
    assert.deepEqual(
      m.read.federationStates().rows.map((row) => row.Datacenter),
      ['a', 'b', 'C'],
    );
    assert.deepEqual(m.read.federationState('zz'), { index: 3, row: undefined });
  });

  test('delete: answers nothing and moves the table index; deleting nothing moves nothing', () => {
    const m = machine();
    m.upsert(1, { Datacenter: 'dc1' });
    assert.equal(m.remove(2, 'DC1'), null);
    assert.deepEqual([m.read.federationStates().index, m.read.federationStates().rows.length], [2, 0]);
    assert.equal(m.remove(3, 'dc1'), null);
    assert.equal(m.read.federationStates().index, 2);
  });

  test('an unknown operation, a null state or an empty datacenter is refused, as a value', () => {
    const m = machine();
    refused(
      m.at(1, { type: 'federationState', op: 'cas', state: newFederationState({ Datacenter: 'a' }) }),
      'invalid',
    );
    refused(m.at(2, { type: 'federationState', op: 'upsert', state: null }), 'invalid');
    refused(m.upsert(3, {}), 'invalid');
    assert.equal(m.read.federationStates().index, 0);
    assert.equal(m.store.appliedIndex, 3);
  });

  test('the time is the log entry’s, to the nanosecond, and zero stays zero', () => {
    const m = machine();
    const UpdatedAt = goTime(1_700_000_000_123, 456_789);
    m.upsert(1, { Datacenter: 'a', UpdatedAt });
    m.upsert(2, { Datacenter: 'b' });
    assert.deepEqual(m.read.federationState('a').row?.UpdatedAt, UpdatedAt);
    assert.deepEqual(m.read.federationState('b').row?.UpdatedAt, goTimeZero);
  });

  test('unknown keys of a newer peer and the difference of nil and empty survive', () => {
    const m = machine();
    const gateway = {
      Node: { Node: 'gw', Partition: 'default' },
      Service: { ID: 'gw', Tags: [] },
      Checks: null,
    };
    m.upsert(1, { Datacenter: 'a', MeshGateways: [gateway as never], Extra: { Deep: [1n, null] } } as never);
    const row = m.read.federationState('a').row as unknown as {
      Extra: unknown;
      MeshGateways: {
        Node: { Partition: string; Meta: null };
        Service: { Tags: []; Meta: null };
        Checks: null;
      }[];
    };
    assert.deepEqual(structuredClone(row.Extra), { Deep: [1, null] });
    assert.equal(row.MeshGateways[0]?.Node.Partition, 'default');
    assert.deepEqual(row.MeshGateways[0]?.Service.Tags, []);
    assert.equal(row.MeshGateways[0]?.Service.Meta, null);
    assert.equal(row.MeshGateways[0]?.Checks, null);
  });

  test('rows handed out cannot be changed', () => {
    const m = machine();
    m.upsert(1, { Datacenter: 'a', MeshGateways: [{ Node: { Meta: { k: 'v' } } } as never] });
    const row = m.read.federationState('a').row as unknown as {
      ModifyIndex: number;
      MeshGateways: { Node: { Meta: { k: string } } }[];
    };
    assert.throws(() => {
      row.ModifyIndex = 0;
    }, TypeError);
    assert.throws(() => {
      (row.MeshGateways[0] as { Node: { Meta: { k: string } } }).Node.Meta.k = 'w';
    }, TypeError);
    assert.throws(() => row.MeshGateways.pop(), TypeError);
  });
});

const web = { ID: 'web1', Service: 'web', Port: 80 };

describe('register', () => {
  test('node, service and checks are one step: a refused check undoes node and service', () => {
    const m = machine();
    refused(
      m.register(5, { Node: 'n1', Service: web, Check: { Node: 'n1', CheckID: 'c', ServiceID: 'other' } }),
      'missing_service',
    );
    assert.deepEqual(
      [m.read.nodes().rows.length, m.read.services().services.size, m.read.index('nodes', 'services')],
      [0, 0, 0],
    );
  });

  test('saying the same again moves no index', () => {
    const m = machine();
    const request = {
      Node: 'n1',
      Address: 'a',
      Service: web,
      Checks: [{ Node: 'n1', CheckID: 'c', Status: 'passing' }],
    };
    assert.equal(m.register(5, request), null);
    m.register(6, request);
    assert.equal(m.read.index('nodes', 'services', 'checks', 'service.web', 'service_kind.typical'), 5);
    assert.equal(m.read.nodes().rows[0]?.ModifyIndex, 5);
  });

  test('the order of keys in a user’s map is no change', () => {
    const m = machine();
    m.register(5, { Node: 'n1', NodeMeta: { a: '1', b: '2' } });
    m.register(6, { Node: 'n1', NodeMeta: { b: '2', a: '1' } });
    assert.equal(m.read.nodes().index, 5);
    m.register(7, { Node: 'n1', NodeMeta: {} });
    m.register(8, { Node: 'n1', NodeMeta: null });
    assert.equal(m.read.nodes().index, 8);
  });

  test('a changed address moves the indexes of every service of the node, whose answers carry it', () => {
    const m = machine();
    m.register(5, { Node: 'n1', Address: 'a', Service: web });
    m.register(6, { Node: 'n2', Address: 'a', Service: { ...web, ID: 'db', Service: 'db' } });
    m.register(7, { Node: 'n1', Address: 'b' });
    assert.deepEqual([m.read.serviceNodes('web').index, m.read.serviceNodes('db').index], [7, 6]);
    assert.equal(m.read.serviceNodes('web').rows[0]?.Address, 'b');
    assert.equal(m.read.checkServiceNodes('web').rows[0]?.Node.Address, 'b');
  });

  test('SkipNodeUpdate leaves an existing node alone and still creates a missing one', () => {
    const m = machine();
    m.register(5, { Node: 'n1', Address: 'a', SkipNodeUpdate: true });
    m.register(6, { Node: 'n1', Address: 'b', SkipNodeUpdate: true, Service: web });
    assert.deepEqual(
      m.read.nodes().rows.map((row) => [row.Address, row.ModifyIndex]),
      [['a', 5]],
    );
    assert.equal(m.read.services().index, 6);
  });

  test('a check without a status is critical; it takes name and tags from its service', () => {
    const m = machine();
    m.register(5, {
      Node: 'n1',
      Service: { ...web, Tags: ['v1'] },
      Check: { Node: 'n1', CheckID: 'c', ServiceID: 'web1' },
    });
    const check = m.read.serviceChecks('web').rows[0];
    assert.deepEqual([check?.Status, check?.ServiceName, check?.ServiceTags], ['critical', 'web', ['v1']]);
  });

  test('a node’s check speaks for all its services, a service’s check for that one', () => {
    const m = machine();
    m.register(1, { Node: 'n1', Service: web });
    m.register(2, { Node: 'n1', Service: { ID: 'db', Service: 'db' } });
    m.register(3, { Node: 'n1', Check: { Node: 'n1', CheckID: 'own', ServiceID: 'web1' } });
    assert.deepEqual([m.read.checkServiceNodes('web').index, m.read.checkServiceNodes('db').index], [3, 2]);
    m.register(4, { Node: 'n1', Check: { Node: 'n1', CheckID: 'all' } });
    assert.deepEqual([m.read.checkServiceNodes('web').index, m.read.checkServiceNodes('db').index], [4, 4]);
    assert.deepEqual(
      m.read.checkServiceNodes('web').rows[0]?.Checks?.map((check) => check.CheckID),
      ['all', 'own'],
    );
    assert.deepEqual(
      m.read.checkServiceNodes('db').rows[0]?.Checks?.map((check) => check.CheckID),
      ['all'],
    );
  });

  test('a check that moves to another service moves the indexes of both', () => {
    const m = machine();
    m.register(1, { Node: 'n1', Service: web });
    m.register(2, { Node: 'n1', Service: { ID: 'db', Service: 'db' } });
    m.register(3, { Node: 'n1', Check: { Node: 'n1', CheckID: 'c', ServiceID: 'web1' } });
    m.register(4, { Node: 'n1', Check: { Node: 'n1', CheckID: 'c', ServiceID: 'db' } });
    assert.deepEqual([m.read.checkServiceNodes('web').index, m.read.checkServiceNodes('db').index], [4, 4]);
    assert.deepEqual(m.read.checkServiceNodes('web').rows[0]?.Checks, []);
    assert.equal(m.read.serviceChecks('web').rows.length, 0);
  });

  test('a check for another node than the registration’s is refused', () => {
    const m = machine();
    m.register(1, { Node: 'n2' });
    refused(m.register(2, { Node: 'n1', Check: { Node: 'n2', CheckID: 'c' } }), 'check_node_mismatch');
  });

  test('missing names, and names with a NUL, are refused', () => {
    const m = machine();
    refused(m.register(1, {}), 'invalid');
    refused(m.register(2, { Node: 'a\0b' }), 'invalid');
    refused(m.register(3, { Node: 'n', Service: { Service: 'web' } }), 'invalid');
    refused(m.register(4, { Node: 'n', Service: { ID: 'web' } }), 'invalid');
    refused(m.register(5, { Node: 'n', Check: { Node: 'n' } }), 'invalid');
  });

  test('an instance that changes its service leaves the old one, whose readers notice', () => {
    const m = machine();
    m.register(1, { Node: 'n1', Service: web });
    m.register(2, { Node: 'n1', Service: { ...web, Service: 'shop', Kind: 'mesh-gateway' } });
    assert.deepEqual([...m.read.services().services.keys()], ['shop']);
    assert.deepEqual([m.read.serviceNodes('web').rows.length, m.read.serviceNodes('web').index], [0, 2]);
    assert.deepEqual([m.read.serviceKind('').rows.length, m.read.serviceKind('').index], [0, 2]);
    assert.equal(m.read.serviceKind('mesh-gateway').rows.length, 1);
  });
});

describe('node names and IDs', () => {
  const serf = (Node: string, Status: string) => ({ Node, CheckID: 'serfHealth', Status });

  test('the same ID under a new name is a rename: the old name and what hung on it are gone', () => {
    const m = machine();
    m.register(1, { Node: 'old', ID: 'id-1', Service: web, Check: serf('old', 'passing') });
    m.register(2, { Node: 'new', ID: 'ID-1' });
    assert.deepEqual(
      m.read.nodes().rows.map((row) => [row.Node, row.CreateIndex, row.ModifyIndex]),
      [['new', 1, 2]],
    );
    assert.equal(m.read.checkServiceNodes('web').rows.length, 0);
    assert.equal(m.read.checksInState('any').rows.length, 0);
  });

  test('a name held by another ID is refused while its holder is alive', () => {
    const m = machine();
    m.register(1, { Node: 'n', ID: 'id-1', Address: '10.0.0.1', Check: serf('n', 'passing') });
    const result = m.register(2, { Node: 'N', ID: 'id-2' });
    refused(result, 'node_name_reserved');
    assert.match(
      (result as Error).message,
      /Node name N is reserved by node id-1 with name n \(10\.0\.0\.1\)/,
    );
  });

  for (const [what, check] of [
    ['is down', serf('n', 'critical')],
    ['was never a member', undefined],
  ] as const)
    test(`a name held by another ID can be taken when its holder ${what}`, () => {
      const m = machine();
      m.register(1, { Node: 'n', ID: 'id-1', ...(check === undefined ? {} : { Check: check }) });
      assert.equal(m.register(2, { Node: 'n', ID: 'id-2' }), null);
      assert.equal(m.read.node('n').row?.ID, 'id-2');
      // The dead holder's ID is free again.
      assert.equal(m.register(3, { Node: 'other', ID: 'id-1' }), null);
      assert.equal(m.read.nodes().rows.length, 2);
    });

  test('a node without an ID can be given one, alive or not; renaming onto it needs it to be dead', () => {
    const m = machine();
    m.register(1, { Node: 'n', Check: serf('n', 'passing') });
    m.register(2, { Node: 'other', ID: 'id-1' });
    refused(m.register(3, { Node: 'n', ID: 'id-1' }), 'node_name_reserved');
    assert.equal(m.register(4, { Node: 'n', ID: 'id-2' }), null);
  });
});

describe('deregister', () => {
  function populated() {
    const m = machine();
    m.register(1, { Node: 'n1', Service: web, Check: { Node: 'n1', CheckID: 'c', ServiceID: 'web1' } });
    m.register(2, { Node: 'n2', Service: web, Check: { Node: 'n2', CheckID: 'node' } });
    return m;
  }

  test('a service goes with its checks; while instances remain the service index moves on', () => {
    const m = populated();
    m.deregister(3, { Node: 'N1', ServiceID: 'WEB1' });
    assert.equal(m.read.serviceNodes('web').rows.length, 1);
    assert.equal(m.read.index('service.web'), 3);
    assert.equal(m.read.nodeChecks('n1').rows.length, 0);
    assert.equal(m.read.node('n1').row?.ModifyIndex, 1);
  });

  test('with the last instance the service’s index is dropped and the extinction remembered', () => {
    const m = populated();
    m.deregister(3, { Node: 'n1', ServiceID: 'web1' });
    m.deregister(4, { Node: 'n2', ServiceID: 'web1' });
    assert.equal(m.read.index('service.web'), 0);
    assert.equal(m.read.index('service_last_extinction'), 4);
    assert.equal(m.read.serviceNodes('web').index, 4);
    m.register(5, { Node: 'n1', Service: web });
    assert.equal(m.read.serviceNodes('web').index, 5);
  });

  test('a check alone; a node with everything on it', () => {
    const m = populated();
    m.deregister(3, { Node: 'n2', CheckID: 'node' });
    assert.deepEqual([m.read.nodeChecks('n2').rows.length, m.read.checksInState('any').index], [0, 3]);
    m.deregister(4, { Node: 'n1' });
    assert.deepEqual(
      m.read.nodes().rows.map((row) => row.Node),
      ['n2'],
    );
    assert.deepEqual(
      [m.read.serviceNodes('web').rows.length, m.read.checksInState('any').rows.length],
      [1, 0],
    );
  });

  for (const what of [{ ServiceID: 'none' }, { CheckID: 'none' }, {}])
    test(`what is not there is a success that moves no index: ${JSON.stringify(what)}`, () => {
      const m = populated();
      const before = m.read.index('nodes', 'services', 'checks', 'service.web');
      assert.equal(m.deregister(9, { Node: 'nobody', ...what }), null);
      assert.equal(m.read.index('nodes', 'services', 'checks', 'service.web'), before);
    });
});

describe('questions', () => {
  test('services: names with the union of their tags', () => {
    const m = machine();
    m.register(1, { Node: 'n1', Service: { ...web, Tags: ['b', 'a'] } });
    m.register(2, { Node: 'n2', Service: { ...web, Tags: ['a', 'c'] } });
    m.register(3, { Node: 'n2', Service: { ID: 'db', Service: 'db' } });
    assert.deepEqual(
      [...m.read.services().services],
      [
        ['db', []],
        ['web', ['b', 'a', 'c']],
      ],
    );
  });

  test('a service never heard of answers with the index of the catalog, a kind never heard of with 0', () => {
    const m = machine();
    m.register(7, { Node: 'n1', Service: web });
    m.register(8, { Node: 'n1', Check: { Node: 'n1', CheckID: 'c' } });
    assert.equal(m.read.serviceNodes('nothing').index, 7);
    assert.equal(m.read.checkServiceNodes('nothing').index, 8);
    assert.equal(m.read.serviceKind('nothing').index, 0);
  });

  test('coordinates of nodes nobody registered are dropped; a node takes its coordinates along', () => {
    const m = machine();
    m.register(1, { Node: 'n1' });
    const update = (Node: string) => ({ Node, Segment: '', Coord: null });
    m.at(2, { type: 'coordinates', updates: [update('ghost')] });
    assert.deepEqual(m.read.coordinates(), { index: 0, rows: [] });
    m.at(3, { type: 'coordinates', updates: [update('n1'), update('ghost')] });
    assert.deepEqual([m.read.coordinates().index, m.read.coordinates().rows.length], [3, 1]);
    m.deregister(4, { Node: 'n1' });
    assert.deepEqual([m.read.coordinates().index, m.read.coordinates().rows.length], [4, 0]);
  });
});

describe('log entries we cannot use', () => {
  test('an unknown type is refused as a value, or passed over when it says it may be', () => {
    const m = machine();
    refused(m.at(1, { type: 'foreign', typeByte: 2, body: Uint8Array.of(0x80) }), 'unsupported');
    assert.equal(m.at(2, { type: 'foreign', typeByte: 0x80 | 77, body: new Uint8Array() }), null);
    assert.equal(m.store.appliedIndex, 2);
  });

  for (const [what, hex, path] of [
    ['nothing', '', /empty/],
    ['a type byte alone', '1e', /truncated/],
    ['a value that ends early', '1e84aa446174', /truncated/],
    ['a list where a map belongs', '1e90', /not a map/],
    ['a number for a name', '0081a44e6f646505', /Node is not UTF-8 text/],
    ['bytes that are no text for a name', '0081a44e6f6465a2fffe', /Node is not UTF-8 text/],
    ['a negative index', '0081ab437265617465496e646578ff', /CreateIndex is not an index/],
    [
      'a float for a port',
      '0081a75365727669636581a4506f7274cb3ff0000000000000',
      /Service\.Port is not an integer/,
    ],
    [
      'a time beyond the year 9999',
      '1e81a5537461746581a9557064617465644174af017fffffffffffffff00000000ffff',
      /UpdatedAt is not a binary time/,
    ],
    ['a time that is none', '1e81a5537461746581a9557064617465644174a161', /UpdatedAt is not a binary time/],
  ] as const)
    test(`malformed: ${what}`, () => {
      const m = machine();
      const result = apply(m.store, 1, Buffer.from(hex, 'hex'));
      refused(result, 'malformed');
      assert.match((result as Error).message, path);
      assert.equal(m.store.appliedIndex, 1);
    });
});
