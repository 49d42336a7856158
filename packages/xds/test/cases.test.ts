/**
 * Whole configurations as files: a change of behaviour is a diff of JSON a reviewer can read.
 * After a wanted change: `vitest run test/cases.test.ts -u`, then read the diff.
 */
import { expect, test } from 'vitest';
import { type Profile, recommended, upstream } from '../src/core/profile.ts';
import { snapshotOf } from '../src/core/workshop.ts';
import type { GatewayWorld } from '../src/core/world.ts';
import { worldOf } from './scenario.ts';

const dc1 = worldOf('golden-dc1-gw1a');
const dc2 = worldOf('golden-dc2-gw2a');
const { trustDomain: _none, services: _neither, ...serversOnly } = dc1;
const configured = (config: Record<string, string | number | boolean>): GatewayWorld => ({
  ...serversOnly,
  gateway: { ...dc1.gateway, Proxy: { Config: config } },
});

const cases: Record<string, [GatewayWorld, Profile]> = {
  'primary-with-services': [dc1, recommended],
  'secondary-with-services': [dc2, recommended],
  'servers-only': [serversOnly, recommended],
  'first-gateway-of-a-datacenter': [{ ...serversOnly, federationStates: [] }, recommended],
  'services-only': [{ ...dc1, gateway: { ...dc1.gateway, Meta: {} } }, recommended],
  'remote-by-host-name': [{ ...serversOnly, federationStates: named() }, recommended],
  'remote-by-host-names-strict': [
    { ...configured({ envoy_dns_discovery_type: 'strict_dns' }), federationStates: named() },
    recommended,
  ],
  'behind-a-load-balancer': [
    { ...configured({ envoy_gateway_proxy_protocol: true }), federationStates: [], servers: [] },
    recommended,
  ],
  'original-with-options': [
    {
      ...configured({
        connect_timeout_ms: 1_500,
        xds_fetch_timeout_ms: 0,
        envoy_gateway_bind_tagged_addresses: true,
        envoy_gateway_remote_tcp_enable_keepalive: true,
        envoy_gateway_remote_tcp_keepalive_time: 120,
      }),
      limits: { maxConnections: 100, maxPendingRequests: 50, maxConcurrentRequests: 20 },
    },
    upstream,
  ],
};

for (const [name, [world, profile]] of Object.entries(cases))
  test(name, async () => {
    const { resources, notices } = snapshotOf(world, profile);
    const messages = (type: 'Cluster' | 'ClusterLoadAssignment' | 'Listener') =>
      [...resources[type].values()].map((r) => r.message);
    const described = {
      clusters: messages('Cluster'),
      endpoints: messages('ClusterLoadAssignment'),
      listeners: messages('Listener'),
      notices,
    };
    await expect(`${JSON.stringify(described, null, 1)}\n`).toMatchFileSnapshot(`golden/${name}.json`);
  });

/** dc2 is reached by two host names and by an address. */
function named(): GatewayWorld['federationStates'] {
  return dc1.federationStates.map((s) => {
    if (s.Datacenter !== 'dc2') return s;
    const wan = (i: number) => ({ wan: { Address: i === 0 ? 'a.example.com' : 'b.example.com', Port: 443 } });
    const gateways = s.MeshGateways!.map((g, i) => ({
      ...g,
      Service: { ...g.Service, TaggedAddresses: wan(i) },
    }));
    const third = { ...s.MeshGateways![0]!, Node: { ...s.MeshGateways![0]!.Node, Node: 'gw2c' } };
    return { ...s, MeshGateways: [...gateways, third] };
  });
}
