/** virtual-clock.ts: time that moves when told to, and tells when somebody starts to wait for it. */
import type { Clock } from '../src/relay/ports.ts';

export class VirtualClock implements Clock {
  #now = 0;
  #alarms: { when: number; wake: () => void }[] = [];
  #watchers: (() => void)[] = [];

  now(): number {
    return this.#now;
  }

  at(when: number, wake: () => void): Disposable {
    const alarm = { when, wake };
    this.#alarms.push(alarm);
    for (const look of this.#watchers) look();
    return {
      [Symbol.dispose]: () => {
        this.#alarms = this.#alarms.filter((a) => a !== alarm);
      },
    };
  }

  get waiting(): number {
    return this.#alarms.length;
  }

  /** When the earliest alarm rings. */
  get next(): number | undefined {
    return this.#alarms.length === 0 ? undefined : Math.min(...this.#alarms.map((a) => a.when));
  }

  /** Calls `then` once an alarm is set for `when`, as soon as the code that set it is done with its turn. */
  whenSet(when: number, then: () => void): void {
    void this.expecting(when).then(then);
  }

  /** Resolves once an alarm is set for `when`. */
  async expecting(when: number): Promise<void> {
    const isSet = (): boolean => this.#alarms.some((a) => a.when === when);
    if (isSet()) return;
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (!isSet()) return;
        this.#watchers = this.#watchers.filter((w) => w !== look);
        resolve();
      };
      this.#watchers.push(look);
    });
  }

  /** Moves on by `ms`, waking whoever is due, in order. */
  advance(ms: number): void {
    const target = this.#now + ms;
    for (;;) {
      const due = this.#alarms.filter((a) => a.when <= target).sort((a, b) => a.when - b.when)[0];
      if (due === undefined) break;
      this.#alarms = this.#alarms.filter((a) => a !== due);
      this.#now = Math.max(this.#now, due.when);
      due.wake();
    }
    this.#now = target;
  }
}
