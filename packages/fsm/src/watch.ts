/**
 * watch.ts: who waits for what.
 *
 * A reader leaves behind the keys it touched ('nodes', 'service:web', 'federation-state:dc2'); a commit names the keys it
 * changed; whoever holds a changed key is woken, once, and forgotten. Waiting costs a set entry per key, nothing else.
 * Lives here: keys to waiters. Must not live here: timers, promises, what the keys mean.
 */

/** Parked by `park`; `wake` is called at most once, synchronously inside the commit, and must only schedule work. */
export interface Waiter {
  readonly keys: ReadonlySet<string>;
  readonly wake: () => void;
}

export class WatchHub {
  readonly #waiters = new Map<string, Set<Waiter>>();
  readonly #forgetters = new WeakMap<Waiter, () => void>();
  #parked = 0;

  /** Waiters parked now. */
  get parked(): number {
    return this.#parked;
  }

  /** Disposing an already woken waiter does nothing. */
  park(waiter: Waiter): Disposable {
    for (const key of waiter.keys) {
      const set = this.#waiters.get(key);
      if (set === undefined) this.#waiters.set(key, new Set([waiter]));
      else set.add(waiter);
    }
    this.#parked++;
    let parked = true;
    const forget = (): void => {
      if (!parked) return;
      parked = false;
      this.#parked--;
      this.#forget(waiter);
    };
    this.#forgetters.set(waiter, forget);
    return { [Symbol.dispose]: forget };
  }

  /** Wakes everyone who holds one of `keys`. */
  changed(keys: Iterable<string>): void {
    const woken = new Set<Waiter>();
    for (const key of keys) for (const waiter of this.#waiters.get(key) ?? []) woken.add(waiter);
    this.#wake(woken);
  }

  /** The state was replaced as a whole: wakes everyone. */
  restored(): void {
    const woken = new Set<Waiter>();
    for (const set of this.#waiters.values()) for (const waiter of set) woken.add(waiter);
    this.#wake(woken);
  }

  #wake(woken: ReadonlySet<Waiter>): void {
    // All are forgotten before the first is woken: one that parks again waits for the next change, not for this one.
    for (const waiter of woken) this.#forgetters.get(waiter)?.();
    for (const waiter of woken) waiter.wake();
  }

  #forget(waiter: Waiter): void {
    for (const key of waiter.keys) {
      const set = this.#waiters.get(key);
      set?.delete(waiter);
      if (set?.size === 0) this.#waiters.delete(key);
    }
  }
}
