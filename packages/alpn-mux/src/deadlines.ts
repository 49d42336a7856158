/**
 * deadlines.ts: many who each have the same time, with one timer for all of them.
 *
 * All wait equally long, so whoever began first is due first, and only for him a timer is needed. It is left alone when he is
 * done in time: waking too early is harmless, and cheaper than a timer for each connection.
 * Lives here: that queue. Must not live here: what happens to the late.
 */
import type { Clock } from './ports.ts';

export class Deadlines<T> {
  readonly #clock: Clock;
  readonly #afterMs: number;
  readonly #late: (who: T) => void;
  /** When each is due, the first to be due first. */
  readonly #due = new Map<T, number>();
  #timer: Disposable | undefined;

  /** `late` is told of everybody whose time is over; then he has been forgotten here. */
  constructor(clock: Clock, afterMs: number, late: (who: T) => void) {
    this.#clock = clock;
    this.#afterMs = afterMs;
    this.#late = late;
  }

  get size(): number {
    return this.#due.size;
  }

  has(who: T): boolean {
    return this.#due.has(who);
  }

  /** His time begins, or begins anew. */
  start(who: T): void {
    this.stop(who);
    this.#due.set(who, this.#clock.now() + this.#afterMs);
    if (this.#timer === undefined) this.#arm();
  }

  stop(who: T): void {
    if (!this.#due.delete(who) || this.#due.size > 0) return;
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  #arm(): void {
    const [first] = this.#due.values();
    this.#timer = first === undefined ? undefined : this.#clock.at(first, () => this.#wake());
  }

  #wake(): void {
    const now = this.#clock.now();
    for (const [who, due] of this.#due) {
      if (due > now) break;
      this.#due.delete(who);
      this.#late(who);
    }
    this.#timer?.[Symbol.dispose](); // somebody who was told may have started others
    this.#arm();
  }
}
