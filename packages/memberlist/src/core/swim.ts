/**
 * swim.ts: one member's mind. Events in, effects out, and one deadline.
 *
 * Same events at the same times with the same dice: same effects, in the same order. Nothing here sends, waits or
 * remembers a promise; the shell carries out what comes out and calls again when the deadline has come.
 * Lives here: which part of the core an event is for, the periodic turns, acks finding those who wait for them.
 * Must not live here: the parts' own rules, sockets, timers.
 */
import type { MemberlistConfig } from '../config.ts';
import type { Member } from '../member.ts';
import type { Address, HostPort, Millis, Rng } from '../ports.ts';
import type { Message, NodeState, Ping } from '../wire/message.ts';
import { Agenda, type Entry } from './agenda.ts';
import { Awareness } from './awareness.ts';
import { BroadcastQueue } from './broadcast-queue.ts';
import type { Due, Effect, Event, PacketRoom, Policy, Ticket } from './event.ts';
import { pushPullIntervalMs } from './formulas.ts';
import { Gossip } from './gossip.ts';
import { Inbox } from './inbox.ts';
import { Members } from './members.ts';
import { Prober } from './probe.ts';
import { incompatibility, localNodes } from './push-pull.ts';
import { pickRandom } from './random.ts';
import { Relays, replyTo } from './relay.ts';
import { Reminders } from './reminders.ts';
import { addressOf, isGone, type Row, show, snapshot, stateNames } from './row.ts';

export interface SwimOptions {
  readonly name: string;
  readonly addr: Uint8Array;
  readonly port: number;
  readonly meta: Uint8Array;
  /** Six bytes. */
  readonly vsn: Uint8Array;
  readonly config: MemberlistConfig;
  readonly rng: Rng;
  readonly room: PacketRoom;
  readonly policy: Policy;
  /** Rows of a cluster that we have been in for long: nothing about them is news. For simulations. */
  readonly known?: readonly Row[];
}

export class Swim {
  readonly #o: SwimOptions;
  readonly #agenda = new Agenda<Due>();
  readonly #awareness: Awareness;
  readonly #queue: BroadcastQueue;
  readonly #members: Members;
  readonly #gossip: Gossip;
  readonly #prober: Prober;
  readonly #relays: Relays;
  readonly #reminders: Reminders;
  readonly #inbox: Inbox;
  readonly #pings = new Map<
    number,
    { readonly ticket: Ticket; readonly sentAt: Millis; readonly entry: Entry<Due> }
  >();
  readonly #nextSeqNo: () => number;
  #effects: Effect[] = [];
  #seqNo = 0;

  /** We exist from here on: the first effects, our own join among them, come with the first step. */
  constructor(o: SwimOptions, now: Millis) {
    this.#o = o;
    const { name, config, rng, room, policy } = o;
    const agenda = this.#agenda;
    const emit = (effect: Effect): void => {
      this.#effects.push(effect);
    };
    const nextSeqNo = (): number => {
      this.#seqNo = (this.#seqNo + 1) >>> 0;
      return this.#seqNo;
    };
    const awareness = new Awareness(config.awarenessMaxMultiplier);
    const queue = new BroadcastQueue({
      retransmitMult: config.retransmitMult,
      tableSize: () => this.#members.size,
    });
    const members = new Members({ ...o, agenda, awareness, queue, emit });
    const gossip = new Gossip({ config, members, queue, room, policy, rng, emit });
    this.#awareness = awareness;
    this.#queue = queue;
    this.#members = members;
    this.#gossip = gossip;
    this.#prober = new Prober({
      name,
      config,
      members,
      gossip,
      awareness,
      agenda,
      rng,
      policy,
      emit,
      nextSeqNo,
    });
    this.#relays = new Relays({ config, members, gossip, agenda, emit, nextSeqNo });
    this.#reminders = new Reminders({ members, gossip, everyMs: config.probeTimeoutMs });
    this.#inbox = new Inbox(config.handoffQueueDepth);
    this.#nextSeqNo = nextSeqNo;
    members.announce(o.meta, now);
    if (o.known !== undefined) members.acquaint(o.known, now);
    // Nobody starts in step with the others.
    const stagger = (intervalMs: number): Millis => now + rng.below(Math.max(1, Math.floor(intervalMs)));
    if (config.probeIntervalMs > 0) agenda.add(stagger(config.probeIntervalMs), { kind: 'probe' });
    if (config.gossipIntervalMs > 0) agenda.add(stagger(config.gossipIntervalMs), { kind: 'gossip' });
    if (config.queueCheckIntervalMs > 0)
      agenda.add(now + config.queueCheckIntervalMs, { kind: 'queueCheck' });
    if (config.pushPullIntervalMs > 0)
      agenda.add(stagger(config.pushPullIntervalMs) + this.#pushPullIntervalMs(), { kind: 'pushPull' });
  }

  /** One turn. */
  step(event: Event, now: Millis): readonly Effect[] {
    switch (event.kind) {
      case 'message':
        this.#hear(event.message, event.from, now);
        break;
      case 'deadline':
        for (let due = this.#agenda.take(now); due !== undefined; due = this.#agenda.take(now))
          this.#expire(due, now);
        break;
      case 'probeSendFailed':
        this.#prober.sendFailed(event.seqNo, now);
        break;
      case 'tcpPingDone':
        this.#prober.tcpPingDone(event.seqNo, event.contacted);
        break;
      case 'remoteState':
        this.#merge(event.nodes, event.userState, event.join, now);
        break;
      case 'wake':
        break; // gossip looks for news after every turn
      case 'updateMeta':
        this.#announce(event.meta, event.ticket, now);
        break;
      case 'leave':
        this.#leave(event.ticket, now);
        break;
      case 'ping':
        this.#ping(event.to, event.ticket, now);
        break;
    }
    const gossipAt = this.#gossip.wakes(now);
    if (gossipAt !== undefined) this.#agenda.add(gossipAt, { kind: 'gossip' });
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** When the next `deadline` event is wanted. */
  deadline(): Millis | undefined {
    return this.#agenda.next;
  }

  // What follows only looks.

  get self(): Member {
    return show(this.#members.self);
  }

  get all(): readonly Member[] {
    return this.#members.list.map(show);
  }

  /** Without the dead and those who left. */
  get present(): readonly Member[] {
    return this.#members.list.filter((row) => !isGone(row)).map(show);
  }

  member(name: string): Member | undefined {
    const row = this.#members.get(name);
    return row && show(row);
  }

  /** Our half of a push/pull. */
  get nodes(): readonly NodeState[] {
    return localNodes(this.#members.list);
  }

  get size(): number {
    return this.#members.size;
  }

  get healthScore(): number {
    return this.#awareness.score;
  }

  get broadcastsQueued(): number {
    return this.#queue.length;
  }

  get inboxQueued(): number {
    return this.#inbox.size;
  }

  #hear(message: Message, from: HostPort, now: Millis): void {
    switch (message.kind) {
      case 'ping':
        this.#answer(message, from);
        return;
      case 'indirectPing':
        this.#relays.request(message, from, now);
        return;
      case 'ack':
        this.#acked(message.seqNo, message.payload, now);
        return;
      case 'nack':
        this.#prober.nack(message.seqNo);
        return;
      case 'alive':
      case 'suspect':
      case 'dead':
      case 'user':
        if (this.#inbox.size === 0) this.#agenda.add(now, { kind: 'inbox' });
        if (!this.#inbox.add(message))
          this.#effects.push({
            kind: 'dropped',
            code: 'inbox_full',
            detail: `${message.kind} from ${from.host}`,
          });
        return;
      case 'err':
        this.#effects.push({ kind: 'dropped', code: 'unexpected_message', detail: `err from ${from.host}` });
        return;
    }
  }

  #expire(due: Due, now: Millis): void {
    const { config } = this.#o;
    switch (due.kind) {
      case 'inbox':
        this.#handleInbox(now);
        return;
      case 'gossip':
        if (this.#gossip.rests(now)) return;
        this.#agenda.add(now + config.gossipIntervalMs, due);
        this.#gossip.round(now);
        return;
      case 'probe':
        this.#agenda.add(now + config.probeIntervalMs, due);
        this.#prober.tick(now);
        return;
      case 'probeTimeout':
        this.#prober.timeout(now);
        return;
      case 'probeEnd':
        this.#prober.end(now);
        return;
      case 'pushPull':
        this.#agenda.add(now + this.#pushPullIntervalMs(), due);
        this.#pushPull();
        return;
      case 'queueCheck':
        this.#agenda.add(now + config.queueCheckIntervalMs, due);
        this.#noteQueue();
        return;
      case 'suspicion':
        this.#members.suspicionOver(due.name, now);
        return;
      case 'relay':
        this.#relays.timeout(due.seqNo);
        return;
      case 'ping':
        this.#pong(due.seqNo, undefined);
        return;
    }
  }

  #handleInbox(now: Millis): void {
    for (const message of this.#inbox.drain()) {
      switch (message.kind) {
        case 'alive':
          // Port 0: protocol 1 had no port, everybody used the same.
          this.#members.alive(message.port === 0 ? { ...message, port: this.#o.port } : message, now);
          break;
        case 'suspect':
          this.#reminders.accused(message, now);
          this.#members.suspect(message, now);
          break;
        case 'dead':
          this.#reminders.accused(message, now);
          this.#members.dead(message, now);
          break;
        case 'user':
          this.#effects.push({ kind: 'userMessage', payload: message.payload });
          break;
      }
    }
  }

  #answer(ping: Ping, from: HostPort): void {
    const { name, policy } = this.#o;
    if (ping.node !== '' && ping.node !== name) {
      const detail = `ping for '${ping.node}' from '${ping.sourceNode ?? ''}' at ${from.host}`;
      this.#effects.push({ kind: 'dropped', code: 'ping_for_another', detail });
      return;
    }
    const payload = policy.ackPayload?.() ?? new Uint8Array(0);
    this.#gossip.piggyback(replyTo(ping, from), { kind: 'ack', seqNo: ping.seqNo, payload });
  }

  #acked(seqNo: number, payload: Uint8Array, now: Millis): void {
    if (this.#prober.ack(seqNo, payload, now) || this.#relays.ack(seqNo)) return;
    this.#pong(seqNo, now);
  }

  #ping(to: Address, ticket: Ticket, now: Millis): void {
    const seqNo = this.#nextSeqNo();
    const entry = this.#agenda.add(now + this.#o.config.probeTimeoutMs, { kind: 'ping', seqNo });
    this.#pings.set(seqNo, { ticket, sentAt: now, entry });
    this.#gossip.piggyback(to, { kind: 'ping', seqNo, node: to.name, ...this.#members.source });
  }

  /** An answer to one of our explicit pings, or the end of waiting for it. */
  #pong(seqNo: number, at: Millis | undefined): void {
    const ping = this.#pings.get(seqNo);
    if (ping === undefined) return;
    this.#pings.delete(seqNo);
    this.#agenda.cancel(ping.entry);
    const rttMs = at === undefined ? undefined : at - ping.sentAt;
    this.#effects.push({ kind: 'pong', ticket: ping.ticket, rttMs });
  }

  #merge(nodes: readonly NodeState[], userState: Uint8Array, join: boolean, now: Millis): void {
    const reason = incompatibility(nodes, this.#members.list);
    if (reason !== undefined) {
      this.#effects.push({ kind: 'refused', code: 'incompatible', reason });
      return;
    }
    const placed = nodes.map((node) => (node.port === 0 ? { ...node, port: this.#o.port } : node));
    if (join && this.#o.policy.refuseMerge !== undefined) {
      const refusal = this.#o.policy.refuseMerge(
        placed.map((node) => snapshot(node.name, node, stateNames[node.state])),
      );
      if (refusal !== undefined) {
        this.#effects.push({ kind: 'refused', code: 'refused', reason: refusal });
        return;
      }
    }
    this.#members.merge(placed, now);
    if (userState.length > 0) this.#effects.push({ kind: 'userState', state: userState, join });
  }

  #announce(meta: Uint8Array, ticket: Ticket, now: Millis): void {
    const settled = (): void => {
      this.#effects.push({ kind: 'settled', ticket });
    };
    if (this.#members.leaving) {
      settled(); // we say nothing about ourselves any more
      return;
    }
    const alone = !this.#members.anyOtherAlive();
    this.#members.announce(meta, now, alone ? undefined : settled);
    if (alone) settled();
  }

  #leave(ticket: Ticket, now: Millis): void {
    const settled = (): void => {
      this.#effects.push({ kind: 'settled', ticket });
    };
    const { name, incarnation } = this.#members.self;
    const already = this.#members.leaving && isGone(this.#members.self);
    this.#members.startLeaving();
    const alone = already || !this.#members.anyOtherAlive();
    if (!already)
      this.#members.dead(
        { kind: 'dead', incarnation, node: name, from: name },
        now,
        alone ? undefined : settled,
      );
    if (alone) settled();
  }

  #pushPull(): void {
    const self = this.#members.self;
    const [peer] = pickRandom(
      1,
      this.#members.list,
      this.#o.rng,
      (row) => row !== self && row.state === 'alive',
    );
    if (peer !== undefined) this.#effects.push({ kind: 'pushPull', to: addressOf(peer) });
  }

  #noteQueue(): void {
    const { length } = this.#queue;
    if (length === 0) return;
    const text = `${length} broadcasts are waiting to be told`;
    this.#effects.push({ kind: 'noted', level: 'debug', code: 'broadcasts_queued', text });
  }

  #pushPullIntervalMs(): number {
    return pushPullIntervalMs(this.#o.config.pushPullIntervalMs, this.#members.size);
  }
}
