/**
 * lamport.ts: a Lamport clock of 64 unsigned bits.
 *
 * Whoever speaks stamps the current time; whoever hears moves past it. serf lamport.go. It starts at 1, so that a
 * member's first intents are newer than the 0 of one never heard of (serf.go, Create).
 * Lives here: one clock. Must not live here: what its times mean.
 */
import type { LamportTime } from '../wire/message.ts';

/** No later time exists: it cannot be moved past, and a message bearing it must not stop or wrap the clock. */
export const lamportTimeMax: LamportTime = 2n ** 64n - 1n;

export class LamportClock {
  #time: LamportTime = 1n;

  get time(): LamportTime {
    return this.#time;
  }

  increment(): void {
    this.witness(this.#time);
  }

  /** Somebody spoke at `t`: we speak later. I3 */
  witness(t: LamportTime): void {
    if (t >= this.#time && t < lamportTimeMax) this.#time = t + 1n;
  }
}
