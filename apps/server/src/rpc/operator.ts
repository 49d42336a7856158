/**
 * operator.ts: Operator.*: the servers of this datacenter and how they fare, for whoever asks from wherever.
 *
 * Every server that gossip knows has an entry, in the shape tools expect. There is no consensus among them: with the
 * embedded engine there is one, and with etcd any of them may lead as long as etcd stands.
 * Source: Consul agent/consul/operator_raft_endpoint.go, operator_autopilot_endpoint.go; structs.RaftServer,
 * OperatorHealthReply.
 */
import { goTime } from '@fed/msgpack';
import { parseDuration } from '../config/duration.ts';
import type { ServerHealth } from '../lan/health.ts';
import type { Endpoint } from './ask.ts';

const nanosPerMs = 1e6;
/** A status travels as its place in this list. */
export const serfStatuses: readonly string[] = ['none', 'alive', 'leaving', 'left', 'failed'];

export interface OperatorOptions {
  readonly health: () => Promise<readonly ServerHealth[]>;
}

export function operatorEndpoints(o: OperatorOptions): Readonly<Record<string, Endpoint>> {
  return {
    'Operator.RaftGetConfiguration': {
      belongs: 'datacenter',
      answeredBy: 'any',
      answer: async () => ({
        Index: 0,
        Servers: (await o.health()).map(({ server, leader, lastIndex }) => ({
          Address: server.address,
          ID: server.id,
          LastIndex: lastIndex,
          Leader: leader,
          Node: server.name,
          ProtocolVersion: '3',
          Voter: true,
        })),
      }),
    },
    'Operator.ServerHealth': {
      belongs: 'datacenter',
      answeredBy: 'any',
      answer: async () => {
        const servers = await o.health();
        const healthy = servers.filter((each) => each.healthy).length;
        return {
          // As long as their etcd stands, one server is enough.
          FailureTolerance: Math.max(0, healthy - 1),
          Healthy: healthy === servers.length && servers.some(({ leader }) => leader),
          Servers: servers.map(({ server, ...each }) => ({
            Address: server.address,
            Healthy: each.healthy,
            ID: server.id,
            LastContact: lastContactNs(each.lastContact),
            LastIndex: each.lastIndex,
            LastTerm: each.lastTerm,
            Leader: each.leader,
            Name: server.name,
            SerfStatus: serfStatuses.indexOf(server.status),
            StableSince: goTime(server.sinceMs),
            Version: server.build.split(':')[0] ?? '',
            Voter: true,
          })),
        };
      },
    },
  };
}

/** -1: it has not heard of a leader. */
function lastContactNs(text: string): number {
  return text === 'never' ? -1 : Math.round((parseDuration(text) ?? 0) * nanosPerMs);
}
