/**
 * operator.ts: what an operator asks about the servers of this datacenter: who is one, who leads, how they fare.
 *
 * One server stands for its datacenter and its log has one copy, so these have one entry, in the shape tools expect.
 * Source: Consul agent/operator_endpoint.go; structs.RaftServer, autopilot.OperatorHealthReply.
 */
import { needOperator } from '../acl/access.ts';
import { get } from './parameters.ts';
import { HttpError, type HttpRequest, type HttpRoute } from './server.ts';

export interface OperatorOptions {
  readonly datacenter: string;
  readonly nodeName: string;
  readonly nodeId: string;
  readonly address: string;
  readonly version: string;
  readonly log: () => { readonly lastIndex: number; readonly term: number; readonly leader: boolean };
  /** When this server began to answer, as Go prints times. */
  readonly since: string;
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
    get('/v1/operator/raft/configuration', (request) => {
      here(request);
      const { leader, lastIndex } = o.log();
      return {
        json: {
          Servers: [
            {
              ID: o.nodeId,
              Node: o.nodeName,
              Address: o.address,
              Leader: leader,
              ProtocolVersion: '3',
              Voter: true,
              LastIndex: lastIndex,
            },
          ],
          Index: 0,
        },
      };
    }),
    get('/v1/operator/autopilot/health', (request) => {
      here(request);
      const { leader, lastIndex, term } = o.log();
      const server = {
        ID: o.nodeId,
        Name: o.nodeName,
        Address: o.address,
        SerfStatus: 'alive',
        Version: o.version,
        Leader: leader,
        LastContact: '0s',
        LastTerm: term,
        LastIndex: lastIndex,
        Healthy: leader,
        Voter: true,
        StableSince: o.since,
      };
      return {
        status: leader ? 200 : 429,
        json: { Healthy: leader, FailureTolerance: 0, Servers: [server] },
      };
    }),
  ];
}
