import { type CheckServiceNode, newCheck, newCheckServiceNode, newNode, newService } from '@fed/fsm';
import type { Value } from '@fed/msgpack';
import { describe, expect, test } from 'vitest';
import { catalogWriteEndpoints } from '../catalog-writes/endpoints.ts';
import type { Endpoint } from '../rpc/ask.ts';
import { Access } from './access.ts';
import { guarding } from './guard.ts';
import { type RulesDocument, readRules } from './rules.ts';

const read = { policy: 'read' } as const;
const tokens: Readonly<Record<string, RulesDocument>> = {
  operatorRead: { operator: 'read' },
  operatorWrite: { operator: 'write' },
  serviceAndNode: { service_prefix: { '': read }, node_prefix: { '': read } },
  serviceOnly: { service_prefix: { '': read } },
  oneGateway: { service: { 'gw-a': read }, node_prefix: { '': read } },
};
const access = (defaultPolicy: 'allow' | 'deny' = 'deny'): Access =>
  new Access({
    enabled: true,
    defaultPolicy,
    tokens: [
      ...Object.entries(tokens).map(([secret, rules]) => ({
        secret,
        accessor: secret,
        rules: readRules(rules),
      })),
      { secret: 'management', accessor: 'management', rules: undefined },
    ],
    defaultSecret: undefined,
  });

const gateway = (name: string): CheckServiceNode =>
  newCheckServiceNode({
    Node: newNode({ Node: 'n1' }),
    Service: newService({ ID: name, Service: name }),
    Checks: [newCheck({ CheckID: 'serfHealth', Node: 'n1' })],
  });
const stored = { dc1: [gateway('gw-a'), gateway('gw-b')], dc2: [gateway('gw-b')] };

/** Endpoints that answer with everything there is. */
const everything: Readonly<Record<string, Endpoint>> = Object.fromEntries(
  Object.entries({
    'FederationState.List': { States: [{ Datacenter: 'dc1' }] },
    'FederationState.Get': { State: { Datacenter: 'dc1' } },
    'FederationState.Apply': true,
    'FederationState.ListMeshGateways': { DatacenterNodes: stored },
    'Catalog.ListNodes': { Nodes: [{ Node: 'n1' }, { Node: 'n2' }] },
    'Catalog.ListServices': { Services: { 'gw-a': [], web: [] } },
    'Catalog.NodeServices': {
      NodeServices: { Node: { Node: 'n1' }, Services: { a: { Service: 'gw-a' }, w: { Service: 'web' } } },
    },
    'Health.ServiceNodes': { Nodes: stored.dc1 },
    'Health.NodeChecks': {
      HealthChecks: [
        { Node: 'n1', ServiceName: '' },
        { Node: 'n1', ServiceName: 'web' },
      ],
    },
    'Status.Leader': '192.0.2.1:8300',
    'New.Method': 'secret',
  }).map(([method, reply]) => [method, { belongs: 'datacenter', answer: () => reply as unknown as Value }]),
);

async function ask(method: string, Token: string, over: { policy?: 'allow' | 'deny'; args?: object } = {}) {
  const endpoint = guarding(everything, access(over.policy))[method] as Endpoint;
  try {
    return await endpoint.answer({ Token, ...over.args } as never, { signal: new AbortController().signal });
  } catch (error) {
    return (error as Error).message.replace(/:.*/, '');
  }
}

const denied = 'Permission denied';
const unknown = 'ACL not found';
const full = { DatacenterNodes: stored };
const none = { DatacenterNodes: {} };

/** The matrix of the original with default deny, as recorded from v1.9.8. */
describe('access to federation states, default deny', () => {
  const matrix: readonly (readonly [token: string, list: string, gateways: unknown, one: string])[] = [
    ['', denied, none, denied],
    ['nobody has this', unknown, unknown, unknown],
    ['operatorRead', 'answered', none, 'answered'],
    ['operatorWrite', 'answered', none, 'answered'],
    ['serviceAndNode', denied, full, denied],
    ['serviceOnly', denied, none, denied],
    ['management', 'answered', full, 'answered'],
  ];
  const answered = (reply: unknown): unknown => (typeof reply === 'object' ? 'answered' : reply);
  for (const [token, list, gateways, one] of matrix)
    test(token || 'anonymous', async () => {
      expect(answered(await ask('FederationState.List', token))).toBe(list);
      expect(await ask('FederationState.ListMeshGateways', token)).toEqual(gateways);
      expect(answered(await ask('FederationState.Get', token))).toBe(one);
    });

  test('only operator:write may write one', async () => {
    expect(await ask('FederationState.Apply', 'operatorRead')).toBe(denied);
    expect(await ask('FederationState.Apply', 'operatorWrite')).toBe(true);
  });
  test('each gateway is judged by its own name, and the stored list stays whole', async () => {
    expect(await ask('FederationState.ListMeshGateways', 'oneGateway')).toEqual({
      DatacenterNodes: { dc1: [stored.dc1[0]] },
    });
    expect(stored.dc1).toHaveLength(2);
  });
  test('default allow lets the anonymous do all but what management may', async () => {
    expect(await ask('FederationState.List', '', { policy: 'allow' })).toMatchObject({ States: [{}] });
    expect(await ask('New.Method', '', { policy: 'allow' })).toBe(denied);
  });
});

describe('access to the catalog, default deny', () => {
  test('rows one may not read are left out', async () => {
    expect(await ask('Catalog.ListNodes', '')).toEqual({ Nodes: [] });
    expect(await ask('Catalog.ListServices', 'oneGateway')).toEqual({ Services: { 'gw-a': [] } });
    expect(await ask('Catalog.NodeServices', 'oneGateway')).toMatchObject({
      NodeServices: { Services: { a: { Service: 'gw-a' } } },
    });
    expect(await ask('Catalog.NodeServices', 'serviceOnly')).toEqual({ NodeServices: null });
    expect(await ask('Health.ServiceNodes', 'oneGateway')).toEqual({ Nodes: [stored.dc1[0]] });
    expect(await ask('Health.NodeChecks', 'oneGateway')).toEqual({
      HealthChecks: [{ Node: 'n1', ServiceName: '' }],
    });
  });
  test('what says nothing of anybody is for all, also with a token nobody knows', async () => {
    expect(await ask('Status.Leader', 'nobody has this')).toBe('192.0.2.1:8300');
  });
  test('an endpoint nobody has thought of is for management alone', async () => {
    expect(await ask('New.Method', 'operatorWrite')).toBe(denied);
    expect(await ask('New.Method', 'management')).toBe('secret');
  });
});

test('access: a registration needs the node and every service it speaks of', async () => {
  const written: unknown[] = [];
  const writes = catalogWriteEndpoints({
    datacenter: 'dc1',
    fsm: {
      apply: (command) => {
        written.push(command);
        return Promise.resolve({ index: 1, result: null });
      },
    },
  });
  const rights: RulesDocument = { node: { ext: { policy: 'write' } }, service: { db: { policy: 'write' } } };
  const guarded = guarding(
    writes,
    new Access({
      enabled: true,
      defaultPolicy: 'deny',
      tokens: [{ secret: 't', accessor: 't', rules: readRules(rights) }],
      defaultSecret: undefined,
    }),
  );
  const register = (over: object): Promise<Value> =>
    Promise.resolve(
      guarded['Catalog.Register']?.answer(
        { Token: 't', Node: 'ext', Address: '192.0.2.9', ...over } as never,
        { signal: new AbortController().signal },
      ) ?? null,
    );
  await register({ Service: { Service: 'db' } });
  await expect(register({ Service: { Service: 'web' } })).rejects.toThrow(/'service:write' on "web"/);
  await expect(register({ Node: 'n1' })).rejects.toThrow(/'node:write' on "n1"/);
  await expect(register({ Checks: [{ CheckID: 'c', ServiceName: 'web' }] })).rejects.toThrow(/"web"/);
  expect(written).toHaveLength(1);
  expect(JSON.stringify(written)).not.toContain('"Token":"t"');
});
