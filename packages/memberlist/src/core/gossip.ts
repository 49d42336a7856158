/**
 * gossip.ts: who is told what, and how much fits into a packet.
 *
 * News ride on every packet that has room left (piggyback), and go out by themselves once per gossip interval.
 * memberlist state.go (gossip), net.go (sendMsg), broadcast.go (getBroadcasts).
 * Lives here: room, filling it, choosing receivers. Must not live here: which news there are, the onion.
 */
import type { MemberlistConfig } from '../config.ts';
import type { Address, Millis, Rng } from '../ports.ts';
import { encodeMessage } from '../wire/codec.ts';
import { type Message, messageType } from '../wire/message.ts';
import { broadcastOverheadBytes, userBroadcastOverheadBytes } from '../wire/packet.ts';
import type { BroadcastQueue } from './broadcast-queue.ts';
import type { Emit, PacketRoom, Policy } from './event.ts';
import type { Members } from './members.ts';
import { pickRandom } from './random.ts';
import { addressOf, type Row } from './row.ts';

/** Receivers from protocol version 5 on read checksums. */
export function readsCrc(row: Row): boolean {
  return row.vsn[1]! >= 5;
}

export interface GossipOptions {
  readonly config: MemberlistConfig;
  /** The table; only looked at. */
  readonly members: Pick<Members, 'self' | 'list'>;
  readonly queue: BroadcastQueue;
  readonly room: PacketRoom;
  readonly policy: Policy;
  readonly rng: Rng;
  readonly emit: Emit;
}

export class Gossip {
  readonly #o: GossipOptions;
  #restsSince: Millis | undefined;

  constructor(o: GossipOptions) {
    this.#o = o;
  }

  /** Sends `message` with as many broadcasts as fit. `probe`: tell me if it cannot be sent. */
  piggyback(to: Address, message: Message, probe?: number): void {
    const encoded = encodeMessage(message);
    this.send(to, [encoded, ...this.#news(this.#o.room.piggybackRoomBytes(encoded.length))], false, probe);
  }

  /** One packet, of encoded messages. */
  send(to: Address, messages: readonly Uint8Array[], crc: boolean, probe?: number): void {
    this.#o.emit({ kind: 'send', to, messages, crc, ...(probe === undefined ? {} : { probe }) });
  }

  /** With nothing to tell nobody need wake up for a turn; then none comes until `wakes` names its time. */
  rests(now: Millis): boolean {
    if (this.#mayHaveNews()) return false;
    this.#restsSince = now;
    return true;
  }

  /** When there is something to tell after a rest: the turn that would have come anyway, to the beat of those before. */
  wakes(now: Millis): Millis | undefined {
    const since = this.#restsSince;
    if (since === undefined || !this.#mayHaveNews()) return undefined;
    this.#restsSince = undefined;
    const { gossipIntervalMs } = this.#o.config;
    return since + (Math.floor((now - since) / gossipIntervalMs) + 1) * gossipIntervalMs;
  }

  /** A layer above that does not say whether it has something may always have. */
  #mayHaveNews(): boolean {
    const { queue, policy } = this.#o;
    return queue.length > 0 || (policy.broadcasts !== undefined && (policy.hasBroadcasts?.() ?? true));
  }

  /** One round: up to gossipNodes members, each with news of its own choice; every telling counts. */
  round(now: Millis): void {
    const { config, members, room, rng } = this.#o;
    const { self } = members;
    const wanted = (row: Row): boolean =>
      row !== self &&
      (row.state === 'alive' ||
        row.state === 'suspect' ||
        // The dead may be wrong about being dead, and learn it here; those who left asked for peace.
        (row.state === 'dead' && now - row.stateChangedAt <= config.gossipToTheDeadMs));
    for (const row of pickRandom(config.gossipNodes, members.list, rng, wanted)) {
      const news = this.#news(room.gossipRoomBytes());
      if (news.length === 0) return;
      this.send(addressOf(row), news, readsCrc(row));
    }
  }

  /** Our own news first, then what the layer above has, as user messages. */
  #news(roomBytes: number): Uint8Array[] {
    const { queue, policy } = this.#o;
    const news = queue.take(broadcastOverheadBytes, roomBytes);
    if (policy.broadcasts === undefined) return news;
    let usedBytes = 0;
    for (const message of news) usedBytes += message.length + broadcastOverheadBytes;
    const limit = roomBytes - usedBytes;
    if (limit <= userBroadcastOverheadBytes) return news;
    for (const payload of policy.broadcasts(userBroadcastOverheadBytes, limit)) {
      const message = new Uint8Array(1 + payload.length);
      message[0] = messageType.user;
      message.set(payload, 1);
      news.push(message);
    }
    return news;
  }
}
