/**
 * broadcast-queue.ts: news waiting to be told, each a limited number of times.
 *
 * Gossip spreads like an infection: whoever has heard something tells it log(n) times and then stops. What has been
 * told least goes first; among equals the biggest that still fits, then the newest. memberlist queue.go,
 * TransmitLimitedQueue, except that entries are numbered for ever and can never overwrite one another.
 * Lives here: order, limits, replacement. Must not live here: what the bytes say, who receives them.
 */
import { retransmitLimit } from './formulas.ts';

export interface Broadcast {
  readonly message: Uint8Array;
  /** News about the same subject replace each other; without one, it is never replaced. */
  readonly subject?: string;
  /** Called once, when told often enough, replaced or pruned. */
  readonly finished?: () => void;
}

interface Entry {
  readonly broadcast: Broadcast;
  readonly order: number;
  transmits: number;
}

export class BroadcastQueue {
  readonly #retransmitMult: number;
  readonly #tableSize: () => number;
  /** By number of transmissions so far; each tier by length descending, then newest first. */
  readonly #tiers: Entry[][] = [];
  readonly #bySubject = new Map<string, Entry>();
  #length = 0;
  #order = 0;

  constructor(o: { readonly retransmitMult: number; readonly tableSize: () => number }) {
    this.#retransmitMult = o.retransmitMult;
    this.#tableSize = o.tableSize;
  }

  get length(): number {
    return this.#length;
  }

  add(broadcast: Broadcast): void {
    const entry: Entry = { broadcast, order: this.#order++, transmits: 0 };
    if (broadcast.subject !== undefined) {
      const pending = this.#bySubject.get(broadcast.subject);
      if (pending !== undefined) this.#finish(this.#remove(pending));
      this.#bySubject.set(broadcast.subject, entry);
    }
    this.#insert(entry);
  }

  /** Messages for one packet with `limitBytes` of room, where each takes `overheadBytes` more than its length. */
  take(overheadBytes: number, limitBytes: number): Uint8Array[] {
    if (this.#length === 0) return [];
    const transmitLimit = retransmitLimit(this.#retransmitMult, this.#tableSize());
    const taken: Uint8Array[] = [];
    const again: Entry[] = [];
    let usedBytes = 0;
    for (let tier = 0; tier < this.#tiers.length; ) {
      const freeBytes = limitBytes - usedBytes - overheadBytes;
      if (freeBytes <= 0) break;
      const entry = firstThatFits(this.#tiers[tier]!, freeBytes);
      if (entry === undefined) {
        tier++;
        continue;
      }
      usedBytes += overheadBytes + entry.broadcast.message.length;
      taken.push(entry.broadcast.message);
      this.#remove(entry);
      if (entry.transmits + 1 >= transmitLimit) {
        this.#forget(entry);
        this.#finish(entry);
      } else again.push(entry);
    }
    for (const entry of again) {
      entry.transmits++;
      this.#insert(entry);
    }
    return taken;
  }

  /** Keeps the `retain` entries that would be told first. */
  prune(retain: number): void {
    for (let tier = this.#tiers.length - 1; tier >= 0 && this.#length > retain; tier--) {
      const entries = this.#tiers[tier]!;
      while (entries.length > 0 && this.#length > retain) {
        const entry = this.#remove(entries[entries.length - 1]!);
        this.#forget(entry);
        this.#finish(entry);
      }
    }
  }

  #insert(entry: Entry): void {
    while (this.#tiers.length <= entry.transmits) this.#tiers.push([]);
    const tier = this.#tiers[entry.transmits]!;
    tier.splice(place(tier, entry), 0, entry);
    this.#length++;
  }

  #remove(entry: Entry): Entry {
    const tier = this.#tiers[entry.transmits]!;
    tier.splice(place(tier, entry), 1);
    this.#length--;
    return entry;
  }

  #forget(entry: Entry): void {
    const { subject } = entry.broadcast;
    if (subject !== undefined) this.#bySubject.delete(subject);
  }

  #finish(entry: Entry): void {
    entry.broadcast.finished?.();
  }
}

/** Where `entry` stands, or would stand, in its tier. */
function place(tier: readonly Entry[], entry: Entry): number {
  const length = entry.broadcast.message.length;
  let low = 0;
  let high = tier.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const other = tier[middle]!;
    const otherLength = other.broadcast.message.length;
    if (otherLength > length || (otherLength === length && other.order > entry.order)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function firstThatFits(tier: readonly Entry[], freeBytes: number): Entry | undefined {
  let low = 0;
  let high = tier.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (tier[middle]!.broadcast.message.length > freeBytes) low = middle + 1;
    else high = middle;
  }
  return tier[low];
}
