/**
 * packet-queue.ts: what waits for one destination: bounded, and when it is full the oldest goes.
 *
 * Old gossip is worth less than new gossip, and a probe that waited long has failed already.
 * Lives here: order and bounds. Must not live here: connections, time.
 */

/** A packet and whom to tell if it surely did not arrive. */
export interface Outgoing {
  readonly packet: Uint8Array;
  readonly failed: ((cause: Error) => void) | undefined;
}

export class PacketQueue {
  readonly #packetsMax: number;
  readonly #bytesMax: number;
  #waiting: Outgoing[] = [];
  /** Index of the oldest; what is before it has been taken. */
  #head = 0;
  #bytes = 0;

  constructor(o: { readonly packetsMax: number; readonly bytesMax: number }) {
    this.#packetsMax = o.packetsMax;
    this.#bytesMax = o.bytesMax;
  }

  get length(): number {
    return this.#waiting.length - this.#head;
  }
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds the newest; returns what had to go for it, oldest first. A single packet always finds room. */
  push(item: Outgoing): readonly Outgoing[] {
    let dropped: Outgoing[] | undefined;
    while (
      this.length > 0 &&
      (this.length >= this.#packetsMax || this.#bytes + item.packet.length > this.#bytesMax)
    ) {
      dropped ??= [];
      dropped.push(this.#shift());
    }
    this.#waiting.push(item);
    this.#bytes += item.packet.length;
    return dropped ?? none;
  }

  /** The oldest packets, as many as fit into `bytesMax`, but at least one if there is one. */
  takeBatch(bytesMax: number): readonly Outgoing[] {
    const batch: Outgoing[] = [];
    let bytes = 0;
    while (this.length > 0) {
      bytes += this.#waiting[this.#head]!.packet.length;
      if (batch.length > 0 && bytes > bytesMax) break;
      batch.push(this.#shift());
    }
    return batch;
  }

  takeAll(): readonly Outgoing[] {
    return this.length === 0 ? none : this.takeBatch(Number.POSITIVE_INFINITY);
  }

  #shift(): Outgoing {
    const item = this.#waiting[this.#head]!;
    this.#head++;
    this.#bytes -= item.packet.length;
    if (this.#head === this.#waiting.length) {
      this.#waiting = [];
      this.#head = 0;
    } else if (this.#head >= 1024 && this.#head * 2 >= this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#head); // taken packets are not held on to; amortised, each moves once
      this.#head = 0;
    }
    return item;
  }
}

const none: readonly Outgoing[] = [];
