/**
 * rows.ts: federation states and gateways for tests, complete as a peer would send them.
 */
import {
  type CheckServiceNode,
  type FederationState,
  newCheck,
  newCheckServiceNode,
  newFederationState,
  newNode,
  newService,
} from '@fed/fsm';

/** As the primary answers: ModifyIndex is its log's. */
export function original(datacenter: string, modifyIndex: number, ...hosts: string[]): FederationState {
  return newFederationState({
    Datacenter: datacenter,
    MeshGateways: hosts.map((host) => gateway(host)),
    PrimaryModifyIndex: modifyIndex,
    CreateIndex: 1,
    ModifyIndex: modifyIndex,
  });
}

/** As a secondary keeps it: its own log's indexes, the primary's in PrimaryModifyIndex. */
export function copy(datacenter: string, primaryIndex: number, ...hosts: string[]): FederationState {
  return newFederationState({
    ...original(datacenter, primaryIndex, ...hosts),
    CreateIndex: 7,
    ModifyIndex: 900,
  });
}

export interface GatewaySketch {
  readonly datacenter?: string;
  readonly node?: string;
  readonly id?: string;
  readonly status?: string;
  readonly output?: string;
  readonly index?: number;
  readonly tags?: readonly string[] | null;
  readonly port?: number;
}

export function gateway(host: string, s: GatewaySketch = {}): CheckServiceNode {
  const indexes = { CreateIndex: s.index ?? 1, ModifyIndex: s.index ?? 1 };
  const check = (CheckID: string) =>
    newCheck({
      CheckID,
      Node: s.node ?? 'gw',
      Status: s.status ?? 'passing',
      Output: s.output ?? '',
      ...indexes,
    });
  return newCheckServiceNode({
    Node: newNode({ Node: s.node ?? 'gw', Address: host, Datacenter: s.datacenter ?? '', ...indexes }),
    Service: newService({
      ID: s.id ?? 'mesh-gateway',
      Service: 'mesh-gateway',
      Kind: 'mesh-gateway',
      Address: host,
      Port: s.port ?? 8443,
      Tags: s.tags === undefined ? null : s.tags,
      ...indexes,
    }),
    Checks: [check('serfHealth'), check('service:mesh-gateway')],
  });
}
