/**
 * publication.ts: whether our gateways must be published, and when.
 *
 * The record to compare with is the copy that came back to us, which lags behind what the primary
 * acknowledged. Until it arrives, what was acknowledged counts as published; should it not arrive in a while,
 * we publish again. A first write goes out at once, further ones a second apart; whoever waits reads again
 * before writing, so the last state is what gets written and no change is lost.
 * Lives here: that decision. Must not live here: reading, writing, waiting.
 * Source: Consul agent/consul/leader_federation_state_ae.go.
 */
import { keyOf, routableText } from './content.ts';
import type { CheckServiceNode, FederationState, Millis } from './ports.ts';

export interface Seen {
  /** Of what was read: our own record or any mesh gateway. */
  readonly index: number;
  /** All mesh gateways of our own catalog, healthy or not. */
  readonly gateways: readonly CheckServiceNode[];
  /** Our own record, as it came back. */
  readonly stored: FederationState | undefined;
}

export interface PublicationMemory {
  /** When the last write that was acknowledged began. */
  readonly lastWriteAt: Millis;
  /**
   * What the primary acknowledged last and we have not seen come back, and what may stand in our store until
   * it does.
   */
  readonly acknowledged:
    | { readonly text: string; readonly passing: readonly (string | undefined)[]; readonly at: Millis }
    | undefined;
  /** What our record may say without surprising us; undefined before we have looked for the first time. */
  readonly known: readonly string[] | undefined;
}

export const nothingPublished: PublicationMemory = {
  lastWriteAt: Number.NEGATIVE_INFINITY,
  acknowledged: undefined,
  known: undefined,
};

export type Decision =
  /** Published and back. */
  | { readonly kind: 'same' }
  /** Acknowledged and not back yet: look again at `until`, or when something changes. */
  | { readonly kind: 'underWay'; readonly until: Millis }
  /** Too soon after the last write: wait, then read again. */
  | { readonly kind: 'tooSoon'; readonly until: Millis }
  | { readonly kind: 'publish'; readonly reason: 'first' | 'changed' }
  /** Somebody handed us rows of another datacenter. */
  | { readonly kind: 'refuse'; readonly foreign: string };

export interface PublicationTimes {
  /** Between the beginnings of two writes. */
  readonly spacingMs: number;
  /** How long an acknowledged write may take to come back. */
  readonly returnMs: number;
}

export function decide(
  memory: PublicationMemory,
  seen: Seen,
  o: PublicationTimes & { readonly datacenter: string; readonly now: Millis },
): Decision {
  const foreign = foreignDatacenter(seen, o.datacenter);
  if (foreign !== undefined) return { kind: 'refuse', foreign };
  const wanted = routableText(seen.gateways);
  const stored = storedText(seen);
  if (stored === wanted) return { kind: 'same' }; // an absent record equals nothing, not even an empty list
  const { acknowledged, lastWriteAt } = memory;
  if (acknowledged && acknowledged.text === wanted && acknowledged.passing.includes(stored)) {
    const until = acknowledged.at + o.returnMs;
    if (o.now < until) return { kind: 'underWay', until };
  }
  const soonest = lastWriteAt + o.spacingMs;
  if (o.now < soonest) return { kind: 'tooSoon', until: soonest };
  return { kind: 'publish', reason: stored === undefined ? 'first' : 'changed' };
}

/** Writes in a row that may be on their way back at one time; a few seconds' worth. */
const passingMax = 16;

/** The primary committed what `seen` asked for. Earlier writes may still come back before this one does. */
export function acknowledge(
  memory: PublicationMemory,
  seen: Seen,
  at: { readonly began: Millis; readonly now: Millis },
): PublicationMemory {
  const earlier = memory.acknowledged ? [...memory.acknowledged.passing, memory.acknowledged.text] : [];
  const passing = [...new Set([...earlier, storedText(seen)])].slice(-passingMax);
  const acknowledged = { text: routableText(seen.gateways), passing, at: at.now };
  return { ...memory, lastWriteAt: at.began, acknowledged };
}

/** Writes of ours that may turn up in our record, however late. */
const knownMax = 64;

/** We are about to write this, whether the answer will reach us or not. */
export function writing(memory: PublicationMemory, seen: Seen): PublicationMemory {
  const known = [...new Set([...(memory.known ?? []), routableText(seen.gateways)])].slice(-knownMax);
  return { ...memory, known };
}

/**
 * Whether our record says what neither we have written nor found there when we began: then somebody else writes it. One of
 * our own servers that led before us may be late, once.
 */
export function foreignWrite(
  memory: PublicationMemory,
  seen: Seen,
): { readonly foreign: boolean; readonly memory: PublicationMemory } {
  const stored = storedText(seen);
  if (memory.known === undefined) {
    return { foreign: false, memory: { ...memory, known: stored === undefined ? [] : [stored] } };
  }
  if (stored === undefined || memory.known.includes(stored)) return { foreign: false, memory };
  // Whoever wrote what we want did no harm; later it may come home as our own.
  if (stored === routableText(seen.gateways)) return { foreign: false, memory: writing(memory, seen) };
  return { foreign: true, memory };
}

/** The record to publish. Its indexes are the log's business, hence 0. */
export function recordOf(
  datacenter: string,
  gateways: readonly CheckServiceNode[],
  updatedAt: Uint8Array,
): FederationState {
  return {
    Datacenter: datacenter,
    MeshGateways: gateways,
    UpdatedAt: updatedAt,
    PrimaryModifyIndex: 0,
    CreateIndex: 0,
    ModifyIndex: 0,
  };
}

function storedText({ stored }: Seen): string | undefined {
  return stored && routableText(stored.MeshGateways);
}

function foreignDatacenter({ gateways, stored }: Seen, datacenter: string): string | undefined {
  const named = [stored?.Datacenter, ...gateways.map((row) => row.Node?.Datacenter)];
  return named.find((name) => name !== undefined && name !== '' && keyOf(name) !== keyOf(datacenter));
}
