/**
 * loop.ts: the clockwork of a routine that goes round for as long as somebody leads: not too often, ever more rarely while it
 * fails, sooner when there is news, and ended in the middle of whatever it does.
 *
 * Lives here: pace, backoff, waking, ending. Must not live here: what a turn does, and what counts as failing.
 */
import { type BackoffRange, backoffMs } from './backoff.ts';
import { Limiter } from './limiter.ts';
import { Pause } from './pause.ts';
import type { Clock, Rng } from './ports.ts';

export interface LoopOptions {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly backoff: BackoffRange;
  /** Turns, at most. */
  readonly perSecond: number;
  readonly burst: number;
  /** Why `stop` aborts when the loop is disposed. */
  readonly stopped: string;
  /** One turn, with whatever it waits for at its end. */
  readonly turn: () => Promise<void>;
}

/** The first turn begins soon after `start`, and not within it. Disposing waits for the turn under way to end. */
export class Loop implements AsyncDisposable {
  readonly pause: Pause;
  readonly #o: LoopOptions;
  readonly #stop = new AbortController();
  readonly #limiter: Limiter;
  #running: Promise<void> = Promise.resolve();
  #failures = 0;

  constructor(o: LoopOptions) {
    this.#o = o;
    this.pause = new Pause(o.clock, this.#stop.signal);
    this.#limiter = new Limiter({ perSecond: o.perSecond, burst: o.burst }, o.clock.now());
  }

  /** Aborted when the loop is disposed. */
  get stop(): AbortSignal {
    return this.#stop.signal;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** There is news: ends a wait now, or the one after the turn under way, and starts the backoff over. */
  wake(): void {
    this.#failures = 0;
    this.pause.wake();
  }

  succeeded(): void {
    this.#failures = 0;
  }

  /** How long to wait after this failure, in ms. */
  failed(): number {
    this.#failures++;
    return backoffMs(this.#failures, this.#o.backoff, this.#o.rng);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error(this.#o.stopped));
    await this.#running;
  }

  async #run(): Promise<void> {
    await Promise.resolve();
    while (!this.#stop.signal.aborted) {
      await this.pause.gap(this.#limiter.take(this.#o.clock.now()));
      if (this.#stop.signal.aborted) return;
      await this.#o.turn();
    }
  }
}
