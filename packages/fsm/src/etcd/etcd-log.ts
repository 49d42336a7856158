/**
 * etcd-log.ts: the log engine of several servers that share an etcd: carries out what the core decides.
 *
 * Lives here: promises, one timer, calling the state machine. Must not live here: decisions (core/core.ts), talking to
 * etcd (calls.ts).
 */
import type { EngineStats, Leadership, LogEngine } from '../engine.ts';
import type { Clock } from '../ports.ts';
import { Calls } from './calls.ts';
import { Core } from './core/core.ts';
import type { Effect, Event } from './core/events.ts';
import { EtcdLogError } from './errors.ts';
import type { EtcdEngineOptions } from './options.ts';
import type { Etcd } from './ports.ts';

interface Waiter {
  readonly done: (r: { index: number; result: unknown }) => void;
  readonly failed: (error: unknown) => void;
}

export class EtcdLog implements LogEngine {
  readonly #o: EtcdEngineOptions;
  readonly #etcd: Etcd;
  readonly #clock: Clock;
  readonly #core: Core;
  readonly #waiters = new Map<number, Waiter>();
  readonly #listeners = new Set<(now: Leadership) => void>();
  readonly #opened = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<void>();
  /** Events that came while effects were being carried out: one turn after the other. */
  readonly #events: Event[] = [];
  readonly #calls: Calls;
  #stepping = false;
  #lastId = 0;
  #timer: Disposable | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #halted: EtcdLogError | undefined;
  #disposed = false;

  constructor(o: EtcdEngineOptions, etcd: Etcd, clock: Clock, instance: string) {
    this.#o = o;
    this.#etcd = etcd;
    this.#clock = clock;
    this.#calls = new Calls(o, etcd, clock, (event) => this.#tell(event));
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
          `the state could not be read from etcd (${endpoints.join(', ')}) within ${openTimeoutMs} ms: ${this.#calls.lastTrouble}`,
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
    await this.#calls.ended();
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
      case 'apply':
        this.#apply(effect);
        return;
      case 'restore':
        this.#guarded(() => this.#o.restore(this.#calls.lastRead, effect.index));
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
      default:
        this.#calls.make(effect);
    }
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
