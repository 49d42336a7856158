/**
 * core.ts: one server's part in a log that etcd orders: who leads, what is applied, what a writer is told.
 *
 * Three things go on beside each other: the link (read, then watch; link.ts), the claim to lead (claim.ts), and the
 * writes (writes.ts). Safety never rests on time: whatever a leader writes, and whatever it answers to a barrier, is
 * decided by etcd comparing the leader key's revision, which is the term. Leases only decide how soon another leads.
 * Lives here: how these meet. Must not live here: promises, timers, gRPC, bytes.
 */
import { type Entry, lastOf } from '../wire/values.ts';
import { Barriers } from './barriers.ts';
import { Claim } from './claim.ts';
import type { CoreConfig } from './config.ts';
import type { Effect, Event, Failure, Job, Seen } from './events.ts';
import { codeOf, fail, failAll } from './failures.ts';
import { Link } from './link.ts';
import { Snapshots } from './snapshots.ts';
import { Writes } from './writes.ts';

/** How long after etcd was last heard another is still said to lead, in ms: questions sent there may yet be answered. */
const leaderKnownMs = 5_000;

export class Core {
  readonly #config: CoreConfig;
  readonly #link = new Link();
  readonly #claim: Claim;
  readonly #writes: Writes;
  readonly #barriers: Barriers;
  readonly #snapshots: Snapshots;
  #applied = 0;
  /** Mod revision of the head key, while we lead. */
  #headRevision = 0;
  #told = '';
  /** Whether another was said to lead. */
  #toldOfOther = false;
  #opened = false;
  #halted: string | undefined;
  /** Who waits for us to hand over; nothing new is taken meanwhile. */
  #resigning: number[] = [];
  #closing: 'no' | 'asked' | 'done' = 'no';
  #refusing: Failure['code'] | undefined;
  #appended = 0;
  #batches = 0;

  constructor(config: CoreConfig) {
    this.#config = config;
    this.#claim = new Claim(config);
    this.#writes = new Writes(config);
    this.#barriers = new Barriers(config.writeTimeoutMs);
    this.#snapshots = new Snapshots(config.compactAfterBytes);
  }

  /** One turn. Same state, event and `now`: same effects, in the same order. */
  step(event: Event, now: number): readonly Effect[] {
    if (this.#closing === 'done') return [];
    const effects: Effect[] = [];
    const { lease } = this.#claim;
    // However late we are woken: a claim that has run out is given up before anything else is thought about.
    if (lease !== undefined && now >= lease.until)
      effects.push(...this.#claim.giveUp(now), ...this.#leadLost());
    const { lease: held } = this.#claim;
    effects.push(...this.#answer(event, now), ...this.#pump(now));
    if (held !== undefined && this.#claim.lease !== held) effects.push(...this.#leadLost());
    const leadership = JSON.stringify(this.leadership(now));
    this.#toldOfOther = this.#otherLeader(now) !== undefined;
    if (leadership !== this.#told) {
      this.#told = leadership;
      effects.push({ kind: 'leadership' });
    }
    return effects;
  }

  /** When to be woken with `deadline`; infinite for never. */
  deadline(): number {
    if (this.#closing === 'done' || this.#halted !== undefined) return Number.POSITIVE_INFINITY;
    return Math.min(
      this.#link.deadline(),
      this.#claim.deadline(this.#mayClaim()),
      this.#writes.deadline(),
      this.#barriers.deadline(),
      this.#claim.term === undefined
        ? Number.POSITIVE_INFINITY
        : (this.#writes.inFlight?.retryAt ?? Number.POSITIVE_INFINITY),
      this.#toldOfOther && !this.#link.watching
        ? this.#link.heardAt + leaderKnownMs
        : Number.POSITIVE_INFINITY,
    );
  }

  leadership(now: number): { leader: boolean; term: number; leaderAddress?: string } {
    const { term, lastTerm } = this.#claim;
    const otherLeader = this.#otherLeader(now);
    if (term !== undefined && this.#claim.leads(now))
      return { leader: true, term, leaderAddress: this.#config.address };
    return {
      leader: false,
      term: lastTerm,
      ...(otherLeader === undefined ? {} : { leaderAddress: otherLeader.address }),
    };
  }

  /** Who leads, as far as we know. Without etcd nobody leads for long, and we would not hear who does. */
  #otherLeader(now: number): Seen | undefined {
    return this.#link.watching || now < this.#link.heardAt + leaderKnownMs
      ? this.#claim.otherLeader
      : undefined;
  }

  lastContactMs(now: number): number | undefined {
    if (this.#claim.leads(now)) return 0;
    return this.#claim.lastTerm === 0 ? undefined : now - this.#link.heardAt;
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
      snapshotIndex: this.#snapshots.index,
      logBytes: this.#snapshots.logBytes,
      appended: this.#appended,
      batches: this.#batches,
      refusing: this.#refusal(),
    };
  }

  #refusal(): string | undefined {
    if (this.#halted !== undefined) return 'log_halted';
    if (this.#claim.term === undefined) return 'log_not_leader';
    return this.#refusing === undefined ? undefined : codeOf[this.#refusing];
  }

  #answer(event: Event, now: number): readonly Effect[] {
    switch (
      event.kind // no default: a new kind must not compile until it is answered here
    ) {
      case 'start':
        return this.#link.sync(this.#applied);
      case 'append':
        return this.#append(event.job, now);
      case 'barrier':
        return this.#barrier(event.id, now);
      case 'barrierAborted':
        this.#barriers.abort(event.id);
        return [];
      case 'compact':
        return this.#compact(event.id, now);
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
        return this.#snapshotRead(event);
      case 'entry':
        return this.#entry(event, now);
      case 'synced':
        return this.#link.isSync(event.run) ? this.#synced(event, now) : [];
      case 'syncFailed':
        return this.#link.isSync(event.run) ? this.#linkLost(event.failure, now) : [];
      case 'heard':
        if (this.#link.isWatch(event.watch)) this.#link.heard(now);
        return [];
      case 'leader':
        return this.#claim.heard(event.leader, event.revision, now);
      case 'watchLost':
        return this.#link.isWatch(event.watch) ? this.#linkLost(event.failure, now) : [];
      case 'leaseSeen':
        return this.#mayClaim() ? this.#claim.looked(event, now) : [];
      case 'granted':
        return this.#claim.granted(event);
      case 'grantFailed':
        this.#claim.notGranted(now);
        return [];
      case 'won':
        return this.#won(event, now);
      case 'lost':
        return this.#claim.lost(event, now);
      case 'campaignFailed':
        return event.failure.code === 'corrupt'
          ? this.#halt(event.failure.detail, now)
          : this.#claim.campaignFailed(event, now);
      case 'keptAlive':
        this.#claim.keptAlive(event);
        return [];
      case 'keepAliveFailed':
        return this.#claim.keepAliveFailed(event, now);
      case 'revoked':
        this.#claim.revoked(event.lease);
        return [];
      case 'revokeFailed':
        this.#claim.revokeFailed(event, now);
        return [];
      case 'committed':
        return this.#writes.inFlight?.entry.id === event.id ? this.#committed(event.revision) : [];
      case 'conflict':
        if (this.#writes.inFlight?.entry.id !== event.id || this.#claim.term === undefined) return [];
        return this.#claim.giveUp(now);
      case 'commitFailed':
        return this.#commitFailed(event.id, event.failure, now);
      case 'barrierRead':
        return this.#barrierRead(event.term, event.headIndex, now);
      case 'barrierFailed':
        this.#barriers.unanswered(now);
        return [];
      case 'snapshotTaken':
        return this.#snapshots.taken(event.index, event.bytes);
      case 'snapshotFailed':
        return this.#snapshots.failed(event.failure);
    }
  }

  // ---- what is heard ----

  #snapshotRead(event: Extract<Event, { kind: 'snapshotRead' }>): readonly Effect[] {
    if (!this.#link.isSync(event.run) || event.index <= this.#applied) return [];
    this.#applied = event.index;
    this.#snapshots.restored(event.index, event.bytes);
    this.#claim.caughtUp(this.#applied);
    return [{ kind: 'restore', index: event.index }, ...this.#barriers.applied(this.#applied)];
  }

  #synced(event: Extract<Event, { kind: 'synced' }>, now: number): readonly Effect[] {
    // Our own commits may be newer than what a sync of ours has read, if they came after it had begun.
    const { index } = event.head;
    const ahead =
      index >= this.#link.readAfter && index < this.#applied && this.#headRevision > event.revision;
    if (index !== this.#applied && !ahead)
      return this.#halt(
        `the log in etcd ends at ${index}, but ${this.#applied} was applied here; was etcd replaced or restored? Restart this server to take its state`,
        now,
      );
    const effects = [
      this.#link.synced(event.revision, now),
      { kind: this.#opened ? 'resynced' : 'opened' },
    ] as const;
    this.#opened = true;
    return [
      ...effects,
      ...this.#claim.heard(event.leader, event.revision, now),
      ...this.#resolve(event, now),
    ];
  }

  /** An entry that was on its way when we lost the lead: after a sync it is in the log, or never will be, or we must ask again. */
  #resolve(event: Extract<Event, { kind: 'synced' }>, now: number): readonly Effect[] {
    const { inFlight } = this.#writes;
    if (inFlight === undefined || this.#claim.term !== undefined) return [];
    if (event.head.id === inFlight.entry.id) return this.#foundInSnapshot(inFlight.entry);
    // While the key of that term stands, an attempt may still get through.
    if (event.leader?.term === inFlight.term) return this.#link.again(now);
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
    return failure.code === 'corrupt' ? this.#halt(failure.detail, now) : this.#link.lost(failure, now);
  }

  #entry({ entry, bytes, revision }: Extract<Event, { kind: 'entry' }>, now: number): readonly Effect[] {
    if (lastOf(entry) <= this.#applied || this.#halted !== undefined) return [];
    if (entry.install || entry.first !== this.#applied + 1) {
      // A snapshot stands there, or something was missed: read again.
      if (this.#link.watching) return this.#link.sync(this.#applied);
      if (entry.install) return [];
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
    this.#snapshots.logBytes += bytes;
    this.#claim.caughtUp(this.#applied);
    return [{ kind: 'apply', entry, jobs }, ...this.#barriers.applied(this.#applied)];
  }

  // ---- leading, and no more ----

  /** Only who has heard everything, and has nothing of an old term on its way. */
  #mayClaim(): boolean {
    return (
      this.#link.watching &&
      this.#writes.inFlight === undefined &&
      this.#closing === 'no' &&
      this.#halted === undefined
    );
  }

  #won(event: Extract<Event, { kind: 'won' }>, now: number): readonly Effect[] {
    if (!this.#claim.won(event)) return [];
    if (event.head.index < this.#applied)
      return this.#halt(
        `the log in etcd ends at ${event.head.index}, but ${this.#applied} was applied here`,
        now,
      );
    this.#headRevision = event.head.revision;
    this.#claim.caughtUp(this.#applied);
    return [];
  }

  /** Nothing that waits was sent; what is on its way is found out about by a sync. */
  #leadLost(): readonly Effect[] {
    const detail = 'this server does not lead any more';
    return [
      ...this.#writes.refuse('log_not_leader', detail),
      ...this.#barriers.refuse('log_not_leader', detail),
      ...this.#snapshots.refuse('log_not_leader', detail),
      ...(this.#writes.inFlight !== undefined && this.#link.watching ? this.#link.sync(this.#applied) : []),
    ];
  }

  #resign(id: number): readonly Effect[] {
    if (this.#claim.term === undefined) return [{ kind: 'done', id, index: this.#applied }];
    this.#resigning.push(id);
    return this.#writes.refuse('log_not_leader', 'this server is handing over the lead');
  }

  #handOver(now: number): readonly Effect[] {
    const ids = this.#resigning;
    this.#resigning = [];
    return [
      ...this.#claim.handOver(now),
      ...ids.map((id) => ({ kind: 'done', id, index: this.#applied }) as const),
    ];
  }

  #unableToLead(now: number): readonly [Extract<Effect, { kind: 'fail' }>['code'], string] | undefined {
    if (this.#closing !== 'no') return ['log_closed', 'the log is closed'];
    if (this.#halted !== undefined) return ['log_halted', this.#halted];
    if (this.#resigning.length > 0) return ['log_not_leader', 'this server is handing over the lead'];
    if (this.#claim.term !== undefined) return undefined;
    const other = this.#otherLeader(now);
    return ['log_not_leader', other === undefined ? 'no server leads' : `the leader is at ${other.address}`];
  }

  // ---- what is asked ----

  #append(job: Job, now: number): readonly Effect[] {
    const unable = this.#unableToLead(now);
    if (unable !== undefined) return [fail(job.id, ...unable)];
    const term = job.kind === 'command' ? job.term : undefined;
    if (term !== undefined && term !== this.#claim.term)
      return [fail(job.id, 'log_not_leader', `term ${term} is over`)];
    return this.#writes.add(job, now);
  }

  #barrier(id: number, now: number): readonly Effect[] {
    const unable = this.#unableToLead(now);
    if (unable !== undefined) return [fail(id, ...unable)];
    this.#barriers.add(id, now);
    return [];
  }

  #compact(id: number, now: number): readonly Effect[] {
    const unable = this.#unableToLead(now);
    return unable === undefined ? this.#snapshots.ask(id, this.#applied) : [fail(id, ...unable)];
  }

  /** Sends what may be sent now. */
  #pump(now: number): readonly Effect[] {
    const effects: Effect[] = [];
    if (this.#mayClaim()) effects.push(...this.#claim.next(now));
    if (this.#resigning.length > 0 && (this.#claim.term === undefined || !this.#writes.awaited))
      effects.push(...this.#handOver(now));
    const { term } = this.#claim;
    if (term !== undefined) {
      const next = this.#writes.next({ applied: this.#applied, term, headRevision: this.#headRevision });
      if (next !== undefined) effects.push(this.#commit());
      if (this.#barriers.ask(now))
        effects.push({ kind: 'readBarrier', term, timeoutMs: this.#barriers.patienceMs });
      effects.push(...this.#snapshots.next(this.#applied, term));
    }
    if (this.#closing === 'asked' && !this.#writes.awaited) {
      this.#closing = 'done';
      effects.push(...this.#claim.giveUp(now), ...this.#link.end(), { kind: 'closed' });
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
    // Its answer was overtaken by a snapshot of another leader that holds it.
    if (lastOf(entry) <= this.#applied) return this.#foundInSnapshot(entry);
    this.#batches++;
    const jobs = this.#writes.settle();
    if (records !== undefined) {
      this.#applied = entry.first;
      this.#snapshots.restored(entry.first, 0);
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
    if (inFlight?.entry.id !== id || this.#claim.term === undefined) return [];
    if (failure.sure && !inFlight.doubtful) {
      this.#refusing = failure.code;
      return failAll(this.#writes.settle(), codeOf[failure.code], failure.detail);
    }
    inFlight.doubtful ||= !failure.sure;
    inFlight.retryAt = inFlight.backoff.after(now);
    return [];
  }

  #barrierRead(term: number, headIndex: number | undefined, now: number): readonly Effect[] {
    if (term === this.#claim.term && headIndex !== undefined)
      return this.#barriers.answered(headIndex, this.#applied);
    this.#barriers.unanswered(now);
    return term === this.#claim.term ? this.#claim.giveUp(now) : [];
  }

  // ---- time and endings ----

  #expire(now: number): readonly Effect[] {
    const effects: Effect[] = [
      ...this.#writes.expire(now),
      ...this.#barriers.expire(now),
      ...this.#link.expire(now, this.#applied),
      ...this.#claim.expire(now, this.#mayClaim()),
    ];
    const { inFlight } = this.#writes;
    if (this.#claim.term !== undefined && inFlight?.retryAt !== undefined && now >= inFlight.retryAt) {
      inFlight.retryAt = undefined;
      effects.push(this.#commit());
    }
    return effects;
  }

  #halt(detail: string, now: number): readonly Effect[] {
    if (this.#halted !== undefined) return [];
    this.#halted = detail;
    return [
      ...this.#link.end(),
      ...this.#claim.giveUp(now),
      ...failAll(this.#writes.settle(), 'log_outcome_unknown', detail),
      ...this.#writes.refuse('log_halted', detail),
      ...this.#barriers.refuse('log_halted', detail),
      ...this.#snapshots.refuseAll('log_halted', detail),
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
      ...this.#snapshots.refuseAll('log_closed', detail),
    ];
  }
}
