import { describe, expect, test } from 'vitest';
import { goldenConfig, vector } from '../../test/golden.ts';
import { Balancer } from './balance.ts';
import { clusterOf, RouteTable } from './routes.ts';

interface Case {
  sni: string | null;
  chain: string;
  statPrefix: string;
  cluster: string | null;
  outcome: string;
  eligible: string[];
}
const { cases } = vector('routing.json') as { cases: Record<string, Case[]> };

for (const [golden, rows] of Object.entries(cases)) {
  describe(`routing by ${golden}`, () => {
    const config = goldenConfig(golden);
    const table = new RouteTable(config.listeners[0]?.chains ?? []);
    for (const row of rows) {
      test(`${row.sni ?? 'no SNI'}: ${row.chain}, ${row.outcome}`, () => {
        // The hello parser gives names in lower case.
        const sni = row.sni?.toLowerCase();
        const chain = table.match(sni);
        expect(chain?.serverNames).toEqual(row.chain === '(default chain)' ? [] : [row.chain]);
        expect(chain?.statPrefix).toBe(row.statPrefix);
        const name = chain && clusterOf(chain, sni);
        const cluster = name === undefined ? undefined : config.clusters.get(name);
        expect(cluster ? name : null).toBe(row.cluster);
        const balancer = new Balancer(cluster?.endpoints ?? [], { below: () => 0 }, { panicPercent: 1 });
        const picked = Array.from({ length: 500 }, () => balancer.pick(0)).filter((e) => e !== undefined);
        expect([...new Set(picked.map((e) => `${e.host}:${e.port}`))].sort()).toEqual(
          row.eligible.toSorted(),
        );
      });
    }
  });
}

const chain = (...serverNames: string[]) => ({
  serverNames,
  cluster: 'sni',
  statPrefix: '',
  connectAttemptsMax: 3,
  idleTimeoutMs: 0,
});

test('routes: the longest suffix wins', () => {
  const table = new RouteTable([chain('*.consul'), chain('*.dc2.consul'), chain('a.dc2.consul')]);
  expect(table.match('a.dc2.consul')?.serverNames).toEqual(['a.dc2.consul']);
  expect(table.match('b.a.dc2.consul')?.serverNames).toEqual(['*.dc2.consul']);
  expect(table.match('dc2.consul')?.serverNames).toEqual(['*.consul']);
  expect(table.match('consul')).toBeUndefined();
  expect(table.match(undefined)).toBeUndefined();
});

test('routes: names of the configuration are matched whatever their letter case', () => {
  expect(new RouteTable([chain('*.Server.DC2.consul')]).match('m1.server.dc2.consul')).toBeDefined();
});

test.each([
  ['server_name_twice', [chain('a.b'), chain('A.b')]],
  ['server_name_twice', [chain('*.b'), chain('*.b')]],
  ['server_name_twice', [chain(), chain()]],
  ['server_name_invalid', [chain('*')]],
  ['server_name_invalid', [chain('a*.b')]],
  ['server_name_invalid', [chain('*.*.b')]],
  ['server_name_invalid', [chain('')]],
])('routes: %s is refused as a whole', (code, chains) => {
  expect(() => new RouteTable(chains)).toThrow(expect.objectContaining({ code }));
});
