/**
 * patience.ts: how long one caller waits, for anything.
 *
 * Lives here: a deadline and a signal as one thing to race work against. Must not live here: what is waited for.
 */
import type { Clock } from './ports.ts';

export type OutOfPatience = 'timeout' | 'aborted';

export class Patience implements Disposable {
  /** Why it ended, once it has. */
  over: OutOfPatience | undefined;
  readonly #timer: Disposable;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => this.#end('aborted');
  readonly #waiting = new Set<(why: OutOfPatience) => void>();

  constructor(clock: Clock, o: { readonly timeoutMs: number; readonly signal?: AbortSignal | undefined }) {
    this.#signal = o.signal;
    this.#timer = clock.at(clock.now() + o.timeoutMs, () => this.#end('timeout'));
    if (o.signal?.aborted === true) this.#end('aborted');
    else o.signal?.addEventListener('abort', this.#onAbort);
  }

  /** The outcome of `work`, or why the wait for it ended first. */
  async race<T>(work: Promise<T>): Promise<{ readonly value: T } | { readonly gaveUp: OutOfPatience }> {
    if (this.over !== undefined) {
      work.catch(() => {}); // its outcome is of no interest any more
      return { gaveUp: this.over };
    }
    return await new Promise((resolve, reject) => {
      const giveUp = (gaveUp: OutOfPatience): void => resolve({ gaveUp });
      this.#waiting.add(giveUp);
      work.then(
        (value) => {
          this.#waiting.delete(giveUp);
          resolve({ value });
        },
        (error: unknown) => {
          this.#waiting.delete(giveUp);
          reject(error);
        },
      );
    });
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
    this.#signal?.removeEventListener('abort', this.#onAbort);
  }

  #end(why: OutOfPatience): void {
    if (this.over !== undefined) return;
    this.over = why;
    for (const giveUp of this.#waiting) giveUp(why);
    this.#waiting.clear();
  }
}
