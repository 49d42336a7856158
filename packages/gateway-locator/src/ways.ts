/**
 * ways.ts: which gateways may be tried for a datacenter, by a short list of rules; the first that fits wins.
 *
 *   1. Anywhere but the primary, or from within it   our own gateways; they know the rest of the way
 *   2. The primary, while our own seem broken        the primary's doors, then our own, then doors of before
 *   3. The primary                                   our own gateways, then the primary's doors, then doors of before
 *
 * The primary's doors are the union of what its replicated record says, what its servers say over gossip, and
 * what the operator configured: a stale record must not hide a correct setting, nor the other way round. Every server decides for itself;
 * none needs a leader. Doors of before once led to the primary and are in no list any more: the lists may be wrong.
 * Lives here: the policy. Must not live here: what was learned by trying (memory.ts).
 * Source: Consul agent/consul/gateway_locator.go (PickGateway); better in that it names an order, not one at
 * random.
 */
import { renderHostPort } from './address.ts';
import type { HostPort } from './ports.ts';

export type Source =
  | 'local_catalog' // our own catalog
  | 'own_record' // our own federation state, while the catalog has not been heard
  | 'primary_record' // the primary's federation state
  | 'gossip' // what the primary's servers say of themselves
  | 'fallback' // configured or discovered
  | 'history'; // once led to the primary, and is in no list any more

export interface Knowledge {
  readonly here: string;
  readonly primary: string;
  readonly local: {
    readonly source: 'local_catalog' | 'own_record';
    readonly addresses: readonly HostPort[];
  };
  readonly primaryRecord: readonly HostPort[];
  readonly told: readonly HostPort[];
  readonly fallbacks: readonly HostPort[];
  readonly history: readonly HostPort[];
  /** Replication through our own gateways fails again and again, though they let themselves be dialed. */
  readonly localBroken: boolean;
}

export interface Way {
  readonly gateway: HostPort;
  readonly sources: readonly Source[];
  /** 0 is preferred; memory may change the order. */
  readonly tier: number;
}

export function waysTo(datacenter: string, k: Knowledge): readonly Way[] {
  const own = { addresses: k.local.addresses, source: k.local.source };
  const doors = [
    { addresses: k.primaryRecord, source: 'primary_record' as const },
    { addresses: k.told, source: 'gossip' as const },
    { addresses: k.fallbacks, source: 'fallback' as const },
  ];
  if (datacenter !== k.primary || k.here === k.primary) return merge([[own]]);
  const before = [{ addresses: k.history, source: 'history' as const }];
  if (k.localBroken) return merge([doors, [own], before]);
  return merge([[own], doors, before]);
}

type List = { readonly addresses: readonly HostPort[]; readonly source: Source };

/** One way per address; the earliest tier counts, every source is named. */
function merge(tiers: readonly (readonly List[])[]): readonly Way[] {
  const ways = new Map<string, Way>();
  tiers.forEach((lists, tier) => {
    for (const { addresses, source } of lists) {
      for (const gateway of addresses) {
        const key = renderHostPort(gateway);
        const known = ways.get(key);
        if (known && source === 'history') continue; // it is in a list still
        ways.set(
          key,
          known ? { ...known, sources: [...known.sources, source] } : { gateway, sources: [source], tier },
        );
      }
    }
  });
  return [...ways.values()];
}
