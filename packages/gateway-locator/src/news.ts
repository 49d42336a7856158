/**
 * news.ts: everything the locator may be told. It never asks.
 *
 * Lives here: the kinds of news. Must not live here: what becomes of them (locator.ts).
 */
import type { CheckServiceNode, FederationState, HostPort } from './ports.ts';

export type News =
  /** Every federation state in our store, ours included. */
  | { readonly kind: 'states'; readonly states: readonly FederationState[] }
  /** The mesh gateways of our own catalog, willing or not. */
  | { readonly kind: 'localGateways'; readonly gateways: readonly CheckServiceNode[] }
  /** What the configured `primary_gateways` stand for at this moment. */
  | { readonly kind: 'fallbacks'; readonly addresses: readonly HostPort[] }
  /** The primary's gateways as its servers tell them over gossip, which may arrive when nothing else does. */
  | { readonly kind: 'told'; readonly addresses: readonly HostPort[] }
  /**
   * A replication round ended. `transport: false`: it failed for another reason than the way, so it says
   * nothing here.
   */
  | { readonly kind: 'round'; readonly ok: boolean; readonly transport?: boolean }
  /** A dial through a gateway ended. */
  | {
      readonly kind: 'tried';
      readonly gateway: HostPort;
      readonly datacenter: string;
      readonly ok: boolean;
      readonly code?: string;
      readonly tookMs: number;
    };
