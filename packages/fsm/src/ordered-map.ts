/**
 * ordered-map.ts: a map that is read in the order of its keys.
 *
 * A hash map for finding, a sorted array of keys for walking. Inserting shifts the array, which for the sizes of a catalog
 * (10^4..10^5 keys) costs microseconds; updating a row in place costs nothing extra. Whole listings are kept until the
 * next change, so ten thousand readers of one table share one array.
 * Lives here: ordering. Must not live here: what rows mean, transactions, watches.
 */
export class OrderedMap<V> {
  readonly #byKey = new Map<string, V>();
  readonly #keys: string[] = [];
  #listing: readonly V[] | undefined;

  get size(): number {
    return this.#byKey.size;
  }

  get(key: string): V | undefined {
    return this.#byKey.get(key);
  }

  has(key: string): boolean {
    return this.#byKey.has(key);
  }

  set(key: string, value: V): void {
    if (!this.#byKey.has(key)) {
      // Bulk loads arrive in order: then the new key belongs at the end and nothing is shifted.
      const last = this.#keys[this.#keys.length - 1];
      if (last === undefined || last < key) this.#keys.push(key);
      else this.#keys.splice(this.#lowerBound(key), 0, key);
    }
    this.#byKey.set(key, value);
    this.#listing = undefined;
  }

  delete(key: string): boolean {
    if (!this.#byKey.delete(key)) return false;
    this.#keys.splice(this.#lowerBound(key), 1);
    this.#listing = undefined;
    return true;
  }

  clear(): void {
    this.#byKey.clear();
    this.#keys.length = 0;
    this.#listing = undefined;
  }

  /** All values, ascending by key; the same frozen array until the next change. */
  values(): readonly V[] {
    this.#listing ??= Object.freeze(this.#keys.map((key) => this.#byKey.get(key) as V));
    return this.#listing;
  }

  /** All entries at the moment of the call, ascending by key. */
  entries(): readonly (readonly [string, V])[] {
    return this.#keys.map((key) => [key, this.#byKey.get(key) as V] as const);
  }

  /** Values whose key starts with `prefix`, ascending by key. */
  withPrefix(prefix: string): V[] {
    const found: V[] = [];
    for (let i = this.#lowerBound(prefix); i < this.#keys.length; i++) {
      const key = this.#keys[i] as string;
      if (!key.startsWith(prefix)) break;
      found.push(this.#byKey.get(key) as V);
    }
    return found;
  }

  hasPrefix(prefix: string): boolean {
    return this.#keys[this.#lowerBound(prefix)]?.startsWith(prefix) ?? false;
  }

  #lowerBound(key: string): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#keys[middle] as string) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
