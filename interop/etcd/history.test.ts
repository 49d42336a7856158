/** A follower that was away while etcd's history was dropped. */
import assert from 'node:assert/strict';
import { test } from 'vitest';
import { until } from '../lib/until.ts';
import { EtcdCluster } from './cluster.ts';
import { leaderAmong, patienceMs, RegisterServer } from './servers.ts';

test('compacted: who was cut off takes the snapshot instead, and follows again', {
  timeout: 90_000,
}, async () => {
  await using cluster = await EtcdCluster.open(1);
  await using a = await RegisterServer.open('n1', cluster);
  await using b = await RegisterServer.open('n2', cluster);
  const leader = await leaderAmong([a, b]);
  const other = leader === a ? b : a;
  const write = (value: string) => leader.driven.ask('write', { key: 'r', value });
  await write('before');
  await until('the follower has it', patienceMs, async () => (await other.look()).state.applied === 1);
  for (const cable of other.cables) cable.cut();
  for (const value of ['one', 'two', 'three']) {
    await write(value);
    await leader.driven.ask('compact');
  }
  const [member] = cluster.members;
  const status = (await cluster.ask(member!, '/v3/maintenance/status', {})) as {
    header: { revision: string };
  };
  await cluster.ask(member!, '/v3/kv/compaction', { revision: status.header.revision, physical: true });
  await write('after');
  for (const cable of other.cables) cable.mend();
  const look = await until('the follower is there again', patienceMs, async () => {
    const seen = await other.look();
    return seen.state.applied === 5 && seen;
  });
  assert.deepEqual(look.state.registers, { r: 'after' });
  assert.deepEqual(look.state.violations, []);
  assert.ok(look.stats.snapshotIndex >= 4);
});
