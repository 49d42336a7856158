/**
 * virtual-clock.ts: time that passes only when told to.
 *
 * Production code asks for a wake-up; here the next one is simply the next thing that happens. Between two wake-ups
 * everything that needs no time (promises, node streams) is let run to its end, so a run depends on nothing but its
 * seed. Lives here: the order of wake-ups. Must not live here: chance, networks.
 */
import type { Clock } from '@fed/memberlist';

interface Wake {
  readonly at: number;
  /** Breaks ties: first asked, first served. */
  readonly order: number;
  readonly wake: () => void;
  cancelled: boolean;
}

export class VirtualClock implements Clock {
  readonly #heap: Wake[] = [];
  #now: number;
  #order = 0;

  constructor(startMs = 0) {
    this.#now = startMs;
  }

  now(): number {
    return this.#now;
  }

  at(when: number, wake: () => void): Disposable {
    const entry: Wake = { at: Math.max(when, this.#now), order: this.#order++, wake, cancelled: false };
    this.#push(entry);
    return {
      [Symbol.dispose]: () => {
        entry.cancelled = true;
      },
    };
  }

  /** Lets `ms` pass, or less if `until` turns true; it is asked after every wake-up. */
  async run(ms: number, until: () => boolean = () => false): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (let next = this.#pop(end); next !== undefined; next = this.#pop(end)) {
      this.#now = next.at;
      next.wake();
      await settle();
      if (until()) return;
    }
    this.#now = end;
  }

  /** Resolves as `promise` does, with time passing meanwhile; throws if that takes longer than `limitMs`. */
  async until<T>(promise: Promise<T>, limitMs = 600_000): Promise<T> {
    let done = false;
    const finished = (): void => {
      done = true;
    };
    promise.then(finished, finished);
    await this.run(limitMs, () => done);
    if (!done) throw new Error(`still waiting after ${limitMs} ms of virtual time`);
    return promise;
  }

  #push(entry: Wake): void {
    const heap = this.#heap;
    let slot = heap.push(entry) - 1;
    while (slot > 0) {
      const above = (slot - 1) >> 1;
      if (!before(entry, heap[above]!)) break;
      heap[slot] = heap[above]!;
      slot = above;
    }
    heap[slot] = entry;
  }

  /** The next wake-up that is wanted and due by `end`. */
  #pop(end: number): Wake | undefined {
    const heap = this.#heap;
    for (;;) {
      const first = heap[0];
      if (first === undefined || (first.at > end && !first.cancelled)) return undefined;
      const last = heap.pop()!;
      if (last !== first) this.#sink(last);
      if (!first.cancelled) return first;
    }
  }

  #sink(entry: Wake): void {
    const heap = this.#heap;
    let slot = 0;
    for (;;) {
      let below = 2 * slot + 1;
      if (below + 1 < heap.length && before(heap[below + 1]!, heap[below]!)) below++;
      if (below >= heap.length || !before(heap[below]!, entry)) break;
      heap[slot] = heap[below]!;
      slot = below;
    }
    heap[slot] = entry;
  }
}

function before(a: Wake, b: Wake): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** All promises and node streams that can go on have done so when an immediate is reached. */
function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
