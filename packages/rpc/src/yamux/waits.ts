/**
 * waits.ts: many waits of the same length, of which only the oldest matters.
 *
 * When every wait lasts equally long, they end in the order they began: a queue, not a heap.
 * Lives here: that queue. Must not live here: what is waited for.
 */
export class Waits {
  readonly #lastsMs: number;
  readonly #ends = new Map<number, number>(); // id to the time its wait ends, earliest first
  constructor(lastsMs: number) {
    this.#lastsMs = lastsMs;
  }

  add(id: number, now: number): void {
    this.#ends.set(id, now + this.#lastsMs);
  }

  delete(id: number): void {
    this.#ends.delete(id);
  }

  /** When the oldest wait ends. */
  deadline(): number | undefined {
    return this.#ends.values().next().value;
  }

  /** The id whose wait is over, longest first. It stays until deleted. */
  due(now: number): number | undefined {
    const oldest = this.#ends.entries().next().value;
    return oldest !== undefined && now >= oldest[1] ? oldest[0] : undefined;
  }
}
