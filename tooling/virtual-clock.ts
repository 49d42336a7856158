/**
 * virtual-clock.ts: time that moves only when a test says so. Fits every room's `Clock` port by its shape.
 */

export class VirtualClock {
  #now = 0;
  readonly #timers = new Set<{ readonly when: number; readonly wake: () => void }>();

  now(): number {
    return this.#now;
  }

  at(when: number, wake: () => void): Disposable {
    const timer = { when, wake };
    this.#timers.add(timer);
    return { [Symbol.dispose]: () => this.#timers.delete(timer) };
  }

  get armed(): number {
    return this.#timers.size;
  }

  /** Rings everything that is due on the way, in order, letting each take effect before the next. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await settled();
    for (;;) {
      const next = [...this.#timers].filter((t) => t.when <= until).sort((a, b) => a.when - b.when)[0];
      if (!next) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.when);
      next.wake();
      await settled();
    }
    this.#now = until;
  }
}

/** Everything that can happen without time passing has happened: a few turns of the event loop. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}
