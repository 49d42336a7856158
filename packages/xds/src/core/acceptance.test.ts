import { describe, expect, test } from 'vitest';
import { worldOf } from '../../test/scenario.ts';
import type { Json, JsonObject } from '../wire/json.ts';
import { acceptAssignment, acceptCluster, acceptListener, RefusedError } from './acceptance.ts';
import { recommended, upstream } from './profile.ts';
import { snapshotOf } from './workshop.ts';

const world = worldOf('golden-dc1-gw1a');

describe('everything the server sends is understood', () => {
  for (const [name, profile] of Object.entries({ upstream, recommended }))
    test(name, () => {
      const { Cluster, ClusterLoadAssignment, Listener } = snapshotOf(world, profile).resources;
      for (const r of Cluster.values()) expect(acceptCluster(r.name, r.message).edsName).toBe(r.name);
      for (const r of ClusterLoadAssignment.values())
        expect(acceptAssignment(r.name, r.message).length).toBeGreaterThan(0);
      for (const r of Listener.values())
        expect(acceptListener(r.name, r.message).chains.length).toBeGreaterThan(5);
    });

  test('host names', () => {
    const gateways = world.federationStates.find((s) => s.Datacenter === 'dc2')!.MeshGateways!;
    const named = gateways.map((g) => ({
      ...g,
      Service: {
        ...g.Service,
        ModifyIndex: 999,
        TaggedAddresses: { wan: { Address: 'gw.example.com', Port: 443 } },
      },
    }));
    const { resources } = snapshotOf({ ...world, remoteGateways: new Map([['dc2', named]]) });
    const { cluster, edsName } = acceptCluster(
      'server.dc2.consul',
      resources.Cluster.get('server.dc2.consul')!.message,
    );
    expect(edsName).toBeUndefined();
    expect(cluster).toMatchObject({ discovery: 'LOGICAL_DNS', dnsFamily: 4, dnsRefreshMs: 10_000 });
    expect(cluster.endpoints).toEqual([
      { host: 'gw.example.com', port: 443, weight: 1, healthy: true, priority: 0 },
    ]);
    expect(resources.ClusterLoadAssignment.has('server.dc2.consul')).toBe(false);
  });
});

test('filters known by their names only, as Consul 1.10 sends them', () => {
  const { Listener } = snapshotOf(world, upstream).resources;
  const [listener] = [...Listener.values()];
  const { name } = listener!;
  const message = listener!.message as JsonObject;
  const untyped = (filters: Json | undefined): JsonObject[] =>
    (filters as JsonObject[]).map((filter) =>
      /tls_inspector|sni_cluster/.test(String(filter['name'])) ? { name: String(filter['name']) } : filter,
    );
  const old: JsonObject = {
    ...message,
    listenerFilters: untyped(message['listenerFilters']),
    filterChains: (message['filterChains'] as JsonObject[]).map((chain) => ({
      ...chain,
      filters: untyped(chain['filters']),
    })),
  };
  expect(JSON.stringify(old)).not.toMatch(/TlsInspector|SniCluster/);
  expect(acceptListener(name, old)).toEqual(acceptListener(name, message));
  const other = { ...old, listenerFilters: [{ name: 'envoy.filters.listener.original_dst' }] };
  expect(() => acceptListener(name, other)).toThrow(/original_dst is not supported/);
});

test('a cluster, all its fields', () => {
  const json = {
    type: 'EDS',
    edsClusterConfig: { edsConfig: { ads: {} }, serviceName: 'elsewhere' },
    connectTimeout: '0.250s',
    outlierDetection: { maxEjectionPercent: 50 },
    commonLbConfig: { healthyPanicThreshold: { value: 1 } },
    circuitBreakers: { thresholds: [{ priority: 'HIGH', maxConnections: 1 }, { maxConnections: 7 }] },
    upstreamConnectionOptions: {
      tcpKeepalive: { keepaliveProbes: 3, keepaliveTime: 30, keepaliveInterval: 10 },
    },
  };
  expect(acceptCluster('c', json)).toEqual({
    edsName: 'elsewhere',
    cluster: {
      connectTimeoutMs: 250,
      discovery: 'EDS',
      endpoints: [],
      dnsFamily: 0,
      dnsRefreshMs: 5_000,
      maxConnections: 7,
      panicPercent: 1,
      ejectionPercentMax: 50,
      keepalive: { timeSec: 30, intervalSec: 10, probes: 3 },
    },
  });
});

test('endpoints: health, weight, priority', () => {
  const at = (address: string, more: JsonObject = {}) => ({
    endpoint: { address: { socketAddress: { address, portValue: 1 } } },
    ...more,
  });
  const json = {
    endpoints: [
      {
        lbEndpoints: [
          at('10.0.0.1', { healthStatus: 'HEALTHY', loadBalancingWeight: 3 }),
          at('10.0.0.2', { healthStatus: 'DRAINING' }),
        ],
      },
      { priority: 1, lbEndpoints: [at('fd00::1')] },
    ],
  };
  expect(acceptAssignment('c', json)).toEqual([
    { host: '10.0.0.1', port: 1, weight: 3, healthy: true, priority: 0 },
    { host: '10.0.0.2', port: 1, weight: 1, healthy: false, priority: 0 },
    { host: 'fd00::1', port: 1, weight: 1, healthy: true, priority: 1 },
  ]);
});

const any = (type: string, more: JsonObject = {}): JsonObject => ({
  '@type': `type.googleapis.com/envoy.extensions.filters.${type}`,
  ...more,
});
const proxy = (more: JsonObject = { cluster: 'c' }): JsonObject => ({
  name: 'p',
  typedConfig: any('network.tcp_proxy.v3.TcpProxy', more),
});
const sni: JsonObject = { name: 's', typedConfig: any('network.sni_cluster.v3.SniCluster') };
const listener = (chains: readonly JsonObject[], more: JsonObject = {}): JsonObject => ({
  address: { socketAddress: { address: '10.0.0.1', portValue: 1 } },
  filterChains: chains,
  ...more,
});
const matching = (...serverNames: string[]): JsonObject => ({
  filterChainMatch: { serverNames },
  filters: [proxy()],
});

test.each([
  [true, 'optional'],
  [undefined, 'required'],
])('a listener behind load balancers: header may be missing %s, so it is %s', (allow, proxyProtocol) => {
  const type = any('listener.proxy_protocol.v3.ProxyProtocol');
  const typedConfig = { ...type, ...(allow && { allowRequestsWithoutProxyProtocol: allow }) };
  const listenerFilters = [
    { name: 'envoy.filters.listener.proxy_protocol', typedConfig },
    { name: 'x', typedConfig: any('listener.tls_inspector.v3.TlsInspector') },
  ];
  expect(acceptListener('l', listener([], { listenerFilters }))).toMatchObject({ proxyProtocol });
});

test('a listener: names in lower case, the chain without a match, limits', () => {
  const chains = [
    {
      filterChainMatch: { serverNames: ['*.DC2.Consul'] },
      filters: [proxy({ cluster: 'c', statPrefix: 's', maxConnectAttempts: 3, idleTimeout: '0s' })],
    },
    { filters: [sni, proxy({ cluster: '' })] },
  ];
  expect(acceptListener('l', listener(chains, { listenerFiltersTimeout: '10s' }))).toEqual({
    name: 'l',
    bind: { host: '10.0.0.1', port: 1 },
    helloTimeoutMs: 10_000,
    chains: [
      {
        serverNames: ['*.dc2.consul'],
        cluster: 'c',
        statPrefix: 's',
        connectAttemptsMax: 3,
        idleTimeoutMs: 0,
      },
      { serverNames: [], cluster: 'sni', statPrefix: '', connectAttemptsMax: 1, idleTimeoutMs: 3_600_000 },
    ],
  });
});

describe('refused, with the field named', () => {
  const eds = { type: 'EDS', edsClusterConfig: { edsConfig: { ads: {} } } };
  const clusters: [string, Json, string][] = [
    ['an unsupported type', { type: 'ORIGINAL_DST' }, 'type'],
    ['a custom type', { clusterType: { name: 'x' } }, 'cluster_type'],
    ['TLS', { ...eds, transportSocket: { name: 'tls' } }, 'transport_socket'],
    [
      'endpoints from elsewhere',
      { type: 'EDS', edsClusterConfig: { edsConfig: {} } },
      'eds_cluster_config.eds_config',
    ],
    ['hashing', { ...eds, lbPolicy: 'RING_HASH' }, 'lb_policy'],
  ];
  test.each(clusters)('cluster: %s', (_what, json, field) =>
    expect(refusedField(() => acceptCluster('c', json))).toBe(field),
  );

  const chain = 'filter_chains[0]';
  const listeners: [string, Json, string][] = [
    [
      'a listener filter',
      listener([], {
        listenerFilters: [{ name: 'x', typedConfig: any('listener.original_dst.v3.OriginalDst') }],
      }),
      'listener_filters[0].typed_config',
    ],
    [
      'the PROXY protocol behind the TLS inspector',
      listener([], {
        listenerFilters: [
          { name: 'x', typedConfig: any('listener.tls_inspector.v3.TlsInspector') },
          { name: 'x', typedConfig: any('listener.proxy_protocol.v3.ProxyProtocol') },
        ],
      }),
      'listener_filters[1].typed_config',
    ],
    ['a default chain', listener([], { defaultFilterChain: {} }), 'default_filter_chain'],
    [
      'a host name to bind',
      { address: { socketAddress: { address: 'host' } } },
      'address.socket_address.address',
    ],
    [
      'UDP',
      { address: { socketAddress: { address: '::', protocol: 'UDP' } } },
      'address.socket_address.protocol',
    ],
    [
      'TLS',
      listener([{ transportSocket: { name: 'tls' }, filters: [proxy()] }]),
      `${chain}.transport_socket`,
    ],
    [
      'a match by port',
      listener([{ filterChainMatch: { destinationPort: 1 }, filters: [proxy()] }]),
      `${chain}.filter_chain_match.destination_port`,
    ],
    [
      'a match by ALPN',
      listener([{ filterChainMatch: { applicationProtocols: ['h2'] }, filters: [proxy()] }]),
      `${chain}.filter_chain_match.application_protocols`,
    ],
    ['a bare wildcard', listener([matching('*')]), `${chain}.filter_chain_match.server_names`],
    ['a wildcard inside a label', listener([matching('a*.b')]), `${chain}.filter_chain_match.server_names`],
    [
      'a name that is there twice, in another case',
      listener([matching('a.b'), matching('A.b')]),
      'filter_chains[1].filter_chain_match.server_names',
    ],
    [
      'two chains without a match',
      listener([{ filters: [proxy()] }, { filters: [proxy()] }]),
      'filter_chains[1].filter_chain_match.server_names',
    ],
    ['no filter', listener([{ filters: [] }]), `${chain}.filters`],
    [
      'an unknown filter',
      listener([{ filters: [{ name: 'x', typedConfig: any('network.http.v3.X') }] }]),
      `${chain}.filters[0].typed_config`,
    ],
    [
      'a filter before tcp_proxy',
      listener([{ filters: [{ name: 'x', typedConfig: any('network.rbac.v3.RBAC') }, proxy()] }]),
      `${chain}.filters`,
    ],
    [
      'sni_cluster with a cluster named',
      listener([{ filters: [sni, proxy()] }]),
      `${chain}.filters[1].typed_config.cluster`,
    ],
    [
      'no cluster',
      listener([{ filters: [proxy({ cluster: '' })] }]),
      `${chain}.filters[0].typed_config.cluster`,
    ],
    [
      'weighted clusters',
      listener([{ filters: [proxy({ weightedClusters: {} })] }]),
      `${chain}.filters[0].typed_config.weighted_clusters`,
    ],
  ];
  test.each(listeners)('listener: %s', (_what, json, field) =>
    expect(refusedField(() => acceptListener('l', json))).toBe(field),
  );

  const lb = (socketAddress: JsonObject): Json => ({
    endpoints: [{ lbEndpoints: [{ endpoint: { address: { socketAddress } } }] }],
  });
  const at = 'endpoints[0].lb_endpoints[0]';
  const assignments: [string, Json, string][] = [
    ['a host name', lb({ address: 'host', portValue: 1 }), `${at}.endpoint.address.socket_address.address`],
    ['port 0', lb({ address: '10.0.0.1' }), `${at}.endpoint.address.socket_address.port_value`],
    [
      'a pipe',
      { endpoints: [{ lbEndpoints: [{ endpoint: { address: { pipe: { path: '/x' } } } }] }] },
      `${at}.endpoint.address`,
    ],
  ];
  test.each(assignments)('assignment: %s', (_what, json, field) =>
    expect(refusedField(() => acceptAssignment('c', json))).toBe(field),
  );
});

function refusedField(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof RefusedError) return error.refusal.field;
    throw error;
  }
  return 'accepted';
}
