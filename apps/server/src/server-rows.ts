/**
 * server-rows.ts: the rows of the catalog that say that a server is there: its node, the service `consul`, and gossip's check.
 *
 * Gateways find the servers of their datacenter by these rows.
 * Source: Consul agent/consul/leader_registrator_v1.go (HandleAliveMember), agent/structs/structs.go (SerfCheck*Output).
 */
import { type CheckRow, type NodeRow, newCheck, newNode, newService, type ServiceRow } from '@fed/fsm';
import { consulService, serfHealth } from './agent/registration.ts';
import type { Config } from './config/config.ts';
import { buildTag } from './version.ts';

export function ownNode(config: Config, nodeId: string): NodeRow {
  const { advertiseHost: lan, advertiseWanHost: wan } = config;
  return newNode({
    Address: lan,
    Datacenter: config.datacenter,
    ID: nodeId,
    Meta: { 'consul-network-segment': '', ...config.nodeMeta },
    Node: config.nodeName,
    TaggedAddresses: { lan, lan_ipv4: lan, wan, wan_ipv4: wan },
  });
}

/** What a server speaks, as its place in the pool says. */
export interface Spoken {
  readonly port: number;
  /** `1.9.8:revision` */
  readonly build: string;
  readonly raft: string;
  readonly vsn: { readonly pMin: number; readonly pMax: number; readonly pCur: number };
}

export function serverService({ port, build, raft, vsn }: Spoken): ServiceRow {
  return newService({
    ID: consulService,
    Meta: {
      raft_version: raft,
      serf_protocol_current: String(vsn.pCur),
      serf_protocol_max: String(vsn.pMax),
      serf_protocol_min: String(vsn.pMin),
      version: build.split(':')[0] as string,
    },
    Port: port,
    Service: consulService,
    Tags: [],
    Weights: { Passing: 1, Warning: 1 },
  });
}

/** The same as the pool will say of us, before it has said anything. */
export function ownService(port: number): ServiceRow {
  return serverService({ port, build: buildTag, raft: '3', vsn: { pMin: 1, pMax: 5, pCur: 2 } });
}

export function serfCheck(node: string, status: 'passing' | 'critical'): CheckRow {
  return newCheck({
    CheckID: serfHealth,
    Name: 'Serf Health Status',
    Node: node,
    Output: status === 'passing' ? 'Agent alive and reachable' : 'Agent not live or unreachable',
    Status: status,
  });
}
