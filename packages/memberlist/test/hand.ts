/**
 * hand.ts: a member whose network is the test itself: packets are read from a list, streams are the other end of a pipe.
 */
import { type Duplex, duplexPair } from 'node:stream';
import {
  type Address,
  type Clock,
  type HostPort,
  type Inbound,
  lan,
  type Memberlist,
  type MemberlistOptions,
  openMemberlist,
  type Transport,
} from '../src/index.ts';
import { decodeMessage } from '../src/wire/codec.ts';
import type { Message } from '../src/wire/message.ts';
import { createPacketCodec } from '../src/wire/packet.ts';

/** Rings when told to. */
export class HandClock implements Clock {
  #now = 0;
  readonly #waiting = new Set<{ readonly at: number; readonly wake: () => void }>();

  now(): number {
    return this.#now;
  }

  at(when: number, wake: () => void): Disposable {
    const entry = { at: when, wake };
    this.#waiting.add(entry);
    return { [Symbol.dispose]: () => this.#waiting.delete(entry) };
  }

  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const [next] = [...this.#waiting].sort((a, b) => a.at - b.at);
      if (next === undefined || next.at > end) break;
      this.#waiting.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.wake();
    }
    this.#now = end;
  }
}

export class Hand implements AsyncDisposable {
  readonly clock: HandClock = new HandClock();
  readonly sent: {
    readonly to: Address;
    readonly packet: Uint8Array;
    readonly failed: ((cause: Error) => void) | undefined;
  }[] = [];
  /** The far ends of the streams that the member dialled. */
  readonly dialled: { readonly to: Address; readonly far: Duplex }[] = [];
  readonly heard: string[] = [];
  readonly logged: string[] = [];
  list!: Memberlist;
  #inbound: Inbound | undefined;
  #dialling: (() => void) | undefined;

  static async open(o: Partial<MemberlistOptions> = {}): Promise<Hand> {
    const hand = new Hand();
    const transport: Transport = {
      advertise: { host: '10.0.0.1', port: 7946 },
      listen: (inbound) => {
        hand.#inbound = inbound;
      },
      sendPacket: (to, packet, failed) => {
        hand.sent.push({ to, packet, failed });
      },
      dialStream: async (to) => {
        const [near, far] = duplexPair();
        hand.dialled.push({ to, far });
        hand.#dialling?.();
        return near;
      },
      [Symbol.asyncDispose]: async () => {},
    };
    hand.list = await openMemberlist({
      name: 'self',
      transport,
      clock: hand.clock,
      rng: { below: () => 0 },
      log: ({ code }) => hand.logged.push(code),
      ...o,
      config: { ...lan, probeIntervalMs: 0, gossipIntervalMs: 0, pushPullIntervalMs: 0, ...o.config },
      hooks: {
        changed: ({ kind, member }) => hand.heard.push(`${kind} ${member.name}`),
        userMessage: (payload) => hand.heard.push(`user ${Buffer.from(payload).toString()}`),
        mergeRemoteState: (state, join) => hand.heard.push(`state ${Buffer.from(state).toString()} ${join}`),
        ...o.hooks,
      },
    });
    return hand;
  }

  packet(bytes: Uint8Array, from: HostPort = { host: '10.0.0.2', port: 7946 }): void {
    this.#inbound!.packet(bytes, from);
    this.clock.advance(0);
  }

  /** Our end of a stream that somebody opened to the member. */
  stream(): Duplex {
    const [near, far] = duplexPair();
    far.on('error', () => {});
    this.#inbound!.stream(near, { host: '10.0.0.2', port: 40_000 });
    return far;
  }

  /** The far end of the next stream the member dials. */
  nextDial(): Promise<Duplex> {
    return new Promise((resolve) => {
      this.#dialling = () => resolve(this.dialled.at(-1)!.far);
    });
  }

  /** The messages of all packets sent since the last time, without layers, in order. */
  said(): { readonly to: string; readonly message: Message; readonly crc: boolean }[] {
    const codec = createPacketCodec({ randomBytes: (n) => new Uint8Array(n) });
    return this.sent
      .splice(0)
      .flatMap(({ to, packet }) =>
        codec
          .open(packet)
          .map((encoded) => ({ to: to.name, message: decodeMessage(encoded), crc: packet[0] === 12 })),
      );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.list[Symbol.asyncDispose]();
    for (const { far } of this.dialled) far.destroy();
  }
}
