/**
 * waits.ts: callers that wait for a broadcast to be told, or for time to pass, or for the end.
 *
 * Lives here: promises over tokens and a clock. Must not live here: what is waited for.
 */
import type { Clock, Millis } from './ports.ts';

export class Waits {
  readonly #clock: Clock;
  readonly #told = new Map<number, () => void>();
  readonly #end = new AbortController();
  #tokens = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Aborted when there is nothing to wait for any more. */
  get ended(): AbortSignal {
    return this.#end.signal;
  }

  /** Starts something under a new token; resolves to whether `done(token)` came within `timeoutMs`. */
  async broadcast(timeoutMs: number, start: (token: number) => void): Promise<boolean> {
    const token = ++this.#tokens;
    const { promise, resolve } = Promise.withResolvers<void>();
    let told = false;
    this.#told.set(token, () => {
      told = true;
      resolve();
    });
    start(token);
    await this.until(this.#clock.now() + timeoutMs, promise);
    this.#told.delete(token);
    return told;
  }

  done(token: number): void {
    this.#told.get(token)?.();
  }

  /** Resolves at `when`, or `early`, or at the end. */
  async until(when: Millis, early?: Promise<void>): Promise<void> {
    if (this.ended.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = this.#clock.at(when, resolve);
    const end = (): void => resolve();
    this.ended.addEventListener('abort', end, { once: true });
    await Promise.race(early === undefined ? [promise] : [promise, early]);
    this.ended.removeEventListener('abort', end);
    timer[Symbol.dispose]();
  }

  end(): void {
    this.#end.abort();
  }
}
