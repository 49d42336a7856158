import { expect, test } from 'vitest';
import { worldOf } from '../../test/scenario.ts';
import { recommended } from './profile.ts';
import { Shelf } from './shelf.ts';
import { snapshotOf } from './snapshot.ts';

const dc1 = worldOf('golden-dc1-gw1a');

test('two gateways of one datacenter share all but their listeners; so do two snapshots of one', () => {
  const shelf = new Shelf();
  const one = snapshotOf(dc1, recommended, shelf.make);
  const other = { ...dc1.gateway, ID: 'other', Address: '10.1.0.22' };
  const two = snapshotOf({ ...dc1, gateway: other }, recommended, shelf.make);
  for (const type of ['Cluster', 'ClusterLoadAssignment'] as const)
    for (const [name, resource] of one.resources[type]) expect(two.resources[type].get(name)).toBe(resource);
  const [mine] = one.resources.Listener.values();
  expect([...two.resources.Listener.values()]).not.toContain(mine);

  const moved = dc1.servers.map((s) => (s.node === 'n2' ? { ...s, host: '10.1.0.99' } : s));
  const later = snapshotOf({ ...dc1, servers: moved }, recommended, shelf.make);
  const assignments = [...later.resources.ClusterLoadAssignment.values()];
  const made = assignments.filter((r) => one.resources.ClusterLoadAssignment.get(r.name) !== r);
  expect(made.map((r) => r.name)).toEqual(['n2.server.dc1.consul', 'server.dc1.consul']);
  expect(later).toEqual(snapshotOf({ ...dc1, servers: moved }, recommended));
});

test('it is bounded, and keeps what is used', () => {
  const shelf = new Shelf(10);
  const often = shelf.make('Cluster', 'often', { name: 'often' });
  for (let i = 0; i < 1_000; i++) {
    shelf.make('Cluster', `c${i}`, { name: `c${i}` });
    expect(shelf.make('Cluster', 'often', { name: 'often' })).toBe(often);
    expect(shelf.size).toBeLessThanOrEqual(20);
  }
});
