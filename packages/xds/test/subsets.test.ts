/** Subsets of services: which instances each name leads to, by the filters operators write. */
import { describe, expect, test } from 'vitest';
import { describeGateway, type GatewayWorld, type Resolver } from '../src/index.ts';

const trustDomain = '11111111-2222-3333-4444-555555555555.consul';
const sni = (name: string): string => `${name}.default.dc1.internal.${trustDomain}`;

function instance(id: string, Meta: Record<string, string>, Status = 'passing', Tags: string[] = []) {
  return {
    Node: { Node: 'n1', Address: '10.0.0.1', Datacenter: 'dc1', Meta: { rack: 'r1' } },
    Service: { ID: id, Service: 'web-proxy', Address: '10.0.0.1', Port: Number(id), Meta, Tags },
    Checks: [{ Status }],
  };
}

function world(resolver: Resolver): GatewayWorld {
  return {
    datacenter: 'dc1',
    domain: 'consul',
    trustDomain,
    gateway: { ID: 'gw', Service: 'mesh-gateway', Address: '10.0.0.9', Port: 8443 },
    servers: [],
    federationStates: [],
    services: [
      {
        name: 'web',
        resolver,
        instances: [
          instance('1', { version: 'v1' }),
          instance('2', { version: 'v2' }),
          instance('3', { version: 'v2' }, 'warning', ['canary']),
          instance('4', { version: 'v10' }, 'critical'),
        ],
      },
    ],
  };
}

/** Ports a name leads to; those behind `!` are unhealthy. */
function leadsTo(resolver: Resolver, name: string): readonly string[] | undefined {
  const { destinations } = describeGateway(world(resolver));
  return destinations
    .find((one) => one.name === sni(name))
    ?.endpoints.map(({ port, health }) => `${health === 'unhealthy' ? '!' : ''}${port}`);
}

describe('a subset', () => {
  test.each<[string, readonly string[]]>([
    ['', ['1', '2', '3', '!4']],
    ['Service.Meta.version == v2', ['2', '3']],
    ['Service.Meta.version != v2', ['1', '!4']],
    ['Service.Meta.version matches "v1.*"', ['1', '!4']],
    ['Service.Meta.version == v2 and not canary in Service.Tags', ['2']],
    ['"canary" in Service.Tags or Service.Port == 1', ['1', '3']],
    ['Node.Meta.rack == r2', []],
    ['Checks.Status == warning', ['3']],
    ['Service.Meta is not empty', ['1', '2', '3', '!4']],
  ])('by %j leads to %j', (filter, ports) => {
    expect(leadsTo({ subsets: { s: { filter } } }, 's.web')).toEqual(ports);
  });

  test('of passing instances only holds those that warn for unhealthy', () => {
    const filter = 'Service.Meta.version == v2';
    expect(leadsTo({ subsets: { s: { filter, onlyPassing: true } } }, 's.web')).toEqual(['2', '!3']);
  });

  test('that is the default stands for the service itself, and keeps a name of its own', () => {
    const subsets = {
      v1: { filter: 'Service.Meta.version == v1' },
      v2: { filter: 'Service.Meta.version == v2' },
    };
    expect(leadsTo({ subsets }, 'web')).toEqual(['1', '2', '3', '!4']);
    expect(leadsTo({ subsets, defaultSubset: 'v1' }, 'web')).toEqual(['1']);
    expect(leadsTo({ subsets, defaultSubset: 'v1' }, 'v1.web')).toEqual(['1']);
    expect(leadsTo({ subsets, defaultSubset: 'v1' }, 'v2.web')).toEqual(['2', '3']);
  });

  test.each(['Service.Mta.version == v1', 'Service.Meta.version ==', 'Service.Meta.version matches "("'])(
    'whose filter %j cannot be read leads to nobody, and says why; the others are as they were',
    (filter) => {
      const resolver = { subsets: { bad: { filter }, good: { filter: 'Service.Port == 1' } } };
      expect(leadsTo(resolver, 'bad.web')).toEqual([]);
      expect(leadsTo(resolver, 'good.web')).toEqual(['1']);
      const { notices } = describeGateway(world(resolver));
      expect(notices).toMatchObject([{ code: 'bad_filter' }]);
      expect(notices[0]?.text).toMatch(/^subset bad of service web is left without instances: /);
    },
  );
});
