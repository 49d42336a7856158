/**
 * operator.ts: what an operator asks about the servers of this datacenter: who is one, who leads, how they fare.
 *
 * Every server that gossip knows has an entry, in the shape tools expect. There is no consensus among them: with the
 * embedded engine there is one, and with etcd any of them may lead as long as etcd stands.
 * Source: Consul agent/operator_endpoint.go; structs.RaftServer, autopilot.OperatorHealthReply.
 */
import { needOperator } from '../acl/access.ts';
import type { ServerHealth } from '../lan/health.ts';
import { get } from './parameters.ts';
import { HttpError, type HttpRequest, type HttpRoute } from './server.ts';

export interface OperatorOptions {
  readonly datacenter: string;
  readonly health: () => Promise<readonly ServerHealth[]>;
}

export function operatorRoutes(o: OperatorOptions): readonly HttpRoute[] {
  const here = (request: HttpRequest): void => {
    needOperator(request.authorizer(), 'read');
    const asked = request.query.get('dc');
    // Of another datacenter its own servers have to be asked: there is no RPC of ours that would carry this.
    if (asked !== null && asked !== o.datacenter)
      throw new HttpError(500, `only ${o.datacenter} is answered for here: ask a server of ${asked}`);
  };
  return [
    get('/v1/operator/raft/configuration', async (request) => {
      here(request);
      const servers = await o.health();
      return {
        json: {
          Servers: servers.map(({ server, leader, lastIndex }) => ({
            ID: server.id,
            Node: server.name,
            Address: server.address,
            Leader: leader,
            ProtocolVersion: '3',
            Voter: true,
            LastIndex: lastIndex,
          })),
          Index: 0,
        },
      };
    }),
    get('/v1/operator/autopilot/health', async (request) => {
      here(request);
      const servers = await o.health();
      const healthy = servers.filter((each) => each.healthy).length;
      const all = healthy === servers.length && servers.some(({ leader }) => leader);
      return {
        status: all ? 200 : 429,
        json: {
          Healthy: all,
          // As long as their etcd stands, one server is enough.
          FailureTolerance: Math.max(0, healthy - 1),
          Servers: servers.map(({ server, ...each }) => ({
            ID: server.id,
            Name: server.name,
            Address: server.address,
            SerfStatus: server.status,
            Version: server.build.split(':')[0],
            Leader: each.leader,
            LastContact: each.lastContact === '0' ? '0s' : each.lastContact,
            LastTerm: each.lastTerm,
            LastIndex: each.lastIndex,
            Healthy: each.healthy,
            Voter: true,
            StableSince: new Date(server.sinceMs).toISOString(),
          })),
        },
      };
    }),
  ];
}
