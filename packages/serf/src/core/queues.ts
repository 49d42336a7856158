/**
 * queues.ts: the three queues of a serf, and how they share the room in a packet: intents, then queries, then events.
 *
 * serf delegate.go, GetBroadcasts; serf.go, checkQueueDepth, getQueueMax.
 * Lives here: that order and the depth limits. Must not live here: the order inside one queue (broadcast-queue.ts).
 */
import type { SerfConfig } from '../config.ts';
import { BroadcastQueue, retransmitLimit } from './broadcast-queue.ts';
import type { Effect } from './effects.ts';

export type QueueName = 'intents' | 'queries' | 'events';

/** By the type byte of the message. */
const queueOf: Readonly<Record<number, QueueName>> = {
  0: 'intents',
  1: 'intents',
  3: 'events',
  4: 'queries',
};

/** What a gossip packet takes for itself: compound header, length and type byte of a part. memberlist net.go. */
const packetOverheadBytes = 5;

export class Queues {
  readonly intents: BroadcastQueue = new BroadcastQueue();
  readonly queries: BroadcastQueue = new BroadcastQueue();
  readonly events: BroadcastQueue = new BroadcastQueue();
  readonly #config: SerfConfig;
  readonly #retransmitMult: number;
  readonly #messageBytesMax: number;
  readonly #members: () => number;
  readonly #effect: (e: Effect) => void;

  constructor(o: {
    readonly config: SerfConfig;
    readonly retransmitMult: number;
    /** Of memberlist's packets. */
    readonly udpBufferBytes: number;
    readonly members: () => number;
    readonly effect: (e: Effect) => void;
  }) {
    this.#config = o.config;
    this.#retransmitMult = o.retransmitMult;
    this.#messageBytesMax = o.udpBufferBytes - packetOverheadBytes;
    this.#members = o.members;
    this.#effect = o.effect;
  }

  /** Messages that wait, over all queues. */
  get length(): number {
    return this.intents.length + this.queries.length + this.events.length;
  }

  /** A message of our own. `token` is announced when it has been sent often enough. */
  say(name: QueueName, message: Uint8Array, token?: number): void {
    if (message.length > this.#messageBytesMax) {
      this.#noRoom(name, message, token);
      return;
    }
    this[name].push(message, token);
    for (const done of this[name].prune(this.#depthMax()))
      this.#effect({ kind: 'broadcastDone', token: done });
  }

  /** Somebody else's message, byte for byte as it came. Copied: a queue must not hold on to whole packets. */
  passOn(message: Uint8Array): void {
    const name = queueOf[message[0] ?? -1];
    if (name !== undefined) this.say(name, Uint8Array.from(message));
  }

  /** Messages for one packet: each costs its length and `overhead`, all together at most `limit` bytes. */
  take(overhead: number, limit: number): { messages: readonly Uint8Array[]; finished: readonly number[] } {
    if (this.length === 0) return nothing;
    const transmissionsMax = retransmitLimit(this.#retransmitMult, this.#members());
    const messages: Uint8Array[] = [];
    const finished: number[] = [];
    let room = limit;
    for (const queue of [this.intents, this.queries, this.events]) {
      const taken = queue.take({ overhead, limit: room, transmissionsMax });
      for (const message of taken.messages) {
        messages.push(message);
        room -= message.length + overhead;
      }
      finished.push(...taken.finished);
    }
    return { messages, finished };
  }

  /** A line in the log for every queue that grows faster than it is sent. */
  check(): void {
    for (const name of ['intents', 'queries', 'events'] as const) {
      const depth = this[name].length;
      if (depth < this.#config.queueDepthWarning) continue;
      const text = `${depth} ${name} wait to be gossiped: they come in faster than they go out`;
      this.#effect({ kind: 'log', entry: { level: 'warn', code: 'queue_deep', text } });
    }
  }

  /** I5: what no packet has room for would wait for ever. Push/pulls bring it, if anything does. */
  #noRoom(name: QueueName, message: Uint8Array, token: number | undefined): void {
    if (token !== undefined) this.#effect({ kind: 'broadcastDone', token });
    const text = `one of the ${name} has ${message.length} bytes and is not gossiped: packets take ${this.#messageBytesMax}`;
    this.#effect({ kind: 'log', entry: { level: 'warn', code: 'message_too_long', text } });
  }

  #depthMax(): number {
    const { minQueueDepth, maxQueueDepth } = this.#config;
    return minQueueDepth > 0 ? Math.max(2 * this.#members(), minQueueDepth) : maxQueueDepth;
  }
}

const nothing = { messages: [], finished: [] } as const;
