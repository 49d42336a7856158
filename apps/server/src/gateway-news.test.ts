import { createMemoryFs, embeddedLog, newCheck, newRegisterRequest, newService, openFsm } from '@fed/fsm';
import { type HostPort, type News, renderHostPort } from '@fed/gateway-locator';
import type { SerfMember } from '@fed/serf';
import { expect, test } from 'vitest';
import { GatewayNews, gatewaysOfTag, gatewaysTag, tagOfGateways, tellGateways } from './gateway-news.ts';

const clock = { now: () => 0, at: () => ({ [Symbol.dispose]: () => {} }) };
const rng = { below: () => 0 };

test('gateway news: what a tag says is what was written into it', () => {
  const gateways = [
    { host: '203.0.113.1', port: 8443 },
    { host: '2001:db8::1', port: 443 },
    { host: 'gw.example.com', port: 8443 },
  ];
  expect(gatewaysOfTag(tagOfGateways(gateways))).toEqual(gateways);
});

test('gateway news: a tag takes as many addresses as fit beside the other tags', () => {
  const gateways = Array.from({ length: 50 }, (_, at) => ({ host: `203.0.113.${at}`, port: 8443 }));
  const tag = tagOfGateways(gateways);
  expect(tag.length).toBeLessThanOrEqual(160);
  expect(gatewaysOfTag(tag)).toEqual(gateways.slice(0, gatewaysOfTag(tag).length));
  expect(gatewaysOfTag(tag).length).toBeGreaterThanOrEqual(6);
});

test.each(['', ',,', '::::', 'a:99999999', 'x'.repeat(100_000), '203.0.113.1:8443,?'])(
  'gateway news: a tag that says nothing sensible does no harm: %.20s',
  (tag) => {
    expect(gatewaysOfTag(tag).every(({ host }) => host === '203.0.113.1')).toBe(true);
  },
);

test('gateway news: the locator hears what servers of the primary say, and only those, until they leave', () => {
  const { news, heard } = listening();
  const one = member('n1.dc1', 'dc1', '203.0.113.1:8443');
  const two = member('n2.dc1', 'dc1', '203.0.113.2:8443');
  news.members([one, member('n1.dc3', 'dc3', '203.0.113.9:8443'), member('n3.dc1', 'dc1', undefined)]);
  expect(heard).toEqual(['203.0.113.1:8443']);
  news.event({ kind: 'member-join', members: [two] });
  expect(heard.at(-1)).toBe('203.0.113.1:8443 203.0.113.2:8443');
  news.event({ kind: 'member-update', members: [member('n1.dc1', 'dc1', '203.0.113.7:8443')] });
  expect(heard.at(-1)).toBe('203.0.113.7:8443 203.0.113.2:8443');
  news.event({ kind: 'member-failed', members: [two] }); // what it said may be the way to it
  news.event({ kind: 'member-update', members: [two] });
  expect(heard).toHaveLength(3);
  news.event({ kind: 'member-leave', members: [two] });
  expect(heard.at(-1)).toBe('203.0.113.7:8443');
});

test('gateway news: the primary tells its healthy gateways when they change, keeps its other tags, and does not untell', async () => {
  const pool = tagged({ dc: 'dc1', role: 'consul' });
  await using fsm = await catalog();
  using _telling = tellGateways({ datacenter: 'dc1', primary: 'dc1', fsm, pool, failed: fail });
  expect(pool.told).toEqual([]);
  await fsm.apply(gateway('203.0.113.1', 'passing'));
  await fsm.apply(gateway('203.0.113.1', 'warning')); // no news
  await fsm.apply(gateway('203.0.113.2', 'passing'));
  await fsm.apply(gateway('203.0.113.2', 'critical')); // none is left
  expect(pool.told).toEqual([
    { dc: 'dc1', role: 'consul', [gatewaysTag]: '203.0.113.1:8443' },
    { dc: 'dc1', role: 'consul', [gatewaysTag]: '203.0.113.2:8443' },
  ]);
});

test('gateway news: a secondary tells nothing', async () => {
  const pool = tagged({});
  await using fsm = await catalog();
  using _telling = tellGateways({ datacenter: 'dc2', primary: 'dc1', fsm, pool, failed: fail });
  await fsm.apply(gateway('203.0.113.1', 'passing'));
  expect(pool.told).toEqual([]);
});

// ---- fixtures ----

const catalog = () => openFsm({ engine: embeddedLog({ dir: '/data', fs: createMemoryFs() }), clock, rng });

function gateway(host: string, status: string) {
  const Service = newService({
    ID: 'mesh-gateway',
    Service: 'mesh-gateway',
    Kind: 'mesh-gateway',
    Port: 8443,
    TaggedAddresses: { wan: { Address: host, Port: 8443 } },
    Meta: { 'consul-wan-federation': '1' },
  });
  const Check = newCheck({ Node: 'n1', CheckID: 'listening', ServiceID: 'mesh-gateway', Status: status });
  const request = newRegisterRequest({ Node: 'n1', Address: '10.0.0.1', Service, Checks: [Check] });
  return { type: 'register', request } as const;
}

function fail(error: unknown): never {
  throw error;
}

function listening() {
  const heard: string[] = [];
  const hear = (told: News): void => {
    if (told.kind === 'told')
      heard.push((told.addresses as readonly HostPort[]).map(renderHostPort).join(' '));
  };
  return { heard, news: new GatewayNews({ primary: 'dc1', locator: { hear } }) };
}

function member(name: string, dc: string, tag: string | undefined): SerfMember {
  const tags = { dc, ...(tag === undefined ? {} : { [gatewaysTag]: tag }) };
  return {
    name,
    host: '10.0.0.1',
    port: 8302,
    addr: new Uint8Array([10, 0, 0, 1]),
    tags,
    status: 'alive',
  } as unknown as SerfMember;
}

function tagged(tags: Record<string, string>) {
  const told: Record<string, string>[] = [];
  return {
    told,
    local: () => ({ ...member('n1.dc1', 'dc1', undefined), tags: told.at(-1) ?? tags }),
    setTags: async (now: Record<string, string>) => void told.push(now),
  };
}
