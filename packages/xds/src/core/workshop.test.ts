/** What one workshop makes for many gateways equals what is made for each from nothing, and is made once. */
import { expect, test } from 'vitest';
import { worldOf } from '../../test/scenario.ts';
import { recommended, upstream } from './profile.ts';
import type { Resource } from './resource.ts';
import { snapshotOf, Workshop } from './workshop.ts';
import type { GatewayWorld } from './world.ts';

const dc1 = worldOf('golden-dc1-gw1a');
const at = (world: GatewayWorld, ID: string, Address: string): GatewayWorld => ({
  ...world,
  gateway: { ...world.gateway, ID, Address },
});
const listener = (snapshot: ReturnType<typeof snapshotOf>): Resource =>
  snapshot.resources.Listener.values().next().value as Resource;

test.each([
  ['recommended', recommended],
  ['upstream', upstream],
])('gateways of one datacenter share clusters, endpoints and chains: %s', (_name, profile) => {
  const workshop = new Workshop(profile);
  const one = workshop.snapshotOf(dc1);
  const two = workshop.snapshotOf(at(dc1, 'other', '10.1.0.22'));
  expect(two.resources.Cluster).toBe(one.resources.Cluster);
  expect(two.resources.ClusterLoadAssignment).toBe(one.resources.ClusterLoadAssignment);
  expect(listener(two).name).not.toBe(listener(one).name);
  expect(two).toEqual(snapshotOf(at(dc1, 'other', '10.1.0.22'), profile));
});

test('a change makes anew what it concerns, and nothing else', () => {
  const workshop = new Workshop();
  const one = workshop.snapshotOf(dc1);
  const moved = dc1.servers.map((s) => (s.node === 'n2' ? { ...s, host: '10.1.0.99' } : s));
  const later = workshop.snapshotOf({ ...dc1, servers: moved });
  const assignments = [...later.resources.ClusterLoadAssignment.values()];
  const made = assignments.filter((r) => one.resources.ClusterLoadAssignment.get(r.name) !== r);
  expect(made.map((r) => r.name)).toEqual(['n2.server.dc1.consul', 'server.dc1.consul']);
  for (const [name, cluster] of later.resources.Cluster)
    expect(one.resources.Cluster.get(name)).toBe(cluster);
  expect(listener(later)).toBe(listener(one));
  expect(later).toEqual(snapshotOf({ ...dc1, servers: moved }));
});

test('gateways that are configured differently get different plans, in whatever order they ask', () => {
  const workshop = new Workshop();
  const options = [{}, { connect_timeout_ms: 7_000 }, { envoy_gateway_proxy_protocol: true }];
  const worlds = [
    ...options.map((Config, i) => ({ ...dc1, gateway: { ...dc1.gateway, ID: `gw${i}`, Proxy: { Config } } })),
    { ...dc1, limits: { maxConnections: 7 } },
    { ...dc1, gateway: { ...dc1.gateway, Meta: {} } },
    { ...dc1, trustDomain: 'other.consul' },
    { ...dc1, federationStates: dc1.federationStates.slice(1) },
    { ...dc1, services: [] },
  ];
  for (const world of [...worlds, ...worlds.toReversed(), ...worlds])
    expect(workshop.snapshotOf(world)).toEqual(snapshotOf(world));
});
