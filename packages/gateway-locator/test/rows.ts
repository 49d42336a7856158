/**
 * rows.ts: catalog rows for tests, complete as a peer would send them.
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

export interface GatewaySketch {
  /** Service address; '' lets the node's count. */
  readonly address?: string;
  readonly port?: number;
  readonly wan?: { readonly Address: string; readonly Port: number };
  readonly node?: string;
  readonly nodeWan?: string;
  /** Value of `consul-wan-federation`; null: no such key. */
  readonly meta?: string | null;
  readonly checks?: readonly string[];
}

export function gateway(s: GatewaySketch = {}): CheckServiceNode {
  const meta = s.meta === undefined ? '1' : s.meta;
  return newCheckServiceNode({
    Node: newNode({
      Node: 'gw',
      Address: s.node ?? '10.1.0.9',
      TaggedAddresses: s.nodeWan === undefined ? null : { wan: s.nodeWan },
    }),
    Service: newService({
      ID: 'mesh-gateway',
      Service: 'mesh-gateway',
      Kind: 'mesh-gateway',
      Address: s.address ?? '',
      Port: s.port ?? 8443,
      Meta: meta === null ? null : { 'consul-wan-federation': meta },
      TaggedAddresses: s.wan ? { wan: s.wan } : null,
    }),
    Checks: (s.checks ?? ['passing']).map((Status, n) => newCheck({ CheckID: `check${n}`, Status })),
  });
}

export function state(datacenter: string, gateways: readonly CheckServiceNode[] | null): FederationState {
  return newFederationState({ Datacenter: datacenter, MeshGateways: gateways });
}
