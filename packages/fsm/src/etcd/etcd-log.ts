/**
 * etcd-log.ts: the log engine of several servers that share an etcd: carries out what the core decides.
 *
 * Lives here: promises, one timer, effects to calls and their answers to events. Must not live here: decisions
 * (core/core.ts), what stands in etcd (wire/), reading it (sync.ts).
 */
import type { EngineStats, Leadership, LogEngine } from '../engine.ts';
import type { Clock } from '../ports.ts';
import { Core } from './core/core.ts';
import type { Effect, Event, Failure } from './core/events.ts';
import { EtcdLogError } from './errors.ts';
import type { EtcdEngineOptions } from './options.ts';
import type { Etcd, Op, WatchChange, Watching } from './ports.ts';
import {
  commitSnapshot,
  Deposed,
  otherFolders,
  type SnapshotWriterOptions,
  writeChunks,
} from './snapshot-writer.ts';
import { failureOf, leaderOf, readEntry, readState } from './sync.ts';
import { Keys } from './wire/keys.ts';
import { decodeHead, encodeEntry, encodeJson, lastOf } from './wire/values.ts';

/** How long a piece of a snapshot may take, in ms: nobody waits for it. */
const chunkMs = 10_000;

interface Waiter {
  readonly done: (r: { index: number; result: unknown }) => void;
  readonly failed: (error: unknown) => void;
}

export class EtcdLog implements LogEngine {
  readonly #o: EtcdEngineOptions;
  readonly #etcd: Etcd;
  readonly #clock: Clock;
  readonly #keys: Keys;
  readonly #core: Core;
  readonly #waiters = new Map<number, Waiter>();
  readonly #listeners = new Set<(now: Leadership) => void>();
  readonly #opened = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<void>();
  /** Events that came while effects were being carried out: one turn after the other. */
  readonly #events: Event[] = [];
  /** Calls on their way; disposing waits for them. */
  readonly #calls = new Set<Promise<void>>();
  #stepping = false;
  #lastId = 0;
  #run = 0;
  #watching: Watching | undefined;
  #read: readonly Uint8Array[] = [];
  #timer: Disposable | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #halted: EtcdLogError | undefined;
  #disposed = false;

  constructor(o: EtcdEngineOptions, etcd: Etcd, clock: Clock, instance: string) {
    this.#o = o;
    this.#etcd = etcd;
    this.#clock = clock;
    this.#keys = new Keys(o.prefix);
    this.#core = new Core({
      instance,
      address: o.address,
      leaseMs: o.leaseMs ?? 1_000,
      writeTimeoutMs: o.writeTimeoutMs ?? 10_000,
      entryBytesMax: o.entryBytesMax ?? 1024 * 1024,
      waitingBytesMax: o.waitingBytesMax ?? 64 * 1024 * 1024,
      compactAfterBytes: o.compactAfterBytes ?? 16 * 1024 * 1024,
    });
    this.#opened.promise.catch(() => {});
  }

  /** Resolves when the state is read. Rejects when etcd refuses us, holds something else, or does not answer in time. */
  async open(): Promise<void> {
    const { openTimeoutMs = 30_000, endpoints } = this.#o;
    using _impatience = this.#clock.at(this.#clock.now() + openTimeoutMs, () =>
      this.#opened.reject(
        new EtcdLogError(
          'log_unavailable',
          `the state could not be read from etcd (${endpoints.join(', ')}) within ${openTimeoutMs} ms: ${this.#lastTrouble}`,
        ),
      ),
    );
    this.#tell({ kind: 'start' });
    await this.#opened.promise;
  }

  append(
    command: Uint8Array,
    o: { readonly term?: number } = {},
  ): Promise<{ index: number; result: unknown }> {
    return this.#ask((id) => ({ kind: 'append', job: { kind: 'command', id, command, term: o.term } }));
  }

  async install(records: Iterable<Uint8Array>, o: { readonly atLeast: number }): Promise<{ index: number }> {
    const kept = [...records];
    const { index } = await this.#ask((id) => ({
      kind: 'append',
      job: { kind: 'install', id, atLeast: o.atLeast, records: kept },
    }));
    return { index };
  }

  leadership(): Leadership {
    return this.#core.leadership(this.#clock.now());
  }

  onLeadership(listener: (now: Leadership) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  async resign(): Promise<void> {
    await this.#ask((id) => ({ kind: 'resign', id }));
  }

  lastContactMs(): number | undefined {
    return this.#core.lastContactMs(this.#clock.now());
  }

  async barrier(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    let abort = (): void => {};
    try {
      await this.#ask((id) => {
        abort = () => {
          this.#fail(id, signal?.reason);
          this.#tell({ kind: 'barrierAborted', id });
        };
        signal?.addEventListener('abort', abort, { once: true });
        return { kind: 'barrier', id };
      });
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  async compact(): Promise<{ index: number }> {
    const { index } = await this.#ask((id) => ({ kind: 'compact', id }));
    return { index };
  }

  stats(): EngineStats {
    return this.#core.stats();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#disposed) {
      this.#disposed = true;
      this.#tell({ kind: 'close' });
    }
    await this.#closed.promise;
    this.#timer?.[Symbol.dispose]();
    await Promise.all(this.#calls);
    await this.#etcd[Symbol.asyncDispose]();
  }

  #ask(event: (id: number) => Event): Promise<{ index: number; result: unknown }> {
    const id = ++this.#lastId;
    return new Promise((done, failed) => {
      this.#waiters.set(id, { done, failed });
      this.#tell(event(id));
    });
  }

  #tell(event: Event): void {
    this.#events.push(event);
    if (this.#stepping) return;
    this.#stepping = true;
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift())
        for (const effect of this.#core.step(next, this.#clock.now())) this.#carryOut(effect);
    } finally {
      this.#stepping = false;
    }
    this.#arm();
  }

  #arm(): void {
    const at = this.#core.deadline();
    if (at === this.#timerAt) return;
    this.#timer?.[Symbol.dispose]();
    this.#timerAt = at;
    this.#timer =
      at === Number.POSITIVE_INFINITY
        ? undefined
        : this.#clock.at(at, () => {
            this.#timerAt = Number.POSITIVE_INFINITY;
            this.#tell({ kind: 'deadline' });
          });
  }

  #carryOut(effect: Effect): void {
    switch (effect.kind) {
      case 'sync':
        this.#sync(effect);
        return;
      case 'watch':
        this.#watch(effect);
        return;
      case 'unwatch':
        if (effect.suspect) this.#watching?.suspect();
        this.#watching?.[Symbol.dispose]();
        this.#watching = undefined;
        return;
      case 'askLease':
        this.#askLease(effect);
        return;
      case 'askLife':
        this.#watching?.ask();
        return;
      case 'grant':
        this.#grant(effect);
        return;
      case 'campaign':
        this.#campaign(effect);
        return;
      case 'keepAlive':
        this.#keepAlive(effect);
        return;
      case 'revoke':
        this.#revoke(effect);
        return;
      case 'commit':
        if (effect.install === undefined) this.#commit(effect);
        else this.#install(effect, effect.install);
        return;
      case 'readBarrier':
        this.#readBarrier(effect);
        return;
      case 'takeSnapshot':
        this.#takeSnapshot(effect);
        return;
      case 'apply':
        this.#apply(effect);
        return;
      case 'restore':
        this.#guarded(() => this.#o.restore(this.#read, effect.index));
        return;
      case 'applyInstall':
        this.#applyInstall(effect);
        return;
      case 'done':
        this.#done(effect.id, effect.index, undefined);
        return;
      case 'fail': {
        const { leaderAddress } = this.leadership();
        this.#fail(effect.id, new EtcdLogError(effect.code, effect.detail, { leaderAddress }));
        return;
      }
      case 'leadership': {
        const now = this.leadership();
        this.#o.log?.({ kind: 'leadership', leaderAddress: undefined, ...now });
        for (const listener of [...this.#listeners]) listener(now);
        return;
      }
      case 'opened': {
        const { lastIndex, snapshotIndex } = this.#core.stats();
        this.#o.log?.({ kind: 'opened', lastIndex, snapshotIndex });
        this.#opened.resolve();
        return;
      }
      case 'resynced':
        this.#o.log?.({ kind: 'resynced', lastIndex: this.#core.stats().lastIndex });
        return;
      case 'linkLost':
        this.#lastTrouble = effect.failure.detail;
        this.#o.log?.({
          kind: 'link_lost',
          error: new EtcdLogError('log_unavailable', effect.failure.detail),
        });
        // Who has never been let in will not be let in by waiting.
        if (effect.failure.code === 'denied' || effect.failure.code === 'rejected')
          this.#opened.reject(new EtcdLogError('log_denied', effect.failure.detail));
        return;
      case 'halt': {
        this.#halted ??= new EtcdLogError('log_corrupt', effect.detail);
        this.#o.log?.({ kind: 'halted', error: this.#halted });
        this.#opened.reject(this.#halted);
        return;
      }
      case 'closed':
        this.#closed.resolve();
        return;
    }
  }

  #lastTrouble = 'no answer yet';

  /** A call to etcd whose answer is told as an event. */
  #call<T>(
    call: string,
    work: () => Promise<T>,
    then: (answer: T) => void,
    failed?: (failure: Failure) => void,
  ): void {
    const running = work()
      .then(then)
      .catch((error: unknown) => {
        // What is neither etcd's doing nor its content is a bug of ours, and goes on up.
        const failure = error instanceof Deposed ? deposed : failureOf(error);
        this.#lastTrouble = failure.detail;
        if (!this.#disposed) this.#o.log?.({ kind: 'call_failed', call, error });
        failed?.(failure);
      })
      .finally(() => this.#calls.delete(running));
    this.#calls.add(running);
  }

  #sync({ run, after, timeoutMs }: Extract<Effect, { kind: 'sync' }>): void {
    this.#run = run;
    this.#call(
      'sync',
      () =>
        readState(
          this.#etcd,
          this.#keys,
          { after, timeoutMs },
          {
            snapshot: (records, at) => {
              this.#read = records;
              this.#tell({ kind: 'snapshotRead', run, ...at });
              this.#read = [];
            },
            entry: (entry, at) => this.#tell({ kind: 'entry', entry, ...at }),
            cancelled: () => this.#run !== run || this.#disposed,
          },
        ),
      (synced) => {
        if (synced !== undefined) this.#tell({ kind: 'synced', run, ...synced });
      },
      (failure) => this.#tell({ kind: 'syncFailed', run, failure }),
    );
  }

  #watch({ watch, from }: Extract<Effect, { kind: 'watch' }>): void {
    const keys = this.#keys;
    this.#watching = this.#etcd.watch(
      {
        from,
        ranges: [{ key: keys.logStart, end: keys.logEnd, puts: 'only' }, { key: keys.leader }],
      },
      {
        change: (change) => {
          const event = this.#changeEvent(watch, change);
          this.#tell(event);
        },
        heard: () => this.#tell({ kind: 'heard', watch }),
        lost: (error) => this.#tell({ kind: 'watchLost', watch, failure: failureOf(error) }),
      },
    );
  }

  #changeEvent(watch: number, change: WatchChange): Event {
    const { key, value, revision } = change;
    try {
      if (key === this.#keys.leader)
        return {
          kind: 'leader',
          revision,
          leader: value === undefined ? undefined : leaderOf({ ...change, value, modRevision: revision }),
        };
      const bytes = value ?? new Uint8Array();
      return { kind: 'entry', entry: readEntry(this.#keys, key, bytes), bytes: bytes.length, revision };
    } catch (error) {
      return { kind: 'watchLost', watch, failure: failureOf(error) };
    }
  }

  #askLease({ lease, timeoutMs }: Extract<Effect, { kind: 'askLease' }>): void {
    this.#call(
      'timeToLive',
      () => this.#etcd.timeToLive(lease, { timeoutMs }),
      (seen) => this.#tell({ kind: 'leaseSeen', lease, ...seen }),
    );
  }

  #grant({ ttlMs, timeoutMs }: Extract<Effect, { kind: 'grant' }>): void {
    const lease = 1 + Math.floor(Math.random() * (Number.MAX_SAFE_INTEGER - 1));
    const askedAt = this.#clock.now();
    this.#call(
      'grant',
      () => this.#etcd.grant(lease, ttlMs, { timeoutMs }),
      (granted) => this.#tell({ kind: 'granted', lease, askedAt, ...granted }),
      (failure) => this.#tell({ kind: 'grantFailed', failure }),
    );
  }

  #revoke({ lease, timeoutMs }: Extract<Effect, { kind: 'revoke' }>): void {
    this.#call(
      'revoke',
      () => this.#etcd.revoke(lease, { timeoutMs }),
      () => this.#tell({ kind: 'revoked', lease }),
      (failure) => this.#tell({ kind: 'revokeFailed', lease, failure }),
    );
  }

  #keepAlive({ lease, timeoutMs }: Extract<Effect, { kind: 'keepAlive' }>): void {
    const askedAt = this.#clock.now();
    this.#call(
      'keepAlive',
      () => this.#etcd.keepAlive(lease, { timeoutMs }),
      () => this.#tell({ kind: 'keptAlive', lease, askedAt }),
      (failure) => this.#tell({ kind: 'keepAliveFailed', lease, failure }),
    );
  }

  #campaign({ lease, over, timeoutMs }: Extract<Effect, { kind: 'campaign' }>): void {
    const { leader, head } = this.#keys;
    const value = encodeJson({ node: this.#o.node, address: this.#o.address });
    this.#call(
      'campaign',
      () =>
        this.#etcd.txn(
          {
            compare: [{ key: leader, revision: over }],
            success: [{ put: leader, value, lease }, { range: { key: leader } }, { range: { key: head } }],
            failure: [{ range: { key: leader } }, { range: { key: head } }],
          },
          { timeoutMs },
        ),
      ({ revision, found }) => {
        const [leaderAt, headAt] = found.slice(-2).map(([kv]) => kv);
        const seen = leaderOf(leaderAt);
        // With our lease it is ours: an earlier attempt got through, and only its answer was lost.
        if (seen?.lease !== lease) {
          this.#tell({ kind: 'lost', lease, revision, leader: seen });
          return;
        }
        const index = headAt === undefined ? 0 : decodeHead(headAt.value).index;
        const headRevision = headAt?.modRevision ?? 0;
        this.#tell({ kind: 'won', lease, term: seen.term, head: { index, revision: headRevision } });
      },
      (failure) => this.#tell({ kind: 'campaignFailed', lease, failure }),
    );
  }

  #commit({ entry, term, headRevision, timeoutMs }: Extract<Effect, { kind: 'commit' }>): void {
    const { keys, value } = { keys: this.#keys, value: encodeEntry(entry) };
    const head = encodeJson({ index: lastOf(entry), id: entry.id });
    this.#write(entry.id, { first: entry.first, term, headRevision, timeoutMs }, async () => [
      { put: keys.head, value: head },
      { put: keys.entry(entry.first), value },
    ]);
  }

  #install(
    { entry, term, headRevision, timeoutMs }: Extract<Effect, { kind: 'commit' }>,
    records: readonly Uint8Array[],
  ): void {
    const { keys } = { keys: this.#keys };
    this.#write(entry.id, { first: entry.first, term, headRevision, timeoutMs }, async () => {
      const snapshot = await writeChunks(this.#writer(term), entry.first, records);
      return [
        { put: keys.head, value: encodeJson({ index: entry.first, id: entry.id }) },
        { put: keys.entry(entry.first), value: encodeEntry(entry) },
        { put: keys.snapshot, value: encodeJson(snapshot) },
        { delete: keys.logStart, end: keys.entry(entry.first) },
        ...otherFolders(keys, snapshot.folder),
      ];
    });
  }

  /** The transaction every write goes through: in our term only, and only behind the head we know. */
  #write(
    id: string,
    at: Pick<Extract<Effect, { kind: 'commit' }>, 'term' | 'headRevision' | 'timeoutMs'> & {
      readonly first: number;
    },
    ops: () => Promise<readonly Op[]>,
  ): void {
    const { leader, head } = this.#keys;
    let sent = false;
    this.#call(
      'commit',
      async () => {
        const success = await ops();
        sent = true;
        return await this.#etcd.txn(
          {
            compare: [
              { key: leader, revision: at.term },
              { key: head, revision: at.headRevision },
            ],
            success,
            failure: [{ range: { key: this.#keys.entry(at.first) } }],
          },
          { timeoutMs: at.timeoutMs },
        );
      },
      ({ revision, succeeded, found }) => {
        const standing = found[0]?.[0];
        if (succeeded) this.#tell({ kind: 'committed', id, revision });
        else if (standing !== undefined && readEntry(this.#keys, standing.key, standing.value).id === id)
          this.#tell({ kind: 'committed', id, revision: standing.modRevision });
        else this.#tell({ kind: 'conflict', id });
      },
      (failure) => {
        if (failure.code === 'deposed') this.#tell({ kind: 'conflict', id });
        else this.#tell({ kind: 'commitFailed', id, failure: sent ? failure : { ...failure, sure: true } });
      },
    );
  }

  #readBarrier({ term, timeoutMs }: Extract<Effect, { kind: 'readBarrier' }>): void {
    const { leader, head } = this.#keys;
    this.#call(
      'barrier',
      () =>
        this.#etcd.txn(
          {
            compare: [{ key: leader, revision: term }],
            success: [{ range: { key: head } }],
          },
          { timeoutMs },
        ),
      ({ succeeded, found }) => {
        const kv = found[0]?.[0];
        const index = kv === undefined ? 0 : decodeHead(kv.value).index;
        this.#tell({ kind: 'barrierRead', term, headIndex: succeeded ? index : undefined });
      },
      (failure) => this.#tell({ kind: 'barrierFailed', failure }),
    );
  }

  #takeSnapshot({ index, term }: Extract<Effect, { kind: 'takeSnapshot' }>): void {
    const records = this.#o.snapshot();
    this.#call(
      'snapshot',
      async () => {
        const snapshot = await writeChunks(this.#writer(term), index, records);
        const before = await commitSnapshot(this.#writer(term), snapshot);
        if (before > 0 && (this.#o.compactHistory ?? true)) this.#dropHistory(before);
        return snapshot.bytes;
      },
      (bytes) => {
        this.#o.log?.({ kind: 'compacted', index, bytes });
        this.#tell({ kind: 'snapshotTaken', index, bytes });
      },
      (failure) => {
        this.#o.log?.({
          kind: 'compaction_failed',
          error: new EtcdLogError('log_unavailable', failure.detail),
        });
        this.#tell({ kind: 'snapshotFailed', failure });
      },
    );
  }

  /** Somebody else may have dropped more of it already, or we may not be allowed to: either is told and changes nothing. */
  #dropHistory(revision: number): void {
    this.#call(
      'compact',
      () => this.#etcd.compact(revision, { timeoutMs: chunkMs }),
      () => {},
    );
  }

  #writer(term: number): SnapshotWriterOptions {
    return {
      etcd: this.#etcd,
      keys: this.#keys,
      chunkBytesMax: this.#o.chunkBytesMax ?? 512 * 1024,
      timeoutMs: chunkMs,
      term,
    };
  }

  #apply({ entry, jobs }: Extract<Effect, { kind: 'apply' }>): void {
    for (const [i, command] of entry.commands.entries()) {
      const index = entry.first + i;
      let result: unknown;
      if (this.#halted === undefined) this.#guarded(() => (result = this.#o.apply(index, command)), index);
      const id = jobs[i];
      if (id === undefined) continue;
      if (this.#halted === undefined) this.#done(id, index, result);
      else this.#fail(id, this.#halted);
    }
  }

  #applyInstall({ index, records, job }: Extract<Effect, { kind: 'applyInstall' }>): void {
    this.#guarded(() => this.#o.restore(records, index), index);
    if (job === undefined) return;
    if (this.#halted === undefined) this.#done(job, index, undefined);
    else this.#fail(job, this.#halted);
  }

  /** What the state machine throws is a bug, and nothing may be applied after it. */
  #guarded(work: () => void, index?: number): void {
    try {
      work();
    } catch (cause) {
      this.#halted = new EtcdLogError(
        'log_halted',
        `the state machine failed at ${index === undefined ? 'a snapshot' : `command ${index}`}, a bug; nothing after it is applied until a restart`,
        { cause },
      );
      this.#tell({ kind: 'halted' });
    }
  }

  #done(id: number, index: number, result: unknown): void {
    this.#waiters.get(id)?.done({ index, result });
    this.#waiters.delete(id);
  }

  #fail(id: number, error: unknown): void {
    this.#waiters.get(id)?.failed(error);
    this.#waiters.delete(id);
  }
}

const deposed: Failure = { code: 'deposed', sure: true, detail: 'another server leads' };
