/**
 * core.ts: one server's part in a log that etcd orders: who leads, what is applied, what a writer is told.
 *
 * Three things go on beside each other: the link (sync, then watch, again after every loss), the claim to lead (lease,
 * campaign, catching up, leading), and the writes. Safety never rests on time: whatever a leader writes, and whatever it
 * answers to a barrier, is decided by etcd comparing the leader key's revision, which is the term. Leases only decide how
 * soon somebody else takes over.
 * Lives here: the decisions. Must not live here: promises, timers, gRPC, bytes.
 */
import type { Entry } from '../wire/values.ts';
import { lastOf } from '../wire/values.ts';
import { Barriers } from './barriers.ts';
import { Backoff, type CoreConfig, leaseAskMs, lifeAskMs, silenceMs } from './config.ts';
import type { Effect, Event, Failure, Job, Seen } from './events.ts';
import { hasRunOut, Lease, ttlFor } from './lease.ts';
import { fail, Writes } from './writes.ts';

type Link =
  | { readonly kind: 'down'; readonly retryAt: number }
  | { readonly kind: 'syncing' }
  | { readonly kind: 'watching'; heardAt: number; askAt: number };

type Role =
  | { readonly kind: 'follower'; campaignAt: number }
  /** `over`: the term to be replaced; 0 when nobody leads. */
  | { readonly kind: 'granting'; readonly over: number }
  | {
      readonly kind: 'campaigning';
      readonly over: number;
      readonly lease: Lease;
      retryAt: number | undefined;
    }
  /** The key is ours, but not everything before it is applied here. */
  | { readonly kind: 'elect'; readonly lease: Lease; readonly term: number; readonly headIndex: number }
  | { readonly kind: 'leader'; readonly lease: Lease; readonly term: number };

export class Core {
  readonly #config: CoreConfig;
  readonly #writes: Writes;
  readonly #barriers: Barriers;
  #link: Link = { kind: 'down', retryAt: Number.POSITIVE_INFINITY };
  #role: Role = { kind: 'follower', campaignAt: 0 };
  /** Only answers to the latest count. */
  #run = 0;
  #watch = 0;
  readonly #linkBackoff = new Backoff();
  readonly #claimBackoff = new Backoff();
  #applied = 0;
  /** When etcd was last heard of. */
  #heardAt = 0;
  /** Mod revision of the head key, while we lead. */
  #headRevision = 0;
  #leader: Seen | undefined;
  #leaderSeenAt = 0;
  /** A lease of ours that etcd may still take for held. */
  #givenUp: { readonly lease: number; retryAt: number | undefined; readonly backoff: Backoff } | undefined;
  /** When to look at its lease. */
  #leaseAskAt = 0;
  #lastTerm = 0;
  #told = '';
  #opened = false;
  #halted: string | undefined;
  /** Who waits for us to hand over; nothing new is taken meanwhile. */
  #resigning: number[] = [];
  /** Having handed over, the others go first until then. */
  #standBackUntil = 0;
  #closing: 'no' | 'asked' | 'done' = 'no';
  #refusing: Failure['code'] | undefined;
  #snapshotIndex = 0;
  #snapshotBytes = 0;
  /** Of entries since the last snapshot. */
  #logBytes = 0;
  #compactAt: number;
  #snapshotting: { readonly index: number; readonly logBytes: number; readonly ids: number[] } | undefined;
  /** Who wants one of a later index than the one being written. */
  #snapshotNext: number[] = [];
  #appended = 0;
  #batches = 0;

  constructor(config: CoreConfig) {
    this.#config = config;
    this.#writes = new Writes(config);
    this.#barriers = new Barriers(config.writeTimeoutMs);
    this.#compactAt = config.compactAfterBytes;
  }

  /** One turn. Same state, event and `now`: same effects, in the same order. */
  step(event: Event, now: number): readonly Effect[] {
    if (this.#closing === 'done') return [];
    const effects: Effect[] = [];
    // However late we are woken: a claim that has run out is given up before anything else is thought about.
    if (this.#lease !== undefined && now >= this.#lease.until) effects.push(...this.#stepDown(now));
    effects.push(...this.#answer(event, now));
    effects.push(...this.#pump(now));
    const leadership = JSON.stringify(this.leadership(now));
    if (leadership !== this.#told) {
      this.#told = leadership;
      effects.push({ kind: 'leadership' });
    }
    return effects;
  }

  /** When to be woken with `deadline`; infinite for never. */
  deadline(): number {
    if (this.#closing === 'done' || this.#halted !== undefined) return Number.POSITIVE_INFINITY;
    const at = [this.#writes.deadline(), this.#barriers.deadline()];
    if (this.#givenUp?.retryAt !== undefined) at.push(this.#givenUp.retryAt);
    if (this.#link.kind === 'down') at.push(this.#link.retryAt);
    if (this.#link.kind === 'watching') at.push(this.#link.askAt, this.#link.heardAt + silenceMs);
    if (this.#lease !== undefined)
      at.push(this.#lease.until, this.#lease.renewAt ?? Number.POSITIVE_INFINITY);
    if (this.#role.kind === 'follower' && this.#mayCampaign(Number.POSITIVE_INFINITY))
      at.push(
        this.#leader === undefined ? Math.max(this.#role.campaignAt, this.#standBackUntil) : this.#leaseAskAt,
      );
    if (this.#role.kind === 'campaigning') at.push(this.#role.retryAt ?? Number.POSITIVE_INFINITY);
    if (this.#role.kind === 'leader') at.push(this.#writes.inFlight?.retryAt ?? Number.POSITIVE_INFINITY);
    return Math.min(...at);
  }

  lastContactMs(now: number): number | undefined {
    if (this.leadership(now).leader) return 0;
    return this.#lastTerm === 0 ? undefined : now - this.#heardAt;
  }

  leadership(now: number): { leader: boolean; term: number; leaderAddress?: string } {
    if (this.#role.kind === 'leader' && now < this.#role.lease.until)
      return { leader: true, term: this.#role.term, leaderAddress: this.#config.address };
    const other = this.#otherLeader();
    return {
      leader: false,
      term: this.#lastTerm,
      ...(other === undefined ? {} : { leaderAddress: other.address }),
    };
  }

  stats(): {
    lastIndex: number;
    snapshotIndex: number;
    logBytes: number;
    appended: number;
    batches: number;
    refusing: string | undefined;
  } {
    return {
      lastIndex: this.#applied,
      snapshotIndex: this.#snapshotIndex,
      logBytes: this.#logBytes,
      appended: this.#appended,
      batches: this.#batches,
      refusing:
        this.#halted !== undefined
          ? 'log_halted'
          : this.#role.kind !== 'leader'
            ? 'log_not_leader'
            : this.#refusing === undefined
              ? undefined
              : refusal[this.#refusing],
    };
  }

  get #lease(): Lease | undefined {
    return 'lease' in this.#role ? this.#role.lease : undefined;
  }

  /** Who leads, if it is not us: a key of ours that we gave up is nobody's. */
  #otherLeader(): Seen | undefined {
    return this.#leader?.address === this.#config.address ? undefined : this.#leader;
  }

  #answer(event: Event, now: number): readonly Effect[] {
    switch (
      event.kind // no default: a new kind must not compile until it is answered here
    ) {
      case 'start':
        return this.#sync();
      case 'append':
        return this.#append(event.job, now);
      case 'barrier':
        if (this.#unableToLead()) return [fail(event.id, ...this.#unableToLead()!)];
        this.#barriers.add(event.id, now);
        return [];
      case 'barrierAborted':
        this.#barriers.abort(event.id);
        return [];
      case 'compact':
        return this.#compact(event.id);
      case 'resign':
        return this.#resign(event.id);
      case 'deadline':
        return this.#expire(now);
      case 'halted':
        return this.#halt(
          'the state machine failed at a command, a bug; nothing after it is applied until a restart',
          now,
        );
      case 'close':
        return this.#close();
      case 'snapshotRead':
        if (event.run !== this.#run) return [];
        if (event.index <= this.#applied || this.#halted !== undefined) return [];
        this.#applied = event.index;
        this.#snapshotIndex = event.index;
        this.#snapshotBytes = event.bytes;
        this.#logBytes = 0;
        return [{ kind: 'restore', index: event.index }, ...this.#barriers.applied(this.#applied)];
      case 'entry':
        return this.#entry(event, now);
      case 'synced':
        return event.run === this.#run && this.#link.kind === 'syncing' ? this.#synced(event, now) : [];
      case 'syncFailed':
        if (event.run !== this.#run || this.#link.kind !== 'syncing') return [];
        return this.#linkLost(event.failure, now);
      case 'heard':
        if (this.#link.kind === 'watching' && event.watch === this.#watch) {
          this.#link.heardAt = now;
          this.#heardAt = now;
          this.#linkBackoff.reset();
        }
        return [];
      case 'leader':
        return this.#heardLeader(event.leader, event.revision, now);
      case 'watchLost':
        return event.watch === this.#watch && this.#link.kind === 'watching'
          ? this.#linkLost(event.failure, now)
          : [];
      case 'leaseSeen':
        return this.#leaseSeen(event, now);
      case 'granted':
        return this.#granted(event);
      case 'grantFailed':
        if (this.#role.kind === 'granting')
          this.#role = { kind: 'follower', campaignAt: this.#claimBackoff.after(now) };
        return [];
      case 'won':
        return this.#won(event, now);
      case 'lost':
        if (this.#role.kind !== 'campaigning' || this.#role.lease.id !== event.lease) return [];
        return [...this.#stepDown(now), ...this.#heardLeader(event.leader, event.revision, now)];
      case 'campaignFailed':
        if (this.#role.kind !== 'campaigning' || this.#role.lease.id !== event.lease) return [];
        if (event.failure.code === 'corrupt') return this.#halt(event.failure.detail, now);
        if (event.failure.code === 'gone') return this.#stepDown(now);
        this.#role.retryAt = this.#claimBackoff.after(now);
        return [];
      case 'keptAlive':
        if (this.#lease?.id === event.lease) this.#lease.renewed(event);
        return [];
      case 'keepAliveFailed':
        if (this.#lease?.id !== event.lease) return [];
        if (event.failure.code === 'gone') return this.#stepDown(now);
        this.#lease.renewAt = now + keepAliveAgainMs;
        return [];
      case 'revoked':
        if (this.#givenUp?.lease === event.lease) this.#givenUp = undefined;
        return [];
      case 'revokeFailed':
        if (this.#givenUp?.lease !== event.lease) return [];
        if (event.failure.sure) this.#givenUp = undefined;
        else this.#givenUp.retryAt = this.#givenUp.backoff.after(now);
        return [];
      case 'committed':
        return this.#writes.inFlight?.entry.id === event.id ? this.#committed(event.revision) : [];
      case 'conflict':
        return this.#writes.inFlight?.entry.id === event.id && this.#role.kind === 'leader'
          ? this.#stepDown(now)
          : [];
      case 'commitFailed':
        return this.#commitFailed(event.id, event.failure, now);
      case 'barrierRead':
        return this.#barrierRead(event.term, event.headIndex, now);
      case 'barrierFailed':
        this.#barriers.unanswered(now);
        return [];
      case 'snapshotTaken':
        return this.#snapshotTaken(event.index, event.bytes);
      case 'snapshotFailed':
        return this.#snapshotFailed(event.failure);
    }
  }

  // ---- the link ----

  #sync(): readonly Effect[] {
    const effects: Effect[] = this.#link.kind === 'watching' ? [{ kind: 'unwatch', suspect: false }] : [];
    this.#link = { kind: 'syncing' };
    return [
      ...effects,
      { kind: 'sync', run: ++this.#run, after: this.#applied, timeoutMs: this.#linkBackoff.patienceMs },
    ];
  }

  #synced(event: Extract<Event, { kind: 'synced' }>, now: number): readonly Effect[] {
    if (event.head.index !== this.#applied && !(event.head.index < this.#applied && this.#ahead(event)))
      return this.#halt(
        `the log in etcd ends at ${event.head.index}, but ${this.#applied} was applied here; was etcd replaced or restored? Restart this server to take its state`,
        now,
      );
    this.#link = { kind: 'watching', heardAt: now, askAt: now + lifeAskMs };
    this.#heardAt = now;
    const effects: Effect[] = [{ kind: 'watch', watch: ++this.#watch, from: event.revision + 1 }];
    effects.push({ kind: this.#opened ? 'resynced' : 'opened' });
    this.#opened = true;
    effects.push(...this.#heardLeader(event.leader, event.revision, now));
    return [...effects, ...this.#resolve(event, now)];
  }

  /** Our own commits may be newer than what a sync of ours has read. */
  #ahead(event: { readonly revision: number }): boolean {
    return this.#headRevision > event.revision;
  }

  /** An entry that was on its way when we lost the lead: after a sync it is in the log, or never will be, or we must ask again. */
  #resolve(event: Extract<Event, { kind: 'synced' }>, now: number): readonly Effect[] {
    const { inFlight } = this.#writes;
    if (inFlight === undefined || this.#role.kind === 'leader') return [];
    if (event.head.id === inFlight.entry.id) return this.#foundInSnapshot(inFlight.entry);
    // While the key of that term stands, an attempt may still get through.
    if (event.leader?.term === inFlight.term) {
      this.#link = { kind: 'down', retryAt: this.#linkBackoff.after(now) };
      return [{ kind: 'unwatch', suspect: false }];
    }
    const [code, detail] =
      event.snapshotIndex >= inFlight.entry.first
        ? (['log_outcome_unknown', 'a snapshot has taken the place where the command would stand'] as const)
        : (['log_not_leader', 'the lead was lost before the command was written; it never will be'] as const);
    return failAll(this.#writes.settle(), code, detail);
  }

  #foundInSnapshot(entry: Entry): readonly Effect[] {
    const jobs = this.#writes.settle();
    if (entry.install)
      return jobs.flatMap((id) => (id === undefined ? [] : [{ kind: 'done', id, index: entry.first }]));
    return failAll(jobs, 'log_outcome_unknown', 'the command was written, but its result is not known here');
  }

  #linkLost(failure: Failure, now: number): readonly Effect[] {
    if (failure.code === 'corrupt') return this.#halt(failure.detail, now);
    const watching = this.#link.kind === 'watching';
    this.#link = { kind: 'down', retryAt: this.#linkBackoff.after(now) };
    return [
      ...(watching ? ([{ kind: 'unwatch', suspect: false }] as const) : []),
      { kind: 'linkLost', failure },
    ];
  }

  #entry({ entry, bytes, revision }: Extract<Event, { kind: 'entry' }>, now: number): readonly Effect[] {
    if (lastOf(entry) <= this.#applied || this.#halted !== undefined) return [];
    if (entry.install) return this.#link.kind === 'watching' ? this.#sync() : [];
    if (entry.first !== this.#applied + 1) {
      if (this.#link.kind === 'watching') return this.#sync();
      return this.#halt(
        `the entry after ${this.#applied} is missing in etcd; the next begins at ${entry.first}`,
        now,
      );
    }
    // Our own, heard of before the answer to it has come: the head was written in the same transaction.
    const ours = this.#writes.inFlight?.entry.id === entry.id;
    if (ours) this.#headRevision = revision;
    return this.#applyEntry(entry, bytes, ours ? this.#writes.settle() : []);
  }

  #applyEntry(entry: Entry, bytes: number, jobs: readonly (number | undefined)[]): readonly Effect[] {
    this.#applied = lastOf(entry);
    this.#logBytes += bytes;
    this.#leadIfCaughtUp();
    return [{ kind: 'apply', entry, jobs }, ...this.#barriers.applied(this.#applied)];
  }

  // ---- the claim to lead ----

  #mayCampaign(now: number): boolean {
    return (
      this.#link.kind === 'watching' &&
      this.#writes.inFlight === undefined &&
      this.#closing === 'no' &&
      now >= this.#standBackUntil &&
      this.#halted === undefined
    );
  }

  #claim(over: number): Effect {
    this.#role = { kind: 'granting', over };
    return { kind: 'grant', ttlMs: ttlFor(this.#config.leaseMs), timeoutMs: this.#claimBackoff.patienceMs };
  }

  /** The leader has not been heard of by etcd for a claim's time: whoever comes first takes its place. */
  #leaseSeen(event: Extract<Event, { kind: 'leaseSeen' }>, now: number): readonly Effect[] {
    if (this.#role.kind !== 'follower' || this.#leader?.lease !== event.lease) return [];
    if (!this.#mayCampaign(now) || !hasRunOut(event, this.#config.leaseMs)) return [];
    return [this.#claim(this.#leader.term)];
  }

  #heardLeader(leader: Seen | undefined, revision: number, now: number): readonly Effect[] {
    if (revision < this.#leaderSeenAt) return [];
    this.#leaderSeenAt = revision;
    this.#leader = leader;
    this.#lastTerm = Math.max(this.#lastTerm, leader?.term ?? 0);
    const term = 'term' in this.#role ? this.#role.term : undefined;
    // What is older than our own term says nothing about it.
    if (term !== undefined && revision > term && leader?.term !== term) return this.#stepDown(now);
    if (this.#role.kind === 'follower') {
      this.#claimBackoff.reset();
      this.#role.campaignAt = Math.min(this.#role.campaignAt, now);
    }
    return [];
  }

  #granted(event: Extract<Event, { kind: 'granted' }>): readonly Effect[] {
    if (this.#role.kind !== 'granting') return [this.#giveUp(event.lease)];
    const { lease: id, ttlMs, askedAt } = event;
    const lease = new Lease({ id, claimMs: this.#config.leaseMs, ttlMs, askedAt });
    const { over } = this.#role;
    this.#role = { kind: 'campaigning', over, lease, retryAt: undefined };
    return [{ kind: 'campaign', lease: id, over, timeoutMs: this.#claimBackoff.patienceMs }];
  }

  #won(event: Extract<Event, { kind: 'won' }>, now: number): readonly Effect[] {
    if (this.#role.kind !== 'campaigning' || this.#role.lease.id !== event.lease) return [];
    const { lease } = this.#role;
    this.#claimBackoff.reset();
    this.#role = { kind: 'elect', lease, term: event.term, headIndex: event.head.index };
    this.#headRevision = event.head.revision;
    this.#leader = { term: event.term, address: this.#config.address, lease: event.lease };
    this.#leaderSeenAt = Math.max(this.#leaderSeenAt, event.term);
    this.#lastTerm = Math.max(this.#lastTerm, event.term);
    if (event.head.index < this.#applied)
      return this.#halt(
        `the log in etcd ends at ${event.head.index}, but ${this.#applied} was applied here`,
        now,
      );
    this.#leadIfCaughtUp();
    return [];
  }

  /** Elected, and everything before our term is applied: now we lead. */
  #leadIfCaughtUp(): void {
    if (this.#role.kind !== 'elect' || this.#applied < this.#role.headIndex) return;
    const { lease, term } = this.#role;
    this.#role = { kind: 'leader', lease, term };
  }

  /** Gives up whatever claim there is. Nothing that waits was sent; what is on its way is found out about by a sync. */
  #stepDown(now: number): readonly Effect[] {
    const lease = this.#lease;
    if (lease === undefined) return [];
    this.#role = { kind: 'follower', campaignAt: this.#claimBackoff.after(now) };
    const detail = 'this server does not lead any more';
    const effects: Effect[] = [
      this.#giveUp(lease.id),
      ...this.#writes.refuse('log_not_leader', detail),
      ...this.#barriers.refuse('log_not_leader', detail),
      ...failAll(this.#snapshotNext.splice(0), 'log_not_leader', detail),
    ];
    if (this.#writes.inFlight !== undefined && this.#link.kind === 'watching') effects.push(...this.#sync());
    return effects;
  }

  #resign(id: number): readonly Effect[] {
    if (this.#role.kind !== 'leader') return [{ kind: 'done', id, index: this.#applied }];
    this.#resigning.push(id);
    return this.#writes.refuse('log_not_leader', 'this server is handing over the lead');
  }

  #handOver(now: number): readonly Effect[] {
    const ids = this.#resigning;
    this.#resigning = [];
    this.#standBackUntil = now + standBackMs;
    return [
      ...this.#stepDown(now),
      ...ids.map((id) => ({ kind: 'done', id, index: this.#applied }) as const),
    ];
  }

  #unableToLead(): readonly [Extract<Effect, { kind: 'fail' }>['code'], string] | undefined {
    if (this.#closing !== 'no') return ['log_closed', 'the log is closed'];
    if (this.#halted !== undefined) return ['log_halted', this.#halted];
    if (this.#resigning.length > 0) return ['log_not_leader', 'this server is handing over the lead'];
    if (this.#role.kind === 'leader') return undefined;
    const other = this.#otherLeader();
    return ['log_not_leader', other === undefined ? 'no server leads' : `the leader is at ${other.address}`];
  }

  /** Until etcd has heard that a claim is given up, nobody takes its place: so it is told again, for a while. */
  #giveUp(lease: number): Effect {
    this.#givenUp = { lease, retryAt: undefined, backoff: new Backoff() };
    return { kind: 'revoke', lease, timeoutMs: this.#givenUp.backoff.patienceMs };
  }

  // ---- writes and barriers ----

  #append(job: Job, now: number): readonly Effect[] {
    const unable = this.#unableToLead();
    if (unable !== undefined) return [fail(job.id, ...unable)];
    const term = job.kind === 'command' ? job.term : undefined;
    if (term !== undefined && this.#role.kind === 'leader' && term !== this.#role.term)
      return [fail(job.id, 'log_not_leader', `term ${term} is over`)];
    return this.#writes.add(job, now);
  }

  /** Sends what may be sent now. */
  #pump(now: number): readonly Effect[] {
    const effects: Effect[] = [];
    if (
      this.#role.kind === 'follower' &&
      this.#leader === undefined &&
      this.#mayCampaign(now) &&
      now >= this.#role.campaignAt
    ) {
      effects.push(this.#claim(0));
    }
    if (this.#resigning.length > 0 && (this.#role.kind !== 'leader' || !this.#writes.awaited))
      effects.push(...this.#handOver(now));
    if (this.#role.kind === 'leader') {
      const { term } = this.#role;
      const next = this.#writes.next({ applied: this.#applied, term, headRevision: this.#headRevision });
      if (next !== undefined) effects.push(this.#commit());
      if (this.#barriers.ask(now))
        effects.push({ kind: 'readBarrier', term, timeoutMs: this.#barriers.patienceMs });
      const due = this.#logBytes >= this.#compactAt || this.#snapshotNext.length > 0;
      if (due && this.#snapshotting === undefined)
        effects.push(...this.#takeSnapshot(this.#snapshotNext.splice(0)));
    }
    if (this.#closing === 'asked' && !this.#writes.awaited) {
      const lease = this.#lease;
      this.#closing = 'done';
      if (lease !== undefined) effects.push(this.#giveUp(lease.id));
      effects.push({ kind: 'unwatch', suspect: false }, { kind: 'closed' });
    }
    return effects;
  }

  #commit(): Effect {
    const { entry, term, headRevision, records, backoff } = this.#writes.inFlight!;
    const { patienceMs: timeoutMs } = backoff;
    return { kind: 'commit', entry, term, headRevision, install: records, timeoutMs };
  }

  #committed(revision: number): readonly Effect[] {
    const { entry, records } = this.#writes.inFlight!;
    this.#headRevision = revision;
    this.#refusing = undefined;
    this.#batches++;
    const jobs = this.#writes.settle();
    if (records !== undefined) {
      this.#applied = entry.first;
      this.#snapshotIndex = entry.first;
      this.#logBytes = 0;
      return [
        { kind: 'applyInstall', index: entry.first, records, job: jobs[0] },
        ...this.#barriers.applied(this.#applied),
      ];
    }
    this.#appended += jobs.length;
    const bytes = entry.commands.reduce((sum, command) => sum + command.length, 0);
    return this.#applyEntry(entry, bytes, jobs);
  }

  #commitFailed(id: string, failure: Failure, now: number): readonly Effect[] {
    const { inFlight } = this.#writes;
    if (inFlight?.entry.id !== id || this.#role.kind !== 'leader') return [];
    if (failure.sure && !inFlight.doubtful) {
      this.#refusing = failure.code;
      return failAll(this.#writes.settle(), refusal[failure.code], failure.detail);
    }
    inFlight.doubtful ||= !failure.sure;
    inFlight.retryAt = inFlight.backoff.after(now);
    return [];
  }

  #barrierRead(term: number, headIndex: number | undefined, now: number): readonly Effect[] {
    if (this.#role.kind !== 'leader' || this.#role.term !== term) {
      this.#barriers.unanswered(now);
      return [];
    }
    if (headIndex !== undefined) return this.#barriers.answered(headIndex, this.#applied);
    this.#barriers.unanswered(now);
    return this.#stepDown(now);
  }

  // ---- snapshots ----

  #compact(id: number): readonly Effect[] {
    if (this.#unableToLead()) return [fail(id, ...this.#unableToLead()!)];
    if (this.#snapshotting !== undefined) {
      const { index, ids } = this.#snapshotting;
      (index === this.#applied ? ids : this.#snapshotNext).push(id);
      return [];
    }
    return this.#snapshotIndex === this.#applied
      ? [{ kind: 'done', id, index: this.#applied }]
      : this.#takeSnapshot([id]);
  }

  #takeSnapshot(ids: number[]): readonly Effect[] {
    if (this.#role.kind !== 'leader') return [];
    this.#snapshotting = { index: this.#applied, logBytes: this.#logBytes, ids };
    return [{ kind: 'takeSnapshot', index: this.#applied, term: this.#role.term }];
  }

  #snapshotTaken(index: number, bytes: number): readonly Effect[] {
    const taken = this.#snapshotting;
    if (taken === undefined) return [];
    this.#snapshotting = undefined;
    this.#snapshotIndex = Math.max(this.#snapshotIndex, index);
    this.#snapshotBytes = bytes;
    this.#logBytes = Math.max(0, this.#logBytes - taken.logBytes);
    this.#compactAt = Math.max(this.#config.compactAfterBytes, this.#snapshotBytes);
    return taken.ids.map((id) => ({ kind: 'done', id, index }));
  }

  #snapshotFailed(failure: Failure): readonly Effect[] {
    const failed = this.#snapshotting;
    this.#snapshotting = undefined;
    this.#compactAt = this.#logBytes + Math.max(this.#config.compactAfterBytes, this.#snapshotBytes);
    return failAll(failed?.ids ?? [], refusal[failure.code], failure.detail);
  }

  // ---- time and endings ----

  #expire(now: number): readonly Effect[] {
    const effects: Effect[] = [...this.#writes.expire(now), ...this.#barriers.expire(now)];
    if (this.#link.kind === 'down' && now >= this.#link.retryAt) effects.push(...this.#sync());
    if (this.#link.kind === 'watching') effects.push(...this.#lifeOfLink(now));
    if (this.#role.kind === 'follower' && this.#leader !== undefined && now >= this.#leaseAskAt) {
      this.#leaseAskAt = now + leaseAskMs;
      if (this.#mayCampaign(now))
        effects.push({ kind: 'askLease', lease: this.#leader.lease, timeoutMs: leasePatienceMs });
    }
    const { lease: given, retryAt: giveAt, backoff: giving } = this.#givenUp ?? {};
    if (given !== undefined && giveAt !== undefined && now >= giveAt) {
      this.#givenUp!.retryAt = undefined;
      effects.push({ kind: 'revoke', lease: given, timeoutMs: giving!.patienceMs });
    }
    const lease = this.#lease;
    if (lease?.renewAt !== undefined && now >= lease.renewAt) {
      lease.renewAt = undefined;
      effects.push({ kind: 'keepAlive', lease: lease.id, timeoutMs: lease.patienceMs });
    }
    if (this.#role.kind === 'campaigning' && this.#role.retryAt !== undefined && now >= this.#role.retryAt) {
      this.#role.retryAt = undefined;
      const { lease: own, over } = this.#role;
      effects.push({ kind: 'campaign', lease: own.id, over, timeoutMs: this.#claimBackoff.patienceMs });
    }
    const { inFlight } = this.#writes;
    if (this.#role.kind === 'leader' && inFlight?.retryAt !== undefined && now >= inFlight.retryAt) {
      inFlight.retryAt = undefined;
      effects.push(this.#commit());
    }
    return effects;
  }

  #lifeOfLink(now: number): readonly Effect[] {
    if (this.#link.kind !== 'watching') return [];
    if (now >= this.#link.heardAt + silenceMs) {
      const detail = `nothing was heard for ${silenceMs} ms`;
      this.#link = { kind: 'down', retryAt: this.#linkBackoff.after(now) };
      return [
        { kind: 'unwatch', suspect: true },
        { kind: 'linkLost', failure: { code: 'unavailable', sure: true, detail } },
      ];
    }
    if (now < this.#link.askAt) return [];
    this.#link.askAt = now + lifeAskMs;
    return [{ kind: 'askLife' }];
  }

  #halt(detail: string, now: number): readonly Effect[] {
    if (this.#halted !== undefined) return [];
    this.#halted = detail;
    this.#run++;
    const effects: Effect[] = [{ kind: 'unwatch', suspect: false }, ...this.#stepDown(now)];
    this.#link = { kind: 'down', retryAt: Number.POSITIVE_INFINITY };
    this.#leader = undefined;
    return [
      ...effects.filter(({ kind }) => kind !== 'sync'),
      ...failAll(this.#writes.settle(), 'log_outcome_unknown', detail),
      ...failAll(this.#snapshotting?.ids ?? [], 'log_halted', detail),
      { kind: 'halt', detail },
    ];
  }

  /** What is on its way is waited for, at most until its writers have been told that they will not know. */
  #close(): readonly Effect[] {
    if (this.#closing !== 'no') return [];
    this.#closing = 'asked';
    const detail = 'the log is closed';
    return [
      ...this.#writes.refuse('log_closed', detail),
      ...this.#barriers.refuse('log_closed', detail),
      ...failAll(
        [...(this.#snapshotting?.ids.splice(0) ?? []), ...this.#snapshotNext.splice(0)],
        'log_closed',
        detail,
      ),
    ];
  }
}

/** How long who has handed over lets the others go first, in ms: they need one transaction. */
const standBackMs = 1_000;

/** Patience with an answer about a lease, in ms: the next question follows soon anyway. */
const leasePatienceMs = 1_000;

/** Between two tries to renew a lease, in ms: there is little time. */
const keepAliveAgainMs = 50;

/** What a writer is told when a call has surely failed. */
const refusal = {
  unavailable: 'log_unavailable',
  gone: 'log_unavailable',
  compacted: 'log_unavailable',
  full: 'log_disk_full',
  denied: 'log_denied',
  rejected: 'log_denied',
  corrupt: 'log_corrupt',
  deposed: 'log_not_leader',
} as const;

function failAll(
  ids: readonly (number | undefined)[],
  code: Extract<Effect, { kind: 'fail' }>['code'],
  detail: string,
): readonly Effect[] {
  return ids.flatMap((id) => (id === undefined ? [] : [fail(id, code, detail)]));
}
