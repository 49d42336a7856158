/**
 * agenda.ts: everything that is to happen later, soonest first.
 *
 * The core has many waits and the shell one timer: the agenda is where they meet. A cancelled entry is gone at once,
 * so nothing ever wakes for a reason that has passed.
 * Lives here: a binary heap ordered by time, then by entry. Must not live here: what the entries mean (swim.ts).
 */
import type { Millis } from '../ports.ts';

export interface Entry<T> {
  readonly at: Millis;
  readonly due: T;
  /** Breaks ties: first come, first served, which keeps runs repeatable. */
  readonly order: number;
  /** Where it sits in the heap; -1 once it is off the agenda. */
  slot: number;
}

export class Agenda<T> {
  readonly #heap: Entry<T>[] = [];
  #order = 0;

  /** When the next entry is due. */
  get next(): Millis | undefined {
    return this.#heap[0]?.at;
  }

  get size(): number {
    return this.#heap.length;
  }

  add(at: Millis, due: T): Entry<T> {
    const entry: Entry<T> = { at, due, order: this.#order++, slot: this.#heap.length };
    this.#heap.push(entry);
    this.#rise(entry);
    return entry;
  }

  /** Nothing happens if it is off the agenda already. */
  cancel(entry: Entry<T> | undefined): void {
    if (entry === undefined || entry.slot < 0) return;
    const last = this.#heap.pop()!;
    if (last !== entry) {
      this.#put(last, entry.slot);
      this.#rise(last);
      this.#sink(last);
    }
    entry.slot = -1;
  }

  /** Takes the soonest entry that is due, if any. */
  take(now: Millis): T | undefined {
    const first = this.#heap[0];
    if (first === undefined || first.at > now) return undefined;
    this.cancel(first);
    return first.due;
  }

  #put(entry: Entry<T>, slot: number): void {
    this.#heap[slot] = entry;
    entry.slot = slot;
  }

  #rise(entry: Entry<T>): void {
    while (entry.slot > 0) {
      const above = (entry.slot - 1) >> 1;
      const parent = this.#heap[above]!;
      if (!before(entry, parent)) return;
      this.#put(parent, entry.slot);
      this.#put(entry, above);
    }
  }

  #sink(entry: Entry<T>): void {
    for (;;) {
      const left = 2 * entry.slot + 1;
      const right = left + 1;
      let below = this.#heap[left];
      const other = this.#heap[right];
      if (below === undefined) return;
      if (other !== undefined && before(other, below)) below = other;
      if (!before(below, entry)) return;
      const slot = below.slot;
      this.#put(below, entry.slot);
      this.#put(entry, slot);
    }
  }
}

function before<T>(a: Entry<T>, b: Entry<T>): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
