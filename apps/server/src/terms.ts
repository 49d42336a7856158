/**
 * terms.ts: what a leader does, begun once when its term begins and ended once when it ends, one term after the other.
 *
 * A term that could not be begun, because the log or a peer failed, is tried again while it lasts. Ending waits until
 * everything has ended, so that no two terms of this server overlap.
 * Lives here: that order. Must not live here: what a leader does (leader.ts), who leads (the engine).
 * Source: Consul agent/consul/leader.go (monitorLeadership, leaderLoop).
 */
import type { LogEngine } from '@fed/fsm';
import { backoffMs } from '@fed/replication';
import type { World } from './world.ts';

export interface TermsOptions<T extends AsyncDisposable> {
  readonly engine: Pick<LogEngine, 'leadership' | 'onLeadership'>;
  /** Opens everything or nothing. `over` is aborted when the term ends while it is still being begun. */
  readonly begin: (term: number, over: AbortSignal) => Promise<T>;
  readonly onEvent?: (event: TermEvent) => void;
  readonly clock: World['clock'];
  readonly rng: World['rng'];
}

export type TermEvent =
  | { readonly kind: 'began'; readonly term: number }
  | { readonly kind: 'ended'; readonly term: number }
  | {
      readonly kind: 'not_begun';
      readonly term: number;
      readonly error: unknown;
      readonly waitMs: number;
    };

const retry = { minMs: 500, maxMs: 5_000 };

export class Terms<T extends AsyncDisposable> implements AsyncDisposable {
  readonly #o: TermsOptions<T>;
  readonly #listening: Disposable;
  /** The term we lead in, as far as we know. */
  #wanted: number | undefined;
  #current: { readonly term: number; readonly duties: T } | undefined;
  /** Aborted when `#wanted` is another one. */
  #over = new AbortController();
  #failures = 0;
  #timer: Disposable | undefined;
  #turn: Promise<void> = Promise.resolve();
  #ended = false;

  constructor(o: TermsOptions<T>) {
    this.#o = o;
    this.#listening = o.engine.onLeadership(() => this.#follow());
    this.#follow();
  }

  /** What is done in the term that runs now. */
  get current(): T | undefined {
    return this.#current?.duties;
  }

  /** Resolves when what was to be begun or ended so far has been, or has failed. */
  settled(): Promise<void> {
    return this.#turn;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listening[Symbol.dispose]();
    this.#ended = true;
    this.#want(undefined);
    await this.#turn;
  }

  #follow(): void {
    const { leader, term } = this.#o.engine.leadership();
    this.#want(leader ? term : undefined);
  }

  #want(term: number | undefined): void {
    if (term === this.#wanted) return;
    this.#wanted = term;
    this.#failures = 0;
    this.#over.abort(new Error('the term is over'));
    this.#over = new AbortController();
    this.#go();
  }

  #go(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#turn = this.#turn.then(() => this.#step());
  }

  /** Never rejects. */
  async #step(): Promise<void> {
    const running = this.#current;
    if (running !== undefined && running.term !== this.#wanted) {
      this.#current = undefined;
      await running.duties[Symbol.asyncDispose]();
      this.#tell({ kind: 'ended', term: running.term });
    }
    const term = this.#wanted;
    if (term === undefined || this.#current !== undefined) return;
    try {
      const duties = await this.#o.begin(term, this.#over.signal);
      this.#current = { term, duties };
      this.#failures = 0;
      this.#tell({ kind: 'began', term });
      // Another term may have come meanwhile; its turn is next in line.
    } catch (error) {
      if (this.#wanted !== term || this.#ended) return;
      this.#failures++;
      const waitMs = backoffMs(this.#failures, retry, this.#o.rng);
      this.#tell({ kind: 'not_begun', term, error, waitMs });
      this.#timer = this.#o.clock.at(this.#o.clock.now() + waitMs, () => this.#go());
    }
  }

  #tell(event: TermEvent): void {
    this.#o.onEvent?.(event);
  }
}
