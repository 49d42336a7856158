/**
 * broadcast-queue.ts: rumours waiting to be passed on, each a limited number of times.
 *
 * What was sent least goes first; among those the biggest that still fits, then the newest. A rumour is retired after
 * retransmitMult * ceil(log10(members + 1)) transmissions, by when everybody has most likely heard it.
 * memberlist queue.go, TransmitLimitedQueue, in the unnamed form serf uses: no message replaces another.
 * Lives here: order and limits. Must not live here: what the messages say.
 */

interface Item {
  readonly message: Uint8Array;
  /** Ever growing, so that no two items are ever equal. */
  readonly order: number;
  /** Named to the caller when the item leaves the queue; undefined when nobody waits. */
  readonly token: number | undefined;
}

export interface Taken {
  readonly messages: readonly Uint8Array[];
  /** Tokens of messages that have now been sent often enough, or were pruned. */
  readonly finished: readonly number[];
}

/** How often one rumour is sent in a pool of `members`. memberlist util.go, retransmitLimit. */
export function retransmitLimit(retransmitMult: number, members: number): number {
  return retransmitMult * Math.ceil(Math.log10(members + 1));
}

export class BroadcastQueue {
  /** By transmissions; each tier sorted by size descending, then newest first. No holes, tiers may be empty. */
  readonly #tiers: Item[][] = [];
  #order = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(message: Uint8Array, token?: number): void {
    this.#insert(0, { message, order: this.#order++, token });
  }

  /** Messages for one packet: each costs its length and `overhead`, all together at most `limit` bytes. */
  take(o: { overhead: number; limit: number; transmissionsMax: number }): Taken {
    const messages: Uint8Array[] = [];
    const finished: number[] = [];
    if (this.#length === 0) return { messages, finished };
    const sent: { item: Item; transmissions: number }[] = [];
    let used = 0;
    for (let tier = 0; tier < this.#tiers.length; tier++) {
      const items = this.#tiers[tier] as Item[];
      for (;;) {
        const room = o.limit - used - o.overhead;
        if (room <= 0) break;
        const at = firstThatFits(items, room);
        const item = items[at];
        if (item === undefined) break;
        items.splice(at, 1);
        this.#length--;
        used += item.message.length + o.overhead;
        messages.push(item.message);
        sent.push({ item, transmissions: tier + 1 });
      }
    }
    for (const { item, transmissions } of sent)
      if (transmissions < o.transmissionsMax) this.#insert(transmissions, item);
      else if (item.token !== undefined) finished.push(item.token);
    return { messages, finished };
  }

  /** Drops from the far end (most sent, smallest, oldest) until `retain` are left; returns their tokens. */
  prune(retain: number): number[] {
    const finished: number[] = [];
    for (let tier = this.#tiers.length - 1; tier >= 0 && this.#length > retain; tier--) {
      const items = this.#tiers[tier] as Item[];
      while (this.#length > retain) {
        const item = items.pop();
        if (item === undefined) break;
        this.#length--;
        if (item.token !== undefined) finished.push(item.token);
      }
    }
    return finished;
  }

  #insert(tier: number, item: Item): void {
    while (this.#tiers.length <= tier) this.#tiers.push([]);
    const items = this.#tiers[tier] as Item[];
    let low = 0;
    let high = items.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (before(items[middle] as Item, item)) low = middle + 1;
      else high = middle;
    }
    items.splice(low, 0, item);
    this.#length++;
  }
}

function before(a: Item, b: Item): boolean {
  return a.message.length > b.message.length || (a.message.length === b.message.length && a.order > b.order);
}

/** Index of the first (biggest, newest) item of at most `room` bytes; items.length when none is. */
function firstThatFits(items: readonly Item[], room: number): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((items[middle] as Item).message.length > room) low = middle + 1;
    else high = middle;
  }
  return low;
}
