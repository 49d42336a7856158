import { afterAll, beforeAll, expect, test } from 'vitest';
import { EtcdCluster } from './cluster.ts';
import { Datacenters, patienceMs, type Server } from './datacenters.ts';

let etcd: EtcdCluster;
let all: Datacenters;

beforeAll(async () => {
  etcd = await EtcdCluster.open(1);
  all = await Datacenters.prepare({
    datacenters: ['dc1'],
    serversEach: 2,
    gatewaysEach: 0,
    etcd: etcd.endpoints,
  });
  all.startAll();
  await all.until('the datacenter has formed', () => all.formed());
}, 2 * patienceMs);

afterAll(async () => {
  await all?.[Symbol.asyncDispose]();
  await etcd?.[Symbol.asyncDispose]();
});

test(
  'etcd replaced by another with an older log: every server ends and says why, and starts with what etcd has',
  async () => {
    const [first] = all.of('dc1') as [Server];
    await all.put(first, '/v1/catalog/register', { Node: 'before', Address: '10.0.0.1' });
    const [member] = etcd.members;
    await etcd.wipe(member!);
    etcd.start(member!);
    for (const { child } of all.of('dc1')) {
      await all.until(`${child?.name} has ended`, async () => child?.running === false);
      expect(await child?.exited).toBe(1);
      expect(child?.log.join('\n')).toMatch(
        /the log in etcd ends at 0, but \d+ was applied here; was etcd replaced/,
      );
    }
    for (const server of all.of('dc1')) all.start(server);
    await all.until('the datacenter has formed again', () => all.formed());
    const nodes = await all.get<readonly { readonly Node: string }[]>(first, '/v1/catalog/nodes');
    expect(nodes.map(({ Node }) => Node).sort()).toEqual(['n1', 'n2']);
  },
  2 * patienceMs,
);
