/** Time that moves when a test says so. */
import type { Clock } from '../src/ports.ts';

export class VirtualClock implements Clock {
  #now = 0;
  readonly #timers = new Set<{ readonly when: number; readonly wake: () => void }>();

  get armed(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#now;
  }

  at(when: number, wake: () => void): Disposable {
    const timer = { when, wake };
    this.#timers.add(timer);
    return { [Symbol.dispose]: () => void this.#timers.delete(timer) };
  }

  advance(ms: number): void {
    this.#now += ms;
    const due = [...this.#timers].filter((timer) => timer.when <= this.#now).sort((a, b) => a.when - b.when);
    for (const timer of due) if (this.#timers.delete(timer)) timer.wake();
  }
}

/** Lets everything that is ready to run, run. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 8; i++) await Promise.resolve();
}
