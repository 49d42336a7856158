/**
 * inbox.ts: what has been heard and can wait a moment.
 *
 * Pings and acks are answered at once, because somebody measures us by them. Rumours and user messages stand in line
 * behind everything else that has already arrived, news of the living first; and the line has an end, so that a flood
 * costs messages and not memory. memberlist net.go (handleCommand, packetHandler); there newest first, here in order.
 * Lives here: two bounded lines. Must not live here: what the messages do.
 */
import type { Alive, Dead, Suspect, UserMessage } from '../wire/message.ts';

export type Queued = Alive | Suspect | Dead | UserMessage;

export class Inbox {
  readonly #depthMax: number;
  #alive: Alive[] = [];
  #others: Queued[] = [];

  constructor(depthMax: number) {
    this.#depthMax = depthMax;
  }

  get size(): number {
    return this.#alive.length + this.#others.length;
  }

  /** I5: false when the line is full and the message was not taken. */
  add(message: Queued): boolean {
    const line: Queued[] = message.kind === 'alive' ? this.#alive : this.#others;
    if (line.length >= this.#depthMax) return false;
    line.push(message);
    return true;
  }

  /** All that waits, in the order in which it is to be handled. */
  drain(): readonly Queued[] {
    const all = this.#others.length === 0 ? this.#alive : [...this.#alive, ...this.#others];
    this.#alive = [];
    this.#others = [];
    return all;
  }
}
