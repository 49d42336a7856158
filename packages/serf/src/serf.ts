/**
 * serf.ts: one serf, running.
 *
 * The shell around core/core.ts: what memberlist reports becomes a call of the core, effects become packets, joins and
 * calls of listeners, and one timer brings every deadline. Effects are carried out strictly in order, also when a
 * listener calls back.
 * Lives here: wiring, waiting callers. Must not live here: anything the protocol decides.
 */
import {
  type JoinResult,
  type Keyring,
  lan,
  type Memberlist,
  openMemberlist,
  systemClock,
  systemRng,
} from '@fed/memberlist';
import type { Keys, Query, QueryOptions, Serf, SerfOptions } from './api.ts';
import type { SerfConfig } from './config.ts';
import { CoordinateBook } from './core/coordinate-book.ts';
import { Core } from './core/core.ts';
import type { Effect } from './core/effects.ts';
import type { IncomingQuery, SerfEvent } from './core/events.ts';
import type { KeyOperation } from './core/keys.ts';
import { type SerfMember, view } from './core/members.ts';
import { internalPrefix } from './core/query-desk.ts';
import { addressText } from './core/snapshot.ts';
import { EffectQueue } from './effect-queue.ts';
import { SerfError } from './errors.ts';
import { hooksOf, memberlistOptions, sendDirect } from './hooks.ts';
import { answerKeys } from './key-answers.ts';
import { keyQueries } from './key-queries.ts';
import { NameDispute } from './name-dispute.ts';
import { filtersOf, OutgoingQueries, queryTimeoutMs } from './outgoing-query.ts';
import type { Clock, LogEvent, Millis, Rng } from './ports.ts';
import { type ReturningOptions, reconnect, rejoin } from './returning.ts';
import type { SnapshotFile } from './snapshot-file.ts';
import { statsOf } from './stats.ts';
import { Telling } from './telling.ts';
import { Waits } from './waits.ts';
import { Warnings } from './warnings.ts';
import type { Coordinate } from './wire/ack-payload.ts';
import { decodeTags, encodeTags, type Tags } from './wire/tags.ts';

export class RunningSerf implements Serf {
  readonly name: string;
  readonly keyring: Keyring | undefined;
  readonly keys: Keys;
  readonly closed: Promise<'closed' | 'name_conflict'>;
  readonly #o: SerfOptions;
  readonly #config: SerfConfig;
  readonly #clock: Clock;
  readonly #rng: Rng;
  readonly #core: Core;
  readonly #coordinates: CoordinateBook | undefined;
  readonly #snapshot: SnapshotFile | undefined;
  readonly #telling: Telling;
  readonly #waits: Waits;
  readonly #queries: OutgoingQueries;
  readonly #returning: ReturningOptions;
  readonly #effects: EffectQueue = new EffectQueue((e) => this.#do(e));
  readonly #dispute: NameDispute;
  readonly #warnings: Warnings = new Warnings();
  #keysAnswered: Promise<void> = Promise.resolve();
  #memberlist: Memberlist | undefined;
  #meta: Uint8Array;
  #alarm: { readonly at: Millis; readonly timer: Disposable } | undefined;
  #left: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #closedBecause: (why: 'closed' | 'name_conflict') => void;

  constructor(o: SerfOptions, config: SerfConfig, snapshot: SnapshotFile | undefined) {
    this.name = o.name;
    this.keyring = o.keyring;
    this.#o = o;
    this.#config = config;
    this.#clock = o.clock ?? systemClock;
    this.#rng = o.rng ?? systemRng;
    this.#snapshot = snapshot;
    this.#meta = encodeTags(o.tags, config.protocolVersion);
    this.#coordinates = config.coordinates ? new CoordinateBook(this.#rng) : undefined;
    this.#telling = new Telling({ config, snapshot, log: (e) => this.#log(e) });
    this.#waits = new Waits(this.#clock);
    this.#queries = new OutgoingQueries({
      stop: (ltime) => this.#core.queries.running.stop(ltime),
      guard: (call) => this.#telling.guard(call),
    });
    this.#returning = {
      memberlist: () => this.memberlist,
      signal: this.#waits.ended,
      rng: this.#rng,
      log: (e) => this.#log(e),
    };
    if (o.onEvent !== undefined) this.#telling.listen(o.onEvent);
    const { promise, resolve } = Promise.withResolvers<'closed' | 'name_conflict'>();
    this.closed = promise;
    this.#closedBecause = resolve;
    const forgetAfterMs = o.forgetAfterMs;
    this.#core = new Core({
      name: o.name,
      tags: o.tags,
      config,
      retransmitMult: o.memberlist?.retransmitMult ?? lan.retransmitMult,
      udpBufferBytes: o.memberlist?.udpBufferBytes ?? lan.udpBufferBytes,
      rng: this.#rng,
      now: this.#clock.now(),
      ...(forgetAfterMs && { forgetAfterMs: (row, defaultMs) => forgetAfterMs(view(row), defaultMs) }),
    });
    this.keys = keyQueries({
      query: (name, payload, options) => this.query(name, payload, options),
      members: () => this.memberlist.members().length,
    });
    this.#dispute = new NameDispute({
      name: o.name,
      resolve: config.nameConflictResolution,
      alive: () => this.#core.phase === 'alive',
      local: () => this.memberlist.local(),
      query: (name, payload) => this.query(name, payload),
      lost: () => {
        this.#closing ??= this.#close('name_conflict');
      },
      log: (e) => this.#log(e),
    });
    if (snapshot !== undefined) this.#core.remember(snapshot.found);
  }

  async start(): Promise<void> {
    const hooks = hooksOf({
      core: this.#core,
      coordinates: this.#coordinates,
      now: () => this.#clock.now(),
      meta: () => this.#meta,
      perform: (effects) => this.#perform(effects),
      told: (token) => this.#waits.done(token),
      conflict: (existing, other) => this.#dispute.claimed(existing, other),
      log: (e) => this.#log(e),
      onAnswer: this.#o.onAnswer,
      refuseMember: this.#o.refuseMember,
      validateNodeNames: this.#config.validateNodeNames,
    });
    this.#memberlist = await openMemberlist(memberlistOptions(this.#o, this.#config, hooks));
    this.#memberlist.wake(); // for what was queued while it was opened
    this.#setAlarm();
    const known = Array.from(this.#snapshot?.found.alive ?? [], ([name, address]) => `${name}/${address}`);
    const others = known.filter((target) => !target.startsWith(`${this.name}/`));
    void rejoin(others, this.#returning);
  }

  // ---- what the outside asks ----

  get memberlist(): Memberlist {
    if (this.#memberlist === undefined)
      throw new SerfError('not_alive', `serf '${this.name}' is not open yet`);
    return this.#memberlist;
  }

  members(): readonly SerfMember[] {
    return Array.from(this.#core.members.all(), view);
  }

  member(name: string): SerfMember | undefined {
    const row = this.#core.members.get(name);
    return row && view(row);
  }

  local(): SerfMember {
    const { name, host, port, addr, vsn } = this.memberlist.local();
    const tags = decodeTags(this.#meta);
    return this.member(this.name) ?? { name, host, port, addr, vsn, tags, status: 'alive' };
  }

  async join(
    targets: readonly string[],
    o: { readonly ignoreOld?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<JoinResult> {
    this.#mustBeAlive();
    if (o.ignoreOld) this.#core.ignoreOldJoins++;
    try {
      const result = await this.memberlist.join(targets, o.signal && { signal: o.signal });
      if (result.joined > 0) this.#perform(this.#core.announce(this.#clock.now()));
      return result;
    } finally {
      if (o.ignoreOld) this.#core.ignoreOldJoins--;
    }
  }

  sync(name: string, o?: { readonly signal?: AbortSignal }): Promise<void> {
    return this.memberlist.sync(name, o);
  }

  async setTags(tags: Tags): Promise<void> {
    this.#mustBeAlive();
    this.#meta = encodeTags(tags, this.#config.protocolVersion);
    this.#core.setTags(tags);
    await this.memberlist.updateMeta({ timeoutMs: this.#config.broadcastTimeoutMs });
  }

  leave(): Promise<void> {
    if (this.#core.phase === 'alive') this.#left = this.#leave();
    return this.#left ?? Promise.resolve();
  }

  async forceLeave(name: string, o: { readonly prune?: boolean } = {}): Promise<void> {
    this.#mustBeOpen();
    const told = await this.#tellLeave(name, o.prune ?? false);
    if (!told)
      throw new SerfError(
        'timeout',
        `that '${name}' is to leave was not told in time; it is still being told`,
      );
  }

  events(listener: (event: SerfEvent) => void): Disposable {
    return this.#telling.listen(listener);
  }

  userEvent(name: string, payload: Uint8Array, o: { readonly coalesce?: boolean } = {}): void {
    this.#mustBeOpen();
    this.#perform(this.#core.userEvent({ name, payload, coalesce: o.coalesce ?? false }));
  }

  query(name: string, payload: Uint8Array, o: QueryOptions = {}): Query {
    this.#mustBeOpen();
    const { addr, port } = this.memberlist.local();
    const timeoutMs = o.timeoutMs ?? this.defaultQueryTimeoutMs();
    const filters = filtersOf(o);
    const { ltime, effects } = this.#core.query(
      {
        name,
        payload,
        filters,
        ack: o.ack ?? false,
        relayFactor: o.relayFactor ?? 0,
        timeoutMs,
        reply: { addr, port, name: this.name },
      },
      this.#clock.now(),
    );
    const query = this.#queries.add({ ltime, timeoutMs, options: o });
    this.#perform(effects);
    return query;
  }

  defaultQueryTimeoutMs(): number {
    return queryTimeoutMs({
      gossipIntervalMs: this.#o.memberlist?.gossipIntervalMs ?? lan.gossipIntervalMs,
      queryTimeoutMult: this.#config.queryTimeoutMult,
      members: this.memberlist.members().length,
    });
  }

  coordinate(name: string = this.name): Coordinate | undefined {
    return name === this.name ? this.#coordinates?.here : this.#coordinates?.of(name);
  }

  stats(): Record<string, string> {
    return statsOf(this.#core, {
      healthScore: this.memberlist.healthScore(),
      encrypted: (this.keyring?.size ?? 0) > 0,
      coordinateResets: this.#coordinates?.resets,
    });
  }

  warnings(): Readonly<Record<string, number>> {
    return this.#warnings.counts();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close('closed');
    return this.#closing;
  }

  // ---- effects ----

  #perform(effects: readonly Effect[]): void {
    if (this.#core.phase === 'closed') return;
    if (!this.#effects.add(effects)) return;
    this.#telling.tick(this.#core.clock.time, this.#clock.now());
    if (this.#core.queues.length > 0) this.#memberlist?.wake();
    this.#setAlarm();
  }

  #do(e: Effect): void {
    switch (e.kind) {
      case 'tell':
        this.#tell(e.event);
        return;
      case 'asked':
        this.#asked(e.scope, e.query);
        return;
      case 'send':
        if (this.#memberlist !== undefined) sendDirect(this.#memberlist, e, (line) => this.#noted(line));
        return;
      case 'broadcastDone':
        this.#waits.done(e.token);
        return;
      case 'reconnect':
        void reconnect(`${e.to.name}/${addressText(e.to)}`, this.#returning);
        return;
      case 'acked':
        this.#queries.acked(e.ltime, e.from);
        return;
      case 'answered':
        this.#queries.answered(e.ltime, e.from, e.payload);
        return;
      case 'queryOver':
        this.#queries.over(e.ltime);
        return;
      case 'log':
        this.#noted(e.entry);
        return;
    }
  }

  #tell(event: SerfEvent): void {
    if (event.kind === 'member-reap') for (const m of event.members) this.#coordinates?.forget(m.name);
    this.#telling.tell(event, this.#core.clock.time, this.#clock.now());
  }

  #asked(scope: 'application' | 'keys' | 'internal', query: IncomingQuery): void {
    if (scope === 'application') {
      const respond = (payload: Uint8Array): void =>
        this.#perform(this.#core.respond(query, payload, this.#clock.now()));
      this.#tell({ kind: 'query', query, respond });
      return;
    }
    this.#telling.note(query.ltime, this.#clock.now());
    // One at a time: each changes the ring, then writes it to its file.
    if (scope === 'keys') this.#keysAnswered = this.#keysAnswered.then(() => this.#answerKeys(query));
  }

  async #answerKeys(query: IncomingQuery): Promise<void> {
    const operation = query.name.slice(internalPrefix.length) as KeyOperation;
    const payload = await answerKeys({
      operation,
      payload: query.payload,
      ring: this.keyring,
      keyringPath: this.#config.keyringPath,
      sizeOf: (bytes) => this.#core.queries.responseBytes(query, bytes),
      bytesMax: this.#config.queryResponseBytesMax,
    });
    try {
      if (payload !== undefined) this.#perform(this.#core.respond(query, payload, this.#clock.now()));
    } catch (cause) {
      const text = `a ${operation} query got no answer`;
      this.#log({ level: 'warn', code: 'keys_unanswered', text, cause });
    }
  }

  // ---- time ----

  #setAlarm(): void {
    const at = Math.min(this.#core.deadline(), this.#telling.deadline());
    if (this.#alarm?.at === at || this.#core.phase === 'closed') return;
    this.#alarm?.timer[Symbol.dispose]();
    this.#alarm =
      at === Number.POSITIVE_INFINITY ? undefined : { at, timer: this.#clock.at(at, () => this.#ring()) };
  }

  #ring(): void {
    this.#alarm = undefined;
    const now = this.#clock.now();
    this.#telling.expire(now);
    this.#perform(this.#core.expire(now));
  }

  // ---- longer stories ----

  async #leave(): Promise<void> {
    this.#core.phase = 'leaving';
    const noted = this.#snapshot?.leave();
    if (!(await this.#tellLeave(this.name, false)))
      this.#log({ level: 'warn', code: 'leave_untold', text: 'our leave intent was not told in time' });
    try {
      await this.memberlist.leave({ timeoutMs: this.#config.broadcastTimeoutMs });
    } catch (cause) {
      this.#log({ level: 'warn', code: 'leave_untold', text: 'our leaving was not told in time', cause });
    }
    await this.#waits.until(this.#clock.now() + this.#config.leavePropagateDelayMs);
    await noted;
    if (this.#core.phase === 'leaving') this.#core.phase = 'left';
  }

  /** Whether the others were told in time. */
  #tellLeave(node: string, prune: boolean): Promise<boolean> {
    return this.#waits.broadcast(this.#config.broadcastTimeoutMs, (token) =>
      this.#perform(this.#core.leave({ node, prune, token }, this.#clock.now())),
    );
  }

  async #close(why: 'closed' | 'name_conflict'): Promise<void> {
    this.#telling.flush();
    this.#core.phase = 'closed';
    this.#waits.end();
    this.#alarm?.timer[Symbol.dispose]();
    this.#alarm = undefined;
    this.#queries.end();
    await (this.#memberlist ?? this.#o.transport)[Symbol.asyncDispose]();
    await this.#snapshot?.[Symbol.asyncDispose]();
    this.#closedBecause(why);
  }

  #mustBeAlive(): void {
    if (this.#core.phase !== 'alive')
      throw new SerfError('not_alive', `serf '${this.name}' is ${this.#core.phase}: open a new one`);
  }

  /** Who is leaving may still speak; nobody would hear one who is closed. */
  #mustBeOpen(): void {
    if (this.#core.phase === 'closed') this.#mustBeAlive();
  }

  /** Warnings of the core are about what peers send, and how much that is, is theirs to decide. */
  #noted(entry: LogEvent): void {
    if (entry.level !== 'warn' || this.#warnings.add(entry.code)) this.#log(entry);
  }

  #log(entry: LogEvent): void {
    this.#o.log?.(entry);
  }
}
