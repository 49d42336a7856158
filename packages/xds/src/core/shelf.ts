/**
 * shelf.ts: what was made before, so that the same is not encoded and hashed again.
 *
 * Two generations: when the young one is full it becomes the old one, and what nobody asked for meanwhile goes with it.
 * Lives here: that memory, bounded. Must not live here: what is kept (workshop.ts).
 */

/** Of each of two generations, keys and values. */
const generationBytesMax = 16 * 1_024 * 1_024;

export class Shelf<T> {
  #young = new Map<string, T>();
  #old = new Map<string, T>();
  #youngBytes = 0;
  readonly #bytesOf: (value: T) => number;
  readonly #bytesMax: number;

  constructor(bytesOf: (value: T) => number, bytesMax: number = generationBytesMax) {
    this.#bytesOf = bytesOf;
    this.#bytesMax = bytesMax;
  }

  /** What was put there under this key, or what `make` makes. */
  get(key: string, make: () => T): T {
    const known = this.#young.get(key);
    if (known !== undefined) return known;
    const value = this.#old.get(key) ?? make();
    if (this.#youngBytes >= this.#bytesMax) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#youngBytes = 0;
    }
    this.#young.set(key, value);
    this.#youngBytes += key.length + this.#bytesOf(value);
    return value;
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }
}
