/**
 * reconciler.ts: keeps the catalog saying what gossip says about the members of this datacenter, for one term of a leader.
 *
 * Every event is acted upon at once, one member after the other; the whole pool is looked through when the term begins and
 * every minute. A node that has a check of gossip and is no member at all is given up only after a while: a leader that
 * was just started may not have met the others yet, and a node takes everything registered on it along.
 * Lives here: when, and in which order. Must not live here: what is written (reconcile.ts), terms (../leader.ts).
 * Source: Consul agent/consul/leader.go (leaderLoop, reconcile, reconcileReaped).
 */
import type { Command, ReadStore } from '@fed/fsm';
import { backoffMs } from '@fed/replication';
import type { Serf, SerfEvent, SerfMember } from '@fed/serf';
import { serfHealth } from '../agent/registration.ts';
import type { World } from '../world.ts';
import { gone, reconcileMember } from './reconcile.ts';

export interface ReconcilerOptions {
  readonly datacenter: string;
  /** This server's node. */
  readonly self: string;
  readonly pool: Pick<Serf, 'members' | 'member' | 'events'>;
  readonly store: Pick<ReadStore, 'node' | 'nodeServices' | 'nodeChecks' | 'checksInState'>;
  /** Calls when the whole catalog was replaced by another. */
  readonly onRestored: (listener: () => void) => Disposable;
  /** Durable and applied, in this term, or rejects. */
  readonly apply: (command: Command) => Promise<unknown>;
  readonly onEvent?: (event: ReconcileEvent) => void;
  readonly clock: World['clock'];
  readonly rng: World['rng'];
}

export type ReconcileEvent =
  | { readonly kind: 'written'; readonly node: string; readonly status: SerfMember['status'] | 'gone' }
  | { readonly kind: 'failed'; readonly node: string; readonly error: unknown; readonly waitMs: number };

const everyMs = 60_000;
/** How long a node must have been no member before it is given up. */
const absentMsMin = 300_000;
const retry = { minMs: 1_000, maxMs: everyMs };

/** Disposing ends it, and waits for the write under way. */
export function openReconciler(o: ReconcilerOptions): AsyncDisposable {
  const reconciler = new Reconciler(o);
  return { [Symbol.asyncDispose]: () => reconciler.end() };
}

class Reconciler {
  readonly #o: ReconcilerOptions;
  /** Members to look at, the oldest news first; true: forgotten by the pool. */
  readonly #news = new Map<string, boolean>();
  /** Since when a node of the catalog has been no member, by name. */
  readonly #absentSince = new Map<string, number>();
  readonly #listening = new DisposableStack();
  #lookThrough = true;
  #failures = 0;
  #timer: Disposable | undefined;
  #working = false;
  #work: Promise<void> = Promise.resolve();
  #ended = false;

  constructor(o: ReconcilerOptions) {
    this.#o = o;
    this.#listening.use(o.pool.events((event) => this.#hear(event)));
    this.#listening.use(o.onRestored(() => this.#lookAgain()));
    this.#run();
  }

  async end(): Promise<void> {
    this.#ended = true;
    this.#listening[Symbol.dispose]();
    this.#timer?.[Symbol.dispose]();
    await this.#work;
  }

  #hear(event: SerfEvent): void {
    if (event.kind === 'user' || event.kind === 'query') return;
    for (const { name } of event.members) {
      this.#news.delete(name);
      this.#news.set(name, event.kind === 'member-reap');
    }
    this.#run();
  }

  #lookAgain(): void {
    this.#lookThrough = true;
    this.#run();
  }

  #run(): void {
    if (this.#ended || this.#working) return;
    this.#working = true;
    this.#work = this.#lookAtNews();
  }

  async #lookAtNews(): Promise<void> {
    try {
      if (this.#lookThrough) this.#lookThroughPool();
      for (const [name, reaped] of this.#news) {
        if (this.#ended) return;
        this.#news.delete(name);
        if (!(await this.#member(name, reaped))) return;
        if (this.#lookThrough) this.#lookThroughPool();
      }
      this.#failures = 0;
      this.#again(everyMs);
    } finally {
      // In the same breath as seeing that there is no more news: what comes a moment later must start a new run.
      this.#working = false;
    }
  }

  #lookThroughPool(): void {
    this.#lookThrough = false;
    for (const { name } of this.#o.pool.members()) if (!this.#news.has(name)) this.#news.set(name, false);
    this.#lookForAbsent();
  }

  /** False when it could not be written: everything is looked through again after a while. */
  async #member(name: string, reaped: boolean): Promise<boolean> {
    const { pool, store, datacenter, self, onEvent } = this.#o;
    // As it is now; it may have come back since the news of it.
    const member = pool.member(name);
    const commands =
      member !== undefined
        ? reconcileMember(member, store, { datacenter, self })
        : reaped
          ? gone(name, store, { datacenter, self })
          : [];
    try {
      for (const command of commands) {
        if (this.#ended) return false;
        await this.#o.apply(command);
      }
      if (commands.length > 0) onEvent?.({ kind: 'written', node: name, status: member?.status ?? 'gone' });
      return true;
    } catch (error) {
      if (!this.#news.has(name)) this.#news.set(name, reaped);
      this.#failures++;
      const waitMs = backoffMs(this.#failures, retry, this.#o.rng);
      if (!this.#ended) onEvent?.({ kind: 'failed', node: name, error, waitMs });
      this.#again(waitMs);
      return false;
    }
  }

  #again(waitMs: number): void {
    this.#timer?.[Symbol.dispose]();
    if (this.#ended) return;
    this.#timer = this.#o.clock.at(this.#o.clock.now() + waitMs, () => this.#lookAgain());
  }

  /** Only whom gossip once vouched for: nodes that others registered have no such check, and are not ours to judge. */
  #lookForAbsent(): void {
    const { pool, store, clock, self } = this.#o;
    const absent = new Set<string>();
    for (const { CheckID, Node } of store.checksInState('any').rows)
      if (CheckID === serfHealth && Node !== self && pool.member(Node) === undefined) absent.add(Node);
    for (const name of this.#absentSince.keys()) if (!absent.has(name)) this.#absentSince.delete(name);
    for (const name of absent) {
      const since = this.#absentSince.get(name) ?? clock.now();
      this.#absentSince.set(name, since);
      if (clock.now() - since >= absentMsMin) this.#news.set(name, true);
    }
  }
}
