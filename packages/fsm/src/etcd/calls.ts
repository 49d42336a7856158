/**
 * calls.ts: what the core wants of etcd, as calls, and their answers, as events.
 *
 * Each effect is one attempt; one event answers it. Lives here: which transaction asks what, which answer means what.
 * Must not live here: whether to try again (core/), the state machine (etcd-log.ts), what stands in etcd (wire/).
 */
import type { Clock } from '../ports.ts';
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

/** The effects that ask etcd. */
export type Asking = Extract<
  Effect,
  {
    readonly kind:
      | 'sync'
      | 'watch'
      | 'unwatch'
      | 'askLease'
      | 'askLife'
      | 'grant'
      | 'campaign'
      | 'keepAlive'
      | 'revoke'
      | 'commit'
      | 'readBarrier'
      | 'takeSnapshot';
  }
>;

export class Calls {
  readonly #o: EtcdEngineOptions;
  readonly #etcd: Etcd;
  readonly #clock: Clock;
  readonly #keys: Keys;
  readonly #tell: (event: Event) => void;
  /** On their way. */
  readonly #open = new Set<Promise<void>>();
  #run = 0;
  #watching: Watching | undefined;
  #closing = false;
  /** Records of the snapshot that is being told of, while it is. */
  lastRead: readonly Uint8Array[] = [];
  /** For the message of who has waited in vain. */
  lastTrouble = 'no answer yet';

  constructor(o: EtcdEngineOptions, etcd: Etcd, clock: Clock, tell: (event: Event) => void) {
    this.#o = o;
    this.#etcd = etcd;
    this.#clock = clock;
    this.#keys = new Keys(o.prefix);
    this.#tell = tell;
  }

  /** Nobody wants to hear of failures any more; resolves when the last answer is there. */
  async ended(): Promise<void> {
    this.#closing = true;
    await Promise.all(this.#open);
  }

  make(effect: Asking): void {
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
      case 'askLife':
        this.#watching?.ask();
        return;
      case 'askLease':
        this.#askLease(effect);
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
    }
  }

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
        this.lastTrouble = failure.detail;
        if (!this.#closing) this.#o.log?.({ kind: 'call_failed', call, error });
        failed?.(failure);
      })
      .finally(() => this.#open.delete(running));
    this.#open.add(running);
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
              this.lastRead = records;
              this.#tell({ kind: 'snapshotRead', run, ...at });
              this.lastRead = [];
            },
            entry: (entry, at) => this.#tell({ kind: 'entry', entry, ...at }),
            cancelled: () => this.#run !== run || this.#closing,
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
        change: (change) => this.#tell(this.#changeEvent(watch, change)),
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
    const keys = this.#keys;
    const value = encodeEntry(entry);
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
    const keys = this.#keys;
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
}

const deposed: Failure = { code: 'deposed', sure: true, detail: 'another server leads' };
