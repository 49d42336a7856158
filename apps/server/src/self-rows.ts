/**
 * self-rows.ts: this server's own rows of the catalog: the node, the service `consul`, and the check that says it lives.
 *
 * Gateways find the servers of their datacenter by these rows.
 * Source: Consul agent/consul/leader.go (handleAliveMember).
 */
import { type CheckRow, type NodeRow, newCheck, newNode, newService, type ServiceRow } from '@fed/fsm';
import { consulService, serfHealth } from './agent/agent.ts';
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

export function ownService(port: number): ServiceRow {
  return newService({
    ID: consulService,
    Meta: {
      raft_version: '3',
      serf_protocol_current: '2',
      serf_protocol_max: '5',
      serf_protocol_min: '1',
      version: buildTag.split(':')[0] as string,
    },
    Port: port,
    Service: consulService,
    Tags: [],
    Weights: { Passing: 1, Warning: 1 },
  });
}

export function ownHealth(node: string): CheckRow {
  return newCheck({
    CheckID: serfHealth,
    Name: 'Serf Health Status',
    Node: node,
    Output: 'Agent alive and reachable',
    Status: 'passing',
  });
}
