/** Each improvement over the original, one test per entry of the list: with its switch and without. */
import { describe, expect, test } from 'vitest';
import { DeltaStream } from '../src/core/delta.ts';
import { type Profile, recommended, upstream } from '../src/core/profile.ts';
import { type ResourceType, typeUrlOf } from '../src/core/resource.ts';
import { firstServerMsMax, Settling } from '../src/core/settling.ts';
import { snapshotOf } from '../src/core/workshop.ts';
import type { GatewayWorld } from '../src/core/world.ts';
import type { JsonObject } from '../src/wire/json.ts';
import { vector, worldOf } from './scenario.ts';

const { deviations } = vector<{ deviations: { id: string; recommended: string }[] }>('deviations');
const dc1 = worldOf('golden-dc1-gw1a');
const td = dc1.trustDomain!;

const checks: Record<string, () => void> = {
  'local-wildcard-always': () => {
    const alone = { ...dc1, federationStates: [] };
    expect(names(alone, upstream, 'Cluster')).not.toContain('server.dc1.consul');
    expect(names(alone, upstream, 'ClusterLoadAssignment')).toContain('server.dc1.consul');
    expect(names(alone, recommended, 'Cluster')).toContain('server.dc1.consul');
    expect(chainFor(alone, recommended, 'server.dc1.consul')).toBeDefined();
    expect(names({ ...alone, servers: [] }, recommended, 'Cluster')).not.toContain('server.dc1.consul');
  },
  'wanfed-capable-only': () => {
    const world = withGateways('dc2', (gateways) =>
      gateways.map((g, i) => (i === 0 ? { ...g, Service: { ...g.Service, Meta: {} } } : g)),
    );
    expect(hosts(world, upstream, 'server.dc2.consul')).toEqual(['203.0.113.21', '203.0.113.22']);
    expect(hosts(world, recommended, 'server.dc2.consul')).toEqual(['203.0.113.22']);
    expect(hosts(world, recommended, `dc2.internal.${td}`)).toEqual(['203.0.113.21', '203.0.113.22']);
    const none = withGateways('dc2', (gateways) =>
      gateways.map((g) => ({ ...g, Service: { ...g.Service, Meta: {} } })),
    );
    expect(hosts(none, recommended, 'server.dc2.consul')).toEqual(['203.0.113.21', '203.0.113.22']);
  },
  'stable-order': () => {
    const reversed = {
      ...dc1,
      servers: dc1.servers.toReversed(),
      federationStates: dc1.federationStates.toReversed(),
    };
    const version = (world: GatewayWorld) =>
      [...snapshotOf(world).resources.Listener.values()].map((r) => r.version);
    expect(version(reversed)).toEqual(version(dc1));
  },
  'lower-case': () => {
    const world = { ...dc1, servers: [...dc1.servers, { node: 'N1', host: '10.1.0.99', port: 8300 }] };
    expect(names(world, upstream, 'Cluster')).toContain('N1.server.dc1.consul');
    expect(hosts(world, recommended, 'n1.server.dc1.consul'), 'the first by registered name').toEqual([
      '10.1.0.99',
    ]);
    expect(snapshotOf(world).notices.map((n) => n.code)).toEqual(['name_taken']);
  },
  'explicit-sink': () => {
    const chains = (profile: Profile) => listener(dc1, profile)['filterChains'] as JsonObject[];
    expect(chains(upstream).filter((c) => c['filterChainMatch'] === undefined)).toHaveLength(1);
    expect(chains(recommended).filter((c) => c['filterChainMatch'] === undefined)).toEqual([]);
    for (const name of ['server.dc1.consul', 'server.dc2.consul', `*.dc1.internal.${td}`])
      expect(chainFor(dc1, recommended, name), name).toBeDefined();
    const plain: GatewayWorld = { ...dc1, services: [] };
    delete (plain as { trustDomain?: string }).trustDomain;
    expect(JSON.stringify(listener(plain, recommended))).not.toContain('sni_cluster');
  },
  'assignment-for-every-cluster': () => {
    const world = { ...dc1, remoteGateways: new Map([['dc9', []]]) };
    expect(names(world, upstream, 'Cluster')).toContain('server.dc9.consul');
    expect(names(world, upstream, 'ClusterLoadAssignment')).not.toContain('server.dc9.consul');
    expect(names(world, recommended, 'ClusterLoadAssignment')).toEqual(names(world, recommended, 'Cluster'));
    expect(hosts(world, recommended, 'server.dc9.consul')).toEqual([]);
  },
  'panic-threshold': () => {
    expect(cluster(upstream, 'server.dc2.consul')['commonLbConfig']).toBeUndefined();
    expect(cluster(recommended, 'server.dc2.consul')['commonLbConfig']).toEqual({
      healthyPanicThreshold: { value: 1 },
    });
    expect(cluster(recommended, 'n1.server.dc1.consul')['commonLbConfig'], 'one host').toBeUndefined();
  },
  'ejection-share': () => {
    expect(cluster(upstream, 'server.dc2.consul')['outlierDetection']).toEqual({});
    expect(cluster(recommended, 'server.dc2.consul')['outlierDetection']).toEqual({ maxEjectionPercent: 50 });
    expect(cluster(recommended, 'n1.server.dc1.consul')['outlierDetection']).toEqual({});
  },
  'connect-retry': () => {
    expect(JSON.stringify(listener(dc1, upstream))).not.toContain('maxConnectAttempts');
    const proxies = JSON.stringify(listener(dc1, recommended)).match(/"maxConnectAttempts":3/g);
    expect(proxies).toHaveLength((listener(dc1, recommended)['filterChains'] as unknown[]).length);
  },
  keepalive: () => {
    const option = (c: JsonObject) => c['upstreamConnectionOptions'];
    const usual = { tcpKeepalive: { keepaliveProbes: 3, keepaliveTime: 30, keepaliveInterval: 10 } };
    expect(option(cluster(upstream, 'server.dc2.consul'))).toBeUndefined();
    for (const name of [
      'server.dc2.consul',
      `dc2.internal.${td}`,
      'server.dc1.consul',
      'n1.server.dc1.consul',
    ])
      expect(option(cluster(recommended, name)), name).toEqual(usual);
    expect(option(cluster(recommended, `web.default.dc1.internal.${td}`))).toBeUndefined();
    const off = { envoy_gateway_remote_tcp_enable_keepalive: false };
    expect(option(cluster(recommended, 'server.dc2.consul', off))).toBeUndefined();
    const own = {
      envoy_gateway_remote_tcp_enable_keepalive: true,
      envoy_gateway_remote_tcp_keepalive_time: 120,
    };
    expect(option(cluster(upstream, 'server.dc2.consul', own))).toEqual({
      tcpKeepalive: { keepaliveTime: 120 },
    });
    expect(
      option(cluster(upstream, 'server.dc1.consul', own)),
      'the original: remote ones only',
    ).toBeUndefined();
  },
  'connection-budget': () => {
    const breakers = (profile: Profile, name: string, limits = {}) =>
      message({ ...dc1, limits }, profile, 'Cluster', name)['circuitBreakers'];
    expect(breakers(upstream, 'server.dc2.consul')).toBeUndefined();
    const budget = { thresholds: [{ maxConnections: 16_384, maxPendingRequests: 4_096 }] };
    expect(breakers(recommended, 'server.dc2.consul')).toEqual(budget);
    expect(breakers(recommended, `dc2.internal.${td}`)).toEqual(budget);
    expect(breakers(recommended, `web.default.dc1.internal.${td}`)).toBeUndefined();
    const configured = { thresholds: [{ maxConnections: 10 }] };
    for (const profile of [upstream, recommended])
      expect(breakers(profile, 'server.dc2.consul', { maxConnections: 10 })).toEqual(configured);
  },
  'server-health': () => {
    const health = (world: GatewayWorld, profile: Profile, name: string) =>
      endpoints(world, profile, name).map((e) => e['healthStatus']);
    expect(health(dc1, upstream, 'server.dc1.consul')).toEqual([undefined, undefined, undefined]);
    expect(health(dc1, recommended, 'server.dc1.consul')).toEqual([undefined, undefined, 'UNHEALTHY']);
    expect(health(dc1, recommended, 'n3.server.dc1.consul'), 'a named dial is always tried').toEqual([
      undefined,
    ]);
    const all = { ...dc1, servers: dc1.servers.map((s) => ({ ...s, critical: true })) };
    expect(health(all, recommended, 'server.dc1.consul'), 'all critical: none avoided').toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  },
  'watch-restart': () => {
    // A world holds the registration as it is now, so its meta and tagged addresses take effect with the next one.
    const off = { ...dc1, gateway: { ...dc1.gateway, Meta: {} } };
    expect(names(off, recommended, 'Cluster').filter((n) => n.includes('server.'))).toEqual([]);
    const tagged = { ...dc1.gateway, Proxy: { Config: { envoy_gateway_bind_tagged_addresses: true } } };
    const wan = (port: number) => ({
      ...tagged,
      TaggedAddresses: { wan: { Address: '198.51.100.21', Port: port } },
    });
    expect(names({ ...dc1, gateway: wan(443) }, recommended, 'Listener')).toContain('wan:198.51.100.21:443');
    expect(names({ ...dc1, gateway: wan(444) }, recommended, 'Listener')).toContain('wan:198.51.100.21:444');
  },
  'hostname-source': () => {
    // The older list has host names, the fresher one addresses: type and endpoints come from the same list.
    const stale = dc1.federationStates.find((s) => s.Datacenter === 'dc2')!.MeshGateways!;
    const named = stale.map((g) => ({
      ...g,
      Service: {
        ...g.Service,
        ModifyIndex: 1,
        TaggedAddresses: { wan: { Address: 'gw.example.com', Port: 443 } },
      },
    }));
    const world = { ...dc1, remoteGateways: new Map([['dc2', named]]) };
    for (const profile of [upstream, recommended]) {
      expect(message(world, profile, 'Cluster', 'server.dc2.consul')['type']).toBe('EDS');
      expect(hosts(world, profile, 'server.dc2.consul')).toEqual(['203.0.113.21', '203.0.113.22']);
    }
  },
  validity: () => {
    const empty = { ...dc1, servers: [] };
    const theirs = new Settling({ profile: upstream, coalesceMs: 50 });
    theirs.offer(empty, 0);
    expect(theirs.take(50)).toBeDefined();
    const ours = new Settling({ profile: recommended, coalesceMs: 50 });
    ours.offer(empty, 0);
    expect(ours.take(50)).toBeUndefined();
    expect(ours.deadline()).toBe(firstServerMsMax);
    expect(ours.take(firstServerMsMax)!.notices.map((n) => n.code)).toEqual(['no_servers']);
  },
  'nack-memory': () => {
    const stream = new DeltaStream();
    const say = (type: ResourceType, o: { nonce?: string; nack?: boolean; subscribe?: string[] }) =>
      stream.request(
        {
          typeUrl: typeUrlOf(type),
          subscribe: o.subscribe ?? [],
          unsubscribe: [],
          initialVersions: new Map(),
          nonce: o.nonce ?? '',
          ...(o.nack ? { error: { code: 13, message: 'no' } } : {}),
        },
        0,
      );
    stream.offer(snapshotOf(dc1), 0);
    say('Cluster', {});
    expect(say('Cluster', { nonce: '00000001', nack: true })).toEqual([]);
    const unrelated = { ...dc1, gateway: { ...dc1.gateway, Address: '10.9.9.9' } };
    expect(stream.offer(snapshotOf(unrelated), 0)).toEqual([]);
    const riding = say('Cluster', { nonce: 'old', nack: true, subscribe: ['server.dc2.consul'] });
    expect(riding.flatMap((r) => r.upserts.map((u) => u.name))).toEqual(['server.dc2.consul']);
  },
};

describe('deviations', () => {
  for (const { id, recommended: what } of deviations)
    test(`${id}: ${what}`, () => {
      expect(checks[id], 'every entry of the list has its check').toBeDefined();
      checks[id]!();
    });
});

function names(world: GatewayWorld, profile: Profile, type: ResourceType): string[] {
  return [...snapshotOf(world, profile).resources[type].keys()];
}

function message(world: GatewayWorld, profile: Profile, type: ResourceType, name: string): JsonObject {
  return snapshotOf(world, profile).resources[type].get(name)!.message as JsonObject;
}

function cluster(
  profile: Profile,
  name: string,
  config: Record<string, string | number | boolean> = {},
): JsonObject {
  return message(
    { ...dc1, gateway: { ...dc1.gateway, Proxy: { Config: config } } },
    profile,
    'Cluster',
    name,
  );
}

function listener(world: GatewayWorld, profile: Profile): JsonObject {
  return [...snapshotOf(world, profile).resources.Listener.values()][0]!.message as JsonObject;
}

function chainFor(world: GatewayWorld, profile: Profile, name: string): JsonObject | undefined {
  const chains = listener(world, profile)['filterChains'] as JsonObject[];
  return chains.find((c) =>
    (c['filterChainMatch'] as { serverNames: string[] } | undefined)?.serverNames.includes(name),
  );
}

function endpoints(world: GatewayWorld, profile: Profile, name: string): JsonObject[] {
  const found = message(world, profile, 'ClusterLoadAssignment', name) as {
    endpoints?: { lbEndpoints: JsonObject[] }[];
  };
  return (found.endpoints ?? []).flatMap((l) => l.lbEndpoints);
}

function hosts(world: GatewayWorld, profile: Profile, name: string): string[] {
  return endpoints(world, profile, name).map(
    (e) =>
      (e as { endpoint: { address: { socketAddress: { address: string } } } }).endpoint.address.socketAddress
        .address,
  );
}

type Gateways = NonNullable<GatewayWorld['federationStates'][number]['MeshGateways']>;
function withGateways(dc: string, change: (gateways: Gateways) => Gateways): GatewayWorld {
  return {
    ...dc1,
    federationStates: dc1.federationStates.map((s) =>
      s.Datacenter === dc ? { ...s, MeshGateways: change(s.MeshGateways!) } : s,
    ),
  };
}
