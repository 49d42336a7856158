/**
 * link.ts: hearing of changes: read everything once, then watch; again after every loss.
 *
 * Lives here: when to read, to watch, to doubt. Must not live here: what is heard.
 */
import { Backoff } from './config.ts';
import type { Effect, Failure } from './events.ts';

/** A watch is asked for a sign of life this often, in ms, and given up after this long without one. */
const askMs = 1_000;
const silenceMs = 3_000;

type State =
  | { readonly kind: 'down'; readonly retryAt: number }
  | { readonly kind: 'syncing' }
  | { readonly kind: 'watching'; askAt: number };

export class Link {
  #state: State = { kind: 'down', retryAt: Number.POSITIVE_INFINITY };
  /** Only answers to the latest count. */
  #run = 0;
  #watch = 0;
  readonly #backoff = new Backoff();
  /** When etcd was last heard of. */
  heardAt = 0;
  /** What was applied when the latest reading began: etcd orders reads after writes, so it is in what is read. */
  readAfter = 0;

  get watching(): boolean {
    return this.#state.kind === 'watching';
  }

  isSync(run: number): boolean {
    return this.#state.kind === 'syncing' && run === this.#run;
  }

  isWatch(watch: number): boolean {
    return this.#state.kind === 'watching' && watch === this.#watch;
  }

  /** Reads what came after `applied`. */
  sync(applied: number): readonly Effect[] {
    const { patienceMs: timeoutMs } = this.#backoff;
    const effects = this.#unwatch();
    this.#state = { kind: 'syncing' };
    this.readAfter = applied;
    return [...effects, { kind: 'sync', run: ++this.#run, after: applied, timeoutMs }];
  }

  synced(revision: number, now: number): Effect {
    this.#state = { kind: 'watching', askAt: now + askMs };
    this.heardAt = now;
    return { kind: 'watch', watch: ++this.#watch, from: revision + 1 };
  }

  heard(now: number): void {
    this.heardAt = now;
    this.#backoff.reset();
  }

  lost(failure: Failure, now: number): readonly Effect[] {
    return [...this.again(now), { kind: 'linkLost', failure }];
  }

  /** Reads again soon. */
  again(now: number): readonly Effect[] {
    const effects = this.#unwatch();
    this.#state = { kind: 'down', retryAt: this.#backoff.after(now) };
    return effects;
  }

  /** For good. */
  end(): readonly Effect[] {
    this.#run++;
    this.#state = { kind: 'down', retryAt: Number.POSITIVE_INFINITY };
    return [{ kind: 'unwatch', suspect: false }];
  }

  expire(now: number, applied: number): readonly Effect[] {
    if (this.#state.kind === 'down') return now >= this.#state.retryAt ? this.sync(applied) : [];
    if (this.#state.kind === 'syncing') return [];
    if (now >= this.heardAt + silenceMs) {
      this.#state = { kind: 'down', retryAt: this.#backoff.after(now) };
      const detail = `nothing was heard for ${silenceMs} ms`;
      return [
        { kind: 'unwatch', suspect: true },
        { kind: 'linkLost', failure: { code: 'unavailable', sure: true, detail } },
      ];
    }
    if (now < this.#state.askAt) return [];
    this.#state.askAt = now + askMs;
    return [{ kind: 'askLife' }];
  }

  deadline(): number {
    switch (this.#state.kind) {
      case 'down':
        return this.#state.retryAt;
      case 'syncing':
        return Number.POSITIVE_INFINITY;
      case 'watching':
        return Math.min(this.#state.askAt, this.heardAt + silenceMs);
    }
  }

  #unwatch(): readonly Effect[] {
    return this.#state.kind === 'watching' ? [{ kind: 'unwatch', suspect: false }] : [];
  }
}
