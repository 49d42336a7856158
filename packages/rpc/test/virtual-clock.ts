/**
 * virtual-clock.ts: time that moves when a test says so.
 *
 * Lives here: a Clock for tests. Must not live here: anything a test asserts.
 */
import type { Clock } from '../src/ports.ts';

interface Alarm {
  readonly when: number;
  readonly wake: () => void;
}

export class VirtualClock implements Clock {
  #now = 1_000_000;
  readonly #alarms = new Set<Alarm>();

  now(): number {
    return this.#now;
  }

  at(when: number, wake: () => void): Disposable {
    const alarm = { when, wake };
    this.#alarms.add(alarm);
    return { [Symbol.dispose]: () => void this.#alarms.delete(alarm) };
  }

  /** Alarms set and not yet due. */
  get pending(): number {
    return this.#alarms.size;
  }

  /** Moves on by `ms`, waking alarms in their order, each at its own time. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const next = [...this.#alarms].filter((a) => a.when <= end).sort((a, b) => a.when - b.when)[0];
      if (next === undefined) break;
      this.#alarms.delete(next);
      this.#now = Math.max(this.#now, next.when);
      next.wake();
    }
    this.#now = end;
  }
}
