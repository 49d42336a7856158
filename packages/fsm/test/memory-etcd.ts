/**
 * memory-etcd.ts: an etcd in memory, with leases, watches, transactions and history, on virtual time, that fails on demand.
 *
 * What it must share with the real one is tested by interop's own stories; here it is what lets thousands of accidents
 * happen in a second. A connection can be cut (calls hang until they time out), and can lose answers to calls that were
 * carried out.
 */
import { EtcdCallError } from '../src/etcd/errors.ts';
import type {
  CallOptions,
  Compare,
  Etcd,
  KeyValue,
  Op,
  Range,
  RangeResult,
  Txn,
  TxnResult,
  WatchChange,
  Watching,
  WatchListener,
  WatchRange,
} from '../src/etcd/ports.ts';
import type { Clock, Rng } from '../src/ports.ts';

interface Lease {
  readonly ttlMs: number;
  expiry: Disposable;
  endsAt: number;
}

interface Watcher {
  readonly ranges: readonly WatchRange[];
  readonly on: WatchListener;
  readonly connection: Connection;
}

export class MemoryEtcd {
  readonly clock: Clock;
  readonly rng: Rng;
  revision = 1;
  /** History before this revision is gone. */
  compacted = 0;
  readonly #now = new Map<string, KeyValue>();
  readonly #history: WatchChange[] = [];
  readonly #leases = new Map<number, Lease>();
  readonly #watchers = new Set<Watcher>();

  constructor(clock: Clock, rng: Rng) {
    this.clock = clock;
    this.rng = rng;
  }

  connect(): Connection {
    return new Connection(this);
  }

  get(key: string): KeyValue | undefined {
    return this.#now.get(key);
  }

  keys(): readonly string[] {
    return [...this.#now.keys()].sort();
  }

  put(key: string, value: Uint8Array): void {
    this.txn({ success: [{ put: key, value }] });
  }

  txn(request: Txn): TxnResult {
    const succeeded = (request.compare ?? []).every((one) => this.#holds(one));
    const ops = succeeded ? request.success : (request.failure ?? []);
    for (const op of ops)
      if ('put' in op && op.lease !== undefined && !this.#leases.has(op.lease))
        throw new EtcdCallError('gone', 'memory', 'requested lease not found', { sure: true });
    const writes = ops.some((op) => !('range' in op));
    const revision = writes ? this.revision + 1 : this.revision;
    const changes: WatchChange[] = [];
    const found = ops.map((op) => this.#run(op, revision, changes));
    // A transaction that deletes nothing makes no revision.
    if (changes.length > 0) this.revision = revision;
    this.#tell(changes);
    return { revision: this.revision, succeeded, found };
  }

  range(request: Range & { readonly revision: number }): RangeResult {
    if (request.revision < this.compacted)
      throw new EtcdCallError('compacted', 'memory', 'required revision has been compacted', { sure: true });
    const then = new Map<string, KeyValue>();
    for (const { key, revision, value, lease } of this.#history) {
      if (revision > request.revision) break;
      if (value === undefined) then.delete(key);
      else then.set(key, { key, value, modRevision: revision, lease });
    }
    const all = select(then, request);
    return { kvs: all.slice(0, request.limit), more: all.length > (request.limit ?? all.length) };
  }

  compact(revision: number): void {
    if (revision <= this.compacted)
      throw new EtcdCallError('compacted', 'memory', 'required revision has been compacted', { sure: true });
    this.compacted = revision;
  }

  grant(id: number, ttlMs: number): { ttlMs: number } {
    this.#leases.set(id, { ttlMs, expiry: this.#expiry(id, ttlMs), endsAt: this.clock.now() + ttlMs });
    return { ttlMs };
  }

  keepAlive(id: number): { ttlMs: number } {
    const lease = this.#leases.get(id);
    if (lease === undefined) throw new EtcdCallError('gone', 'memory', 'the lease has ended', { sure: true });
    lease.expiry[Symbol.dispose]();
    lease.expiry = this.#expiry(id, lease.ttlMs);
    lease.endsAt = this.clock.now() + lease.ttlMs;
    return { ttlMs: lease.ttlMs };
  }

  timeToLive(id: number): { leftMs: number; ttlMs: number } {
    const lease = this.#leases.get(id);
    if (lease === undefined) return { leftMs: -1000, ttlMs: 0 };
    return { leftMs: 1000 * Math.floor((lease.endsAt - this.clock.now()) / 1000), ttlMs: lease.ttlMs };
  }

  revoke(id: number): void {
    const lease = this.#leases.get(id);
    if (lease === undefined)
      throw new EtcdCallError('gone', 'memory', 'requested lease not found', { sure: true });
    lease.expiry[Symbol.dispose]();
    this.#leases.delete(id);
    const held = [...this.#now.values()].filter((kv) => kv.lease === id);
    if (held.length > 0) this.txn({ success: held.map(({ key }) => ({ delete: key })) });
  }

  watch(watcher: Watcher, from: number): void {
    if (from <= this.compacted) {
      const error = new EtcdCallError('compacted', 'memory', 'watch ended: compacted', { sure: true });
      watcher.connection.soon(() => watcher.on.lost(error));
      return;
    }
    this.#watchers.add(watcher);
    this.#deliver(
      watcher,
      this.#history.filter(({ revision }) => revision >= from),
    );
  }

  unwatch(watcher: Watcher): void {
    this.#watchers.delete(watcher);
  }

  #tell(changes: readonly WatchChange[]): void {
    this.#history.push(...changes);
    if (changes.length > 0) for (const watcher of this.#watchers) this.#deliver(watcher, changes);
  }

  #deliver(watcher: Watcher, changes: readonly WatchChange[]): void {
    const wanted = changes.filter(({ key, value }) =>
      watcher.ranges.some((range) => within(key, range) && (range.puts !== 'only' || value !== undefined)),
    );
    for (const change of wanted)
      watcher.connection.soon(() => {
        if (!this.#watchers.has(watcher)) return;
        watcher.on.heard();
        watcher.on.change(change);
      });
  }

  #expiry(id: number, ttlMs: number): Disposable {
    // Ends are noticed every half second, as by the real one.
    return this.clock.at(this.clock.now() + ttlMs + this.rng.below(500), () => this.revoke(id));
  }

  #holds({ key, revision }: Compare): boolean {
    return (this.#now.get(key)?.modRevision ?? 0) === revision;
  }

  #run(op: Op, revision: number, changes: WatchChange[]): readonly KeyValue[] {
    if ('range' in op) return select(this.#now, op.range).slice(0, op.range.limit);
    if ('put' in op) {
      const lease = op.lease ?? 0;
      this.#now.set(op.put, {
        key: op.put,
        value: op.value,
        modRevision: revision,
        lease,
      });
      changes.push({ key: op.put, revision, value: op.value, lease });
      return [];
    }
    for (const { key } of select(this.#now, {
      key: op.delete,
      ...(op.end === undefined ? {} : { end: op.end }),
    })) {
      this.#now.delete(key);
      changes.push({ key, revision, value: undefined, lease: 0 });
    }
    return [];
  }
}

/** One server's way to the cluster. */
export class Connection implements Etcd {
  readonly #cluster: MemoryEtcd;
  #cut = false;
  readonly #watchers = new Set<Watcher>();
  /** One call in this many loses its answer; 0 for none. */
  losesOneIn = 0;
  #lastSoon = 0;

  constructor(cluster: MemoryEtcd) {
    this.#cluster = cluster;
  }

  /** Nothing gets through any more, in either direction; nobody is told. */
  cut(): void {
    this.#cut = true;
  }

  /** Watches of the time before are lost, now that it can be said. */
  mend(): void {
    this.#cut = false;
    for (const watcher of this.#watchers) {
      this.#watchers.delete(watcher);
      this.#cluster.unwatch(watcher);
      watcher.on.lost(new EtcdCallError('unavailable', 'memory', 'connection reset', { sure: true }));
    }
  }

  txn(request: Txn, o: CallOptions): Promise<TxnResult> {
    return this.#call(o, () => this.#cluster.txn(request));
  }

  range(request: Range & { readonly revision: number }, o: CallOptions): Promise<RangeResult> {
    return this.#call(o, () => this.#cluster.range(request));
  }

  compact(revision: number, o: CallOptions): Promise<void> {
    return this.#call(o, () => this.#cluster.compact(revision));
  }

  grant(lease: number, ttlMs: number, o: CallOptions): Promise<{ ttlMs: number }> {
    return this.#call(o, () => this.#cluster.grant(lease, ttlMs));
  }

  keepAlive(lease: number, o: CallOptions): Promise<{ ttlMs: number }> {
    return this.#call(o, () => this.#cluster.keepAlive(lease));
  }

  revoke(lease: number, o: CallOptions): Promise<void> {
    return this.#call(o, () => this.#cluster.revoke(lease));
  }

  timeToLive(lease: number, o: CallOptions): Promise<{ leftMs: number; ttlMs: number }> {
    return this.#call(o, () => this.#cluster.timeToLive(lease));
  }

  watch(o: { readonly ranges: readonly WatchRange[]; readonly from: number }, on: WatchListener): Watching {
    const watcher: Watcher = { ranges: o.ranges, on, connection: this };
    this.#watchers.add(watcher);
    this.soon(() => {
      if (this.#watchers.has(watcher)) this.#cluster.watch(watcher, o.from);
    });
    return {
      ask: () =>
        this.soon(() => {
          if (this.#watchers.has(watcher)) on.heard();
        }),
      suspect: () => {},
      [Symbol.dispose]: () => {
        this.#watchers.delete(watcher);
        this.#cluster.unwatch(watcher);
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  /** In order, after a moment; never while cut. */
  soon(work: () => void): void {
    const { clock, rng } = this.#cluster;
    this.#lastSoon = Math.max(this.#lastSoon, clock.now() + 1 + rng.below(10));
    clock.at(this.#lastSoon, () => {
      if (!this.#cut) work();
    });
  }

  #call<T>({ timeoutMs }: CallOptions, work: () => T): Promise<T> {
    const { clock, rng } = this.#cluster;
    return new Promise((resolve, reject) => {
      const impatience = clock.at(clock.now() + timeoutMs, () =>
        reject(new EtcdCallError('unavailable', 'memory', 'no answer in time', { sure: false })),
      );
      if (this.#cut) return;
      const lost = this.losesOneIn > 0 && rng.below(this.losesOneIn) === 0;
      // Lost calls may also be carried out late: after their caller has given up.
      const onTheWayMs = lost && rng.below(2) === 0 ? rng.below(6 * timeoutMs) : 1 + rng.below(10);
      clock.at(clock.now() + onTheWayMs, () => {
        let answer: () => void;
        try {
          const result = work();
          answer = () => resolve(result);
        } catch (error) {
          answer = () => reject(error);
        }
        if (lost) return;
        clock.at(clock.now() + 1 + rng.below(10), () => {
          if (this.#cut) return;
          impatience[Symbol.dispose]();
          answer();
        });
      });
    });
  }
}

function within(key: string, { key: from, end }: { readonly key: string; readonly end?: string }): boolean {
  return end === undefined ? key === from : key >= from && key < end;
}

function select(all: ReadonlyMap<string, KeyValue>, range: Range): readonly KeyValue[] {
  return [...all.values()].filter(({ key }) => within(key, range)).sort((a, b) => (a.key < b.key ? -1 : 1));
}
