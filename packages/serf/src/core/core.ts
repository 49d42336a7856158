/**
 * core.ts: everything a serf decides. One method per thing that can happen, each (state, event, now) -> effects.
 *
 * Same state, event, `now` and seed: same effects in the same order. The core asks for one `deadline()`; when it has
 * come, perhaps late, the shell calls `expire`. serf serf.go, delegate.go.
 * Lives here: who is told what, what travels on. Must not live here: sockets, timers, promises, files.
 */
import type { Member } from '@fed/memberlist';
import type { SerfConfig } from '../config.ts';
import { SerfError, WireError } from '../errors.ts';
import type { LogEvent, Millis, Rng } from '../ports.ts';
import { decodeMessage } from '../wire/decode.ts';
import { encodeMessage } from '../wire/encode.ts';
import type {
  JoinIntent,
  LamportTime,
  LeaveIntent,
  PushPull,
  Relay,
  UserEventMessage,
} from '../wire/message.ts';
import type { Tags } from '../wire/tags.ts';
import type { Destination, Effect } from './effects.ts';
import type { MemberEvent } from './events.ts';
import { Intents, nameCharsMax } from './intents.ts';
import { LamportClock, lamportTimeMax } from './lamport.ts';
import { Members, type Row, view } from './members.ts';
import { Queries, type Question } from './query-desk.ts';
import { Queues } from './queues.ts';
import { Schedule } from './schedule.ts';
import { UserEvents } from './user-events.ts';

export type Phase = 'alive' | 'leaving' | 'left' | 'closed';

export interface CoreOptions {
  readonly name: string;
  readonly tags: Tags;
  readonly config: SerfConfig;
  readonly retransmitMult: number;
  /** memberlist's: what one packet may take. */
  readonly udpBufferBytes: number;
  readonly rng: Rng;
  readonly now: Millis;
  /** Milliseconds a member that is gone is remembered; `defaultMs` unless it says otherwise. */
  readonly forgetAfterMs?: (row: Row, defaultMs: number) => number;
}

export class Core {
  readonly name: string;
  readonly clock: LamportClock = new LamportClock();
  readonly members: Members = new Members();
  readonly intents: Intents = new Intents();
  readonly userEvents: UserEvents;
  readonly queries: Queries;
  readonly queues: Queues;
  phase: Phase = 'alive';
  /** Joins under way that do not want to hear of earlier events. */
  ignoreOldJoins = 0;
  readonly #o: CoreOptions;
  readonly #schedule: Schedule;
  /** Members to be forgotten once their leaving has had time to spread. */
  readonly #prunes = new Map<string, Millis>();
  #effects: Effect[] = [];

  constructor(o: CoreOptions) {
    this.#o = o;
    this.name = o.name;
    const effect = (e: Effect): void => void this.#effects.push(e);
    this.userEvents = new UserEvents(o.config.eventBufferSlots);
    this.queues = new Queues({ ...o, members: () => this.members.size, effect });
    this.queries = new Queries({ ...o, members: this.members, effect });
    this.#schedule = new Schedule(o);
  }

  /** What a snapshot says of before: clocks go on where they were, and nothing from then is told again. */
  remember(o: {
    readonly clock: LamportTime;
    readonly eventClock: LamportTime;
    readonly queryClock: LamportTime;
  }): void {
    this.clock.witness(o.clock);
    this.userEvents.clock.witness(o.eventClock);
    this.userEvents.minTime = o.eventClock + 1n;
    this.queries.clock.witness(o.queryClock);
    this.queries.minTime = o.queryClock + 1n;
  }

  // ---- what memberlist reports ----

  memberJoined(m: Member): readonly Effect[] {
    const row = this.members.joined(m, this.intents.get(m.name));
    this.#prunes.delete(m.name);
    this.#tell('member-join', row);
    return this.#take();
  }

  /** `meant`: it said goodbye to memberlist, too. */
  memberLost(name: string, now: Millis, meant = false): readonly Effect[] {
    const row = this.members.lost(name, now, meant);
    if (row !== undefined) this.#tell(row.status === 'left' ? 'member-leave' : 'member-failed', row);
    const forgotten = this.members.oneTooMany();
    if (forgotten !== undefined) this.#reap(forgotten);
    return this.#take();
  }

  memberUpdated(m: Member): readonly Effect[] {
    const row = this.members.updated(m);
    if (row !== undefined) this.#tell('member-update', row);
    return this.#take();
  }

  /** A serf message of a peer. What cannot be read is dropped with a line in the log. */
  heard(bytes: Uint8Array, now: Millis): readonly Effect[] {
    try {
      if (this.#hear(bytes, now) === 'passOn') this.queues.passOn(bytes); // I2
    } catch (cause) {
      if (!(cause instanceof WireError)) throw cause;
      this.#log('warn', `message_${cause.code}`, `a message of a peer was dropped: ${cause.message}`, cause);
    }
    return this.#take();
  }

  /** What we add to a push/pull. serf delegate.go, LocalState. */
  localState(): Uint8Array {
    const statusLTimes = new Map<string, LamportTime>();
    for (const row of this.members.all()) statusLTimes.set(row.name, row.statusLTime);
    return encodeMessage({
      kind: 'pushPull',
      ltime: this.clock.time,
      statusLTimes,
      leftMembers: Array.from(this.members.left, (row) => row.name),
      eventLTime: this.userEvents.clock.time,
      events: this.userEvents.ring(),
      queryLTime: this.queries.clock.time,
    });
  }

  /** What the other side added. serf delegate.go, MergeRemoteState. */
  merge(state: Uint8Array, join: boolean, now: Millis): readonly Effect[] {
    if (state.length === 0) return []; // a memberlist without serf above it
    try {
      const m = decodeMessage(state);
      if (m.kind === 'pushPull') this.#merge(m, join, now);
      else this.#log('warn', 'merge_unexpected', `a push/pull brought a ${m.kind} message as state`);
    } catch (cause) {
      if (!(cause instanceof WireError)) throw cause;
      this.#log(
        'warn',
        `merge_${cause.code}`,
        `the state of a push/pull was dropped: ${cause.message}`,
        cause,
      );
    }
    return this.#take();
  }

  // ---- what the application wants ----

  /** A memberlist join worked: say that we are here. */
  announce(now: Millis): readonly Effect[] {
    this.#announce(now);
    return this.#take();
  }

  /** `node`, we or another, is to be taken for having left. `token` is announced when the others have been told. */
  leave(o: { node: string; prune: boolean; token: number }, now: Millis): readonly Effect[] {
    const intent: LeaveIntent = { kind: 'leave', ltime: this.clock.time, node: o.node, prune: o.prune };
    this.clock.increment();
    this.#leaveIntent(intent, now);
    if (this.hasCompany()) this.queues.say('intents', encodeMessage(intent), o.token);
    else this.#effects.push({ kind: 'broadcastDone', token: o.token });
    return this.#take();
  }

  /** Throws SerfError 'event_too_large'; nothing was sent then. serf serf.go, UserEvent. */
  userEvent(o: { name: string; payload: Uint8Array; coalesce: boolean }): readonly Effect[] {
    const bytesMax = this.#o.config.userEventBytesMax;
    const message: UserEventMessage = { kind: 'userEvent', ltime: this.userEvents.clock.time, ...o };
    const bytes = encodeMessage(message);
    const size = Math.max(Buffer.byteLength(o.name) + o.payload.length, bytes.length);
    if (size > bytesMax)
      throw new SerfError(
        'event_too_large',
        `event '${o.name}' takes ${size} bytes, at most ${bytesMax} are allowed`,
      );
    this.#userEvent(message);
    this.queues.say('events', bytes);
    return this.#take();
  }

  /** Throws SerfError: query_too_large, protocol_too_old. Answers come as effects bearing its `ltime`. */
  query(q: Question, now: Millis): { ltime: LamportTime; effects: readonly Effect[] } {
    const { message, bytes } = this.queries.ask(q, now);
    this.queries.hear(message, now);
    this.queues.say('queries', bytes);
    return { ltime: message.ltime, effects: this.#take() };
  }

  /** Throws SerfError: query_expired, query_answered, response_too_large. */
  respond(query: Parameters<Queries['respond']>[0], payload: Uint8Array, now: Millis): readonly Effect[] {
    this.queries.respond(query, payload, now);
    return this.#take();
  }

  setTags(tags: Tags): void {
    this.queries.tags = tags;
  }

  hasCompany(): boolean {
    for (const row of this.members.all()) if (row.status === 'alive' && row.name !== this.name) return true;
    return false;
  }

  // ---- time ----

  deadline(): Millis {
    let first = Math.min(this.#schedule.deadline(), this.queries.deadline());
    for (const when of this.#prunes.values()) first = Math.min(first, when);
    return first;
  }

  expire(now: Millis): readonly Effect[] {
    for (const [name, when] of this.#prunes) {
      if (now < when) continue;
      this.#prunes.delete(name);
      const row = this.members.get(name);
      if (row !== undefined && row.status !== 'alive') this.#reap(row);
    }
    this.queries.expire(now);
    for (const due of this.#schedule.due(now))
      if (due === 'reap') this.#reapAll(now);
      else if (due === 'reconnect') this.#reconnect();
      else this.queues.check();
    return this.#take();
  }

  // ---- decisions ----

  #hear(bytes: Uint8Array, now: Millis): 'passOn' | 'keep' {
    const m = decodeMessage(bytes);
    switch (m.kind) {
      case 'leave':
        return this.#isTooLong(m.node) ? 'keep' : this.#leaveIntent(m, now) ? 'passOn' : 'keep';
      case 'join':
        return this.#isTooLong(m.node) ? 'keep' : this.#joinIntent(m, now) ? 'passOn' : 'keep';
      case 'userEvent':
        return this.#userEvent(m) ? 'passOn' : 'keep';
      case 'query':
        return this.queries.hear(m, now) ? 'passOn' : 'keep';
      case 'queryResponse':
        if (!this.#isTooLong(m.from)) this.queries.answer(m, now);
        return 'keep';
      case 'relay':
        this.#relay(m);
        return 'keep';
      case 'pushPull':
      case 'conflictResponse':
      case 'keyRequest':
      case 'keyResponse':
        this.#log('warn', 'message_unexpected', `a ${m.kind} message came by itself and was dropped`);
        return 'keep';
    }
  }

  /** I5: no member has such a name; memberlist lets none in. */
  #isTooLong(name: string): boolean {
    if (name.length <= nameCharsMax) return false;
    this.#log('warn', 'name_too_long', `a message about '${name.slice(0, 64)}...' was dropped`);
    return true;
  }

  /** Whether to pass it on. serf serf.go, handleNodeLeaveIntent. */
  #leaveIntent(m: Omit<LeaveIntent, 'kind'>, now: Millis): boolean {
    this.clock.witness(m.ltime);
    const row = this.members.get(m.node);
    if (row === undefined) return this.intents.upsert(m.node, 'leave', m.ltime, now);
    if (m.ltime <= row.statusLTime) return false;
    if (m.node === this.name && this.phase === 'alive') {
      this.#log('debug', 'leave_refuted', 'somebody takes us for leaving; saying that we are here');
      this.#announce(now);
      return false;
    }
    if (this.members.leaveIntent(row, m.ltime)) this.#tell('member-leave', row);
    if (m.prune) {
      const { broadcastTimeoutMs, leavePropagateDelayMs } = this.#o.config;
      if (row.status === 'leaving')
        this.#prunes.set(row.name, now + broadcastTimeoutMs + leavePropagateDelayMs);
      else this.#reap(row);
    }
    return true;
  }

  /** Whether to pass it on. serf serf.go, handleNodeJoinIntent. */
  #joinIntent(m: Omit<JoinIntent, 'kind'>, now: Millis): boolean {
    this.clock.witness(m.ltime);
    const row = this.members.get(m.node);
    if (row === undefined) return this.intents.upsert(m.node, 'join', m.ltime, now);
    if (m.ltime <= row.statusLTime) return false;
    this.members.joinIntent(row, m.ltime);
    if (row.status === 'alive') this.#prunes.delete(row.name);
    return true;
  }

  /** Our own join intent, with the clock as it is. */
  #announce(now: Millis): void {
    const intent: JoinIntent = { kind: 'join', ltime: this.clock.time, node: this.name };
    this.#joinIntent(intent, now);
    this.queues.say('intents', encodeMessage(intent));
  }

  /** Whether to pass it on. */
  #userEvent(m: UserEventMessage): boolean {
    const heard = this.userEvents.hear(m);
    if (heard === 'too_old' || heard === 'full')
      this.#log('warn', `event_${heard}`, `user event '${m.name}' of time ${m.ltime} was dropped`);
    if (heard !== 'new') return false;
    const { ltime, name, coalesce } = m;
    const payload = m.payload ?? new Uint8Array(0);
    this.#effects.push({ kind: 'tell', event: { kind: 'user', ltime, name, payload, coalesce } });
    return true;
  }

  #relay(m: Relay): void {
    const to: Destination = { addr: m.addr ?? new Uint8Array(0), port: m.port, name: m.node };
    // I8: a relay inside a relay would let one packet bounce between members for ever; nobody sends one.
    if (m.inner.length > 0 && m.inner[0] !== 9) this.#effects.push({ kind: 'send', to, message: m.inner });
  }

  #merge(m: PushPull, join: boolean, now: Millis): void {
    // No message with these very times has been sent yet, hence one less.
    if (m.ltime > 0n) this.clock.witness(m.ltime - 1n);
    if (m.eventLTime > 0n) this.userEvents.clock.witness(m.eventLTime - 1n);
    if (m.queryLTime > 0n) this.queries.clock.witness(m.queryLTime - 1n);
    const left = new Set(m.leftMembers ?? []);
    for (const node of left) {
      if (this.#isTooLong(node)) continue;
      const status = m.statusLTimes?.get(node) ?? 0n;
      const ltime = status < lamportTimeMax ? status + 1n : status;
      this.#leaveIntent({ ltime, node, prune: false }, now);
    }
    for (const [node, ltime] of m.statusLTimes ?? [])
      if (!left.has(node) && !this.#isTooLong(node)) this.#joinIntent({ ltime, node }, now);
    if (join && this.ignoreOldJoins > 0 && m.eventLTime > this.userEvents.minTime)
      this.userEvents.minTime = m.eventLTime;
    for (const slot of m.events ?? [])
      for (const event of slot?.events ?? [])
        this.#userEvent({ kind: 'userEvent', ltime: slot?.ltime ?? 0n, coalesce: false, ...event });
  }

  #reapAll(now: Millis): void {
    const { reconnectTimeoutMs, tombstoneTimeoutMs, recentIntentTimeoutMs } = this.#o.config;
    const overdue = (row: Row, defaultMs: number): boolean =>
      now - (row.goneAt ?? now) > (this.#o.forgetAfterMs?.(row, defaultMs) ?? defaultMs);
    for (const row of this.members.failed) if (overdue(row, reconnectTimeoutMs)) this.#reap(row);
    for (const row of this.members.left) if (overdue(row, tombstoneTimeoutMs)) this.#reap(row);
    this.intents.reap(now, recentIntentTimeoutMs);
  }

  #reap(row: Row): void {
    this.members.erase(row);
    this.#prunes.delete(row.name);
    this.#tell('member-reap', row);
  }

  /** So rarely that each failed member is tried about once per interval by the whole pool. serf serf.go, reconnect. */
  #reconnect(): void {
    if (this.phase !== 'alive') return;
    const failed = this.members.failed.size;
    if (failed === 0) return;
    const alive = Math.max(1, this.members.size - failed - this.members.left.size);
    if (failed < alive && this.#o.rng.below(alive) >= failed) return;
    const [row] = this.members.random(1, this.#o.rng, (r) => r.status === 'failed');
    if (row === undefined) return;
    const { name, host, port } = row;
    this.#effects.push({ kind: 'reconnect', to: { name, host, port } });
  }

  #tell(kind: MemberEvent['kind'], row: Row): void {
    this.#effects.push({ kind: 'tell', event: { kind, members: [view(row)] } });
  }

  #log(level: LogEvent['level'], code: string, text: string, cause?: unknown): void {
    this.#effects.push({
      kind: 'log',
      entry: cause === undefined ? { level, code, text } : { level, code, text, cause },
    });
  }

  #take(): readonly Effect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }
}
