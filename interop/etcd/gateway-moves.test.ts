/**
 * A gateway that is told of both servers of its datacenter: when the one it is registered at dies it belongs to the other, is
 * configured by the other, and is known to the world as one gateway.
 */
import { spawnSync } from 'node:child_process';
import { gatewayCli } from '@fed/tooling/federation';
import { freePorts } from '@fed/tooling/ports';
import { expect, test } from 'vitest';
import { Child } from '../lib/child.ts';
import { EtcdCluster } from './cluster.ts';
import { Datacenters, patienceMs, type Server } from './datacenters.ts';

interface GatewayRow {
  readonly Node: { readonly Node: string };
  readonly Checks: readonly { readonly Status: string }[];
}

test(
  'the server a gateway is registered at is killed: it moves, and stays when that server is back',
  async () => {
    await using etcd = await EtcdCluster.open(1);
    await using all = await Datacenters.prepare({
      datacenters: ['dc1'],
      serversEach: 2,
      gatewaysEach: 0,
      etcd: etcd.endpoints,
    });
    all.startAll();
    const [first, second] = all.of('dc1') as [Server, Server];
    await all.until('both servers are members', async () => {
      const members = await all.get<readonly { Status: number }[]>(second, '/v1/agent/members');
      return members.filter(({ Status }) => Status === 1).length === 2;
    });
    const [port, admin] = (await freePorts(2)) as [number, number];
    await using gateway = new Child('gateway', process.execPath, {
      args: [
        ...[gatewayCli, '--expose-servers', '--http-addr', `${first.httpUrl},${second.httpUrl}`],
        ...['--address', `127.0.0.1:${port}`, '--wan-address', `127.0.0.1:${port}`],
        ...['--admin-bind', `127.0.0.1:${admin}`, '--drain-time', '0s'],
      ],
      cwd: all.folder,
    });
    await gateway.says(/^mesh gateway .* listening on/, patienceMs);
    const rows = () => all.get<readonly GatewayRow[]>(second, '/v1/health/service/mesh-gateway');
    const nodes = async (): Promise<string> => (await rows()).map(({ Node }) => Node.Node).join();
    await all.until('it is healthy where it registered', async () => {
      const [row] = await rows();
      return row?.Node.Node === first.name && row.Checks.every(({ Status }) => Status === 'passing');
    });

    await first.child?.kill();
    await gateway.says(/registered at the next one/, patienceMs);
    await all.until('it stands under the other node alone', async () => (await nodes()) === second.name);
    await all.until('it is configured by the other server', async () => {
      const clients = await all.get<readonly { nodeId: string; registered: boolean }[]>(
        second,
        '/v1/agent/xds/clients',
      );
      return clients.some(({ nodeId, registered }) => nodeId === 'mesh-gateway' && registered);
    });
    await all.until('it is published as one healthy gateway', async () => {
      const states = await all.get<readonly { MeshGateways?: readonly GatewayRow[] }[]>(
        second,
        '/v1/internal/federation-states',
      );
      const gateways = states.flatMap(({ MeshGateways = [] }) => MeshGateways);
      return (
        gateways.length === 1 &&
        gateways.every(
          ({ Node, Checks }) =>
            Node.Node === second.name && Checks.every(({ Status }) => Status === 'passing'),
        )
      );
    });
    expect(await (await fetch(`http://127.0.0.1:${admin}/ready`)).text()).toBe('LIVE\n');

    all.start(first);
    await all.until('the first server is back', async () => {
      const { status } = await all.ask(first, '/v1/catalog/nodes');
      return status === 200;
    });
    expect(await nodes()).toBe(second.name);
    expect(gateway.log.join('\n')).not.toMatch(/could not be taken away/);
  },
  3 * patienceMs,
);

test('the flag is explained', () => {
  const { stdout } = spawnSync(process.execPath, [gatewayCli, '--help'], { encoding: 'utf8' });
  expect(stdout).toMatch(/--http-addr[\s\S]*next is used\s+when one is gone/);
});
