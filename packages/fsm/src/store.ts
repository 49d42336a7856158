/**
 * store.ts: the state, its readers and those who wait for it.
 *
 * Itself it is a reader that leaves no trail. One writer (the state machine, in log order) and any number of readers, who see only whole transactions because nothing
 * here ever awaits. Rows handed out are the stored ones, frozen.
 * Lives here: transactions to watches, reading with a trail. Must not live here: what commands mean, timers.
 */
import type { ReadStore } from './read-store.ts';
import { Answers, type Current, StoreReader } from './store-reader.ts';
import { Tables, Transaction } from './tables.ts';
import { type Waiter, WatchHub } from './watch.ts';

export class Store extends StoreReader {
  readonly #current: Current;
  readonly #hub = new WatchHub();
  #appliedIndex = 0;
  #epoch = 0;

  constructor() {
    const current = { tables: new Tables(), answers: new Answers() };
    super(current);
    this.#current = current;
  }

  /** Grows with every restore. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Index of the last command or snapshot that reached this state. */
  get appliedIndex(): number {
    return this.#appliedIndex;
  }

  /** Waiters parked now. */
  get parked(): number {
    return this.#hub.parked;
  }

  /** Runs `read` and tells which watch keys the answer depends on. */
  track<T>(read: (store: ReadStore) => T): { readonly value: T; readonly keys: ReadonlySet<string> } {
    const keys = new Set<string>();
    const value = read(new StoreReader(this.#current, keys));
    return { value, keys };
  }

  park(waiter: Waiter): Disposable {
    return this.#hub.park(waiter);
  }

  /** Runs `change` as one transaction of the log entry `index`; when it throws, nothing has happened but the index moved on. */
  write<T>(index: number, change: (tx: Transaction) => T): T {
    const tx = new Transaction(this.#current.tables, index);
    this.#appliedIndex = index;
    let result: T;
    try {
      result = change(tx);
    } catch (error) {
      tx.abort();
      throw error;
    }
    if (tx.touched.size > 0) {
      this.#current.answers.forget(tx.touched);
      this.#hub.changed(tx.touched);
    }
    return result;
  }

  /** Replaces the whole state by what `fill` writes, and wakes everyone. When it throws, the old state stands. */
  restore(index: number, fill: (tx: Transaction) => void): void {
    const tables = new Tables();
    fill(new Transaction(tables, index, { journal: false }));
    this.#current.tables = tables;
    this.#current.answers = new Answers();
    this.#appliedIndex = index;
    this.#epoch++;
    this.#hub.restored();
  }

  /** The tables themselves, for the snapshot, which only reads. */
  get tables(): Tables {
    return this.#current.tables;
  }

  /**
   * Calls `listener` with the answer now and again after every change that may alter it, in a microtask, several commits
   * in one go becoming one call.
   */
  watch<T>(read: (store: ReadStore) => T, listener: (answer: T) => void): Disposable {
    let parked: Disposable | undefined;
    let disposed = false;
    const turn = (): void => {
      if (disposed) return;
      const { value, keys } = this.track(read);
      parked = this.park({ keys, wake: () => queueMicrotask(turn) });
      listener(value);
    };
    turn();
    return {
      [Symbol.dispose](): void {
        disposed = true;
        parked?.[Symbol.dispose]();
      },
    };
  }
}
