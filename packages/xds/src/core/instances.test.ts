import type { CheckServiceNode, FederationState, ServiceRow } from '@fed/fsm';
import { describe, expect, expectTypeOf, test } from 'vitest';
import { taggedOf, vector } from '../../test/scenario.ts';
import { bestAddress, eachOnce, freshest, healthAndWeight, isLiteral, localServersOf } from './instances.ts';
import { describeGateway } from './ir.ts';
import { recommended, upstream } from './profile.ts';
import { isValid } from './settling.ts';
import type { GatewayRegistration, GatewayWorld, Instance } from './world.ts';

type Tagged = Record<string, { address: string; port: number }>;
const cases = vector<{
  healthAndWeight: {
    cases: {
      checks: string[];
      weights: { passing: number; warning: number } | null;
      onlyPassing: boolean;
      health: string;
      weight: number;
    }[];
  };
  address: {
    cases: {
      service: { address: string; port: number; taggedAddresses?: Tagged };
      node: { address: string; taggedAddresses?: Record<string, string> };
      wan: boolean;
      result: string;
    }[];
  };
  gatewaySource: { cases: { catalogDump: number[]; federationState: number[]; use: string | null }[] };
  snapshotValid: {
    wanfed: boolean;
    roots: boolean;
    serviceListSet: boolean;
    serviceGroups?: number;
    servers?: number;
    serverWatch?: string;
    valid: boolean;
  }[];
  hostnames: {
    dc: string;
    config?: Record<string, string>;
    gateways: { wan: string; health: string }[];
    discovery: string;
    clusterEndpoints: string[];
    eds: boolean;
    note?: string;
  }[];
}>('selection-cases');

const row = (o: {
  node?: Partial<Instance['Node']>;
  service?: Partial<Instance['Service']>;
  checks?: string[];
}): Instance => ({
  Node: { Node: 'n', Address: '10.0.0.1', ...o.node },
  Service: { Address: '', Port: 1, ...o.service },
  Checks: (o.checks ?? []).map((Status) => ({ Status })),
});

describe('health and weight', () => {
  for (const c of cases.healthAndWeight.cases)
    test(`${JSON.stringify(c.checks)} ${JSON.stringify(c.weights)}${c.onlyPassing ? ' only passing' : ''}: ${c.health} ${c.weight}`, () => {
      const Weights = c.weights && { Passing: c.weights.passing, Warning: c.weights.warning };
      const found = healthAndWeight(row({ service: { Weights }, checks: c.checks }), c.onlyPassing);
      expect(found).toEqual({ health: c.health.toLowerCase(), weight: c.weight });
    });
});

describe('address', () => {
  for (const c of cases.address.cases)
    test(`${JSON.stringify(c.service)} on ${JSON.stringify(c.node)} ${c.wan ? 'wan' : 'lan'}: ${c.result}`, () => {
      const { host, port } = bestAddress(
        row({
          node: { Address: c.node.address, TaggedAddresses: c.node.taggedAddresses ?? null },
          service: {
            Address: c.service.address,
            Port: c.service.port,
            TaggedAddresses: taggedOf(c.service.taggedAddresses),
          },
        }),
        c.wan,
      );
      expect(`${host}:${port}`).toBe(c.result);
    });

  test('servers: the LAN address, even where a WAN one is tagged; critical if any check is', () => {
    const server = row({
      service: { Port: 8300, TaggedAddresses: { wan: { Address: '203.0.113.9', Port: 8300 } } },
      checks: ['passing', 'critical'],
    });
    expect(localServersOf([server])).toEqual([{ node: 'n', host: '10.0.0.1', port: 8300, critical: true }]);
  });
});

describe('gateway source: the freshest list', () => {
  const rows = (indexes: number[]) => indexes.map((ModifyIndex) => row({ service: { ModifyIndex } }));

  for (const c of cases.gatewaySource.cases)
    test(`dump ${JSON.stringify(c.catalogDump)}, state ${JSON.stringify(c.federationState)}: ${c.use}`, () => {
      expect(freshest(rows(c.catalogDump), rows(c.federationState))?.source ?? null).toBe(c.use);
    });

  test('rows without an index are better than no rows', () => {
    expect(freshest([], rows([0]))?.source).toBe('federationState');
  });
});

describe('snapshot valid', () => {
  for (const c of cases.snapshotValid)
    test(JSON.stringify(c), () => {
      const answered = {
        wanfed: c.wanfed,
        roots: c.roots,
        serviceListSet: c.serviceListSet,
        serviceGroups: c.serviceGroups ?? 0,
        servers: c.serverWatch === undefined ? c.servers : 0,
      };
      // An empty server list is enough for the original's later releases, and is waited out by us.
      const profile = c.serverWatch === 'registered-empty' ? upstream : recommended;
      expect(isValid(answered, profile)).toBe(c.valid);
    });
});

describe('host names', () => {
  for (const c of cases.hostnames)
    test(`${c.gateways.map((g) => `${g.wan} ${g.health}`).join(', ')}: ${c.discovery}`, () => {
      const gateways = c.gateways.map((g, i) => {
        const [host, port] = g.wan.split(':');
        return {
          ...row({
            node: { Node: `gw${i}` },
            service: { TaggedAddresses: { wan: { Address: host!, Port: Number(port) } } },
            checks: [g.health === 'HEALTHY' ? 'passing' : 'critical'],
          }),
        };
      });
      const world: GatewayWorld = {
        datacenter: 'dc1',
        domain: 'consul',
        gateway: {
          ID: 'g',
          Service: 'g',
          Address: '',
          Port: 8443,
          Meta: { 'consul-wan-federation': '1' },
          Proxy: { Config: c.config ?? null },
        },
        servers: [],
        federationStates: [],
        remoteGateways: new Map([[c.dc, gateways]]),
      };
      const ir = describeGateway(world, upstream);
      const found = ir.destinations.find((d) => d.name === `server.${c.dc}.consul`)!;
      expect(found.discovery).toBe(c.discovery);
      expect(found.hasAssignment).toBe(c.eds);
      const text = found.endpoints.map(
        (e) => `${e.host}:${e.port}${e.health === 'unhealthy' ? ' UNHEALTHY' : ''}`,
      );
      expect(text).toEqual(c.clusterEndpoints);
      if (c.note !== undefined) expect(ir.notices.map((n) => n.code)).toContain('mixed_addresses');
    });
});

test.each([
  ['10.0.0.1', true],
  ['255.255.255.255', true],
  ['256.0.0.1', false],
  ['1.2.3', false],
  ['fd00::21', true],
  ['::ffff:10.0.0.1', true],
  ['a.example.com', false],
  ['fd00::zz', false],
  ['', false],
])('%s is an address: %s', (host, literal) => expect(isLiteral(host)).toBe(literal));

test('rows of the catalog fit as they are', () => {
  expectTypeOf<CheckServiceNode>().toExtend<Instance>();
  expectTypeOf<ServiceRow>().toExtend<GatewayRegistration>();
  expectTypeOf<FederationState>().toExtend<GatewayWorld['federationStates'][number]>();
});

test('an address that stands there twice is one endpoint, healthy if any row says so', () => {
  const at = (port: number, health?: 'healthy' | 'unhealthy', weight = 1) => ({
    host: '10.0.0.1',
    port,
    weight,
    ...(health === undefined ? {} : { health }),
  });
  expect(
    eachOnce([at(1, 'unhealthy'), at(2), at(1, 'healthy', 3), at(1, 'unhealthy'), at(2, 'unhealthy')]),
  ).toEqual([at(1, 'healthy', 3), at(2)]);
});
