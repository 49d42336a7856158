/** virtual-clock.ts: time that moves when the test says so. Timers due at one moment fire in the order they were set. */
export class VirtualClock {
  #now = 0;
  #timers: { readonly when: number; readonly wake: () => void }[] = [];

  readonly now = (): number => this.#now;

  readonly at = (when: number, wake: () => void): Disposable => {
    const timer = { when, wake };
    this.#timers.push(timer);
    return {
      [Symbol.dispose]: () => {
        this.#timers = this.#timers.filter((t) => t !== timer);
      },
    };
  };

  /** Moves on, firing what falls due; lets promises settle in between. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    for (;;) {
      await settle();
      const due = this.#timers.filter((t) => t.when <= until).sort((a, b) => a.when - b.when)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((t) => t !== due);
      this.#now = Math.max(this.#now, due.when);
      due.wake();
    }
    this.#now = until;
    await settle();
  }

  get pending(): number {
    return this.#timers.length;
  }
}

/** Lets every promise that can settle without new events do so. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}
