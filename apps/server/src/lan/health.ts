/**
 * health.ts: how each server of our own datacenter fares: what gossip says of it, and what it says of its log.
 *
 * All are asked at once, and one that does not answer in time is one that does not fare well.
 * Source: Consul agent/consul/autopilot.go, stats_fetcher.go (Status.RaftStats of every server).
 */
import type { Fsm } from '@fed/fsm';
import type { Value } from '@fed/msgpack';
import type { RpcPool, RpcTarget } from '@fed/rpc';
import { asArgs, integer, text } from '../rpc/args.ts';
import type { Ask } from '../rpc/ask.ts';
import { leaderAddress } from '../rpc/status.ts';
import type { LanServer, LanServers } from './servers.ts';

export interface ServerHealth {
  readonly server: LanServer;
  readonly leader: boolean;
  readonly healthy: boolean;
  readonly lastContact: string;
  readonly lastTerm: number;
  readonly lastIndex: number;
}

export interface HealthOptions {
  readonly servers: Pick<LanServers, 'all'>;
  readonly leaderAddress: () => string | undefined;
  /** Status.RaftStats of this server; rejects when there is no answer in time. */
  readonly stats: (target: RpcTarget) => Promise<Value>;
}

/** A server that takes longer to say how it fares does not fare well. */
const statsMsMax = 2_000;

export async function serverHealth(o: HealthOptions): Promise<readonly ServerHealth[]> {
  const leaderAddress = o.leaderAddress();
  return Promise.all(
    o.servers.all().map(async (server): Promise<ServerHealth> => {
      const { datacenter, name: node, host, port, address } = server;
      const leader = address === leaderAddress;
      try {
        const stats = asArgs(await o.stats({ datacenter, node, address: { host, port } }));
        const lastContact = text(stats, 'LastContact');
        const healthy = server.status === 'alive' && leaderAddress !== undefined && lastContact !== 'never';
        const lastTerm = integer(stats, 'LastTerm');
        return { server, leader, healthy, lastContact, lastTerm, lastIndex: integer(stats, 'LastIndex') };
      } catch {
        return { server, leader, healthy: false, lastContact: 'never', lastTerm: 0, lastIndex: 0 };
      }
    }),
  );
}

/** The same as seen from this server, which asks itself without the network. */
export function healthFrom(o: {
  readonly servers: HealthOptions['servers'];
  readonly nodeName: string;
  readonly serverAddress: string;
  readonly fsm: Pick<Fsm, 'engine'>;
  readonly ask: Ask;
  readonly pool: Pick<RpcPool, 'call'>;
}): Promise<readonly ServerHealth[]> {
  return serverHealth({
    servers: o.servers,
    leaderAddress: () => leaderAddress({ address: o.serverAddress, fsm: o.fsm }) || undefined,
    stats: (target) =>
      target.node === o.nodeName
        ? o.ask('Status.RaftStats', {}, { signal: new AbortController().signal })
        : o.pool.call(target, 'Status.RaftStats', {}, { timeoutMs: statsMsMax }),
  });
}
