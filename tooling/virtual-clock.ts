/**
 * virtual-clock.ts: time that moves only when a test says so. Fits every room's `Clock` port by its shape.
 *
 * `SteppedClock` wakes whoever is due and returns; `VirtualClock` also lets each waking take effect before the next.
 */

interface Alarm {
  readonly when: number;
  readonly wake: () => void;
}

class Alarms {
  #now = 0;
  readonly #alarms = new Set<Alarm>();
  readonly #watchers = new Set<() => void>();

  now(): number {
    return this.#now;
  }

  at(when: number, wake: () => void): Disposable {
    const alarm = { when, wake };
    this.#alarms.add(alarm);
    for (const look of this.#watchers) look();
    return { [Symbol.dispose]: () => void this.#alarms.delete(alarm) };
  }

  /** Alarms that are set and have not rung. */
  get armed(): number {
    return this.#alarms.size;
  }

  /** When the earliest alarm rings. */
  get next(): number | undefined {
    return this.#alarms.size === 0 ? undefined : Math.min(...[...this.#alarms].map((a) => a.when));
  }

  /** Resolves once an alarm is set for `when`. */
  async expecting(when: number): Promise<void> {
    const isSet = (): boolean => [...this.#alarms].some((a) => a.when === when);
    if (isSet()) return;
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (!isSet()) return;
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
    });
  }

  /** Rings the earliest alarm that is due by `until`, at its own time; false, and it is `until`, if there is none. */
  protected ring(until: number): boolean {
    const [due] = [...this.#alarms].filter((a) => a.when <= until).sort((a, b) => a.when - b.when);
    this.#now = due === undefined ? until : Math.max(this.#now, due.when);
    if (due === undefined) return false;
    this.#alarms.delete(due);
    due.wake();
    return true;
  }
}

export class SteppedClock extends Alarms {
  /** Moves on by `ms`, waking whoever is due, in order. */
  advance(ms: number): void {
    const until = this.now() + ms;
    while (this.ring(until));
  }

  /** Calls `then` once an alarm is set for `when`, as soon as the code that set it is done with its turn. */
  whenSet(when: number, then: () => void): void {
    void this.expecting(when).then(then);
  }
}

export class VirtualClock extends Alarms {
  /** Rings everything that is due on the way, in order, letting each take effect before the next. */
  async advance(ms: number): Promise<void> {
    const until = this.now() + ms;
    await settled();
    while (this.ring(until)) await settled();
  }
}

/** Everything that can happen without time passing has happened: a few turns of the event loop. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}
