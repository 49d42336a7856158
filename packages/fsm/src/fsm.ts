/**
 * fsm.ts: the state machine behind one door: a log engine underneath, a store to read, commands to apply.
 *
 * Lives here: wiring engine to store, one error channel for commands. Must not live here: the meaning of commands.
 */
import { type ApplyResult, apply, type CommandResult } from './apply.ts';
import { type BlockingQueryOptions, blockingQuery, type WatchableStore } from './blocking-query.ts';
import { type Command, encodeCommand } from './command.ts';
import type { LogEngine, OpenEngine } from './engine.ts';
import { FsmError } from './errors.ts';
import type { Clock, Rng } from './ports.ts';
import type { ReadStore } from './read-store.ts';
import { restoreRecords, snapshotRecords, splitRecords } from './snapshot.ts';
import { Store } from './store.ts';
import { systemClock, systemRng } from './system.ts';

export interface ApplyOptions {
  readonly term?: number;
}

export interface Applied {
  readonly index: number;
  readonly result: CommandResult;
}

export interface Fsm extends AsyncDisposable {
  /** Reads what is applied now: not a copy, ask again to see later changes. Also what `blockingQuery` takes. */
  readonly store: ReadStore & WatchableStore;
  /** Calls `listener` with the answer now and after every change that may alter it (in a microtask, bursts merged). */
  watch<T>(read: (store: ReadStore) => T, listener: (answer: T) => void): Disposable;
  /** See blockingQuery; `waitMs` 0 is the default of 300 s. */
  query<T>(
    o: Omit<BlockingQueryOptions, 'clock' | 'rng'>,
    read: (store: ReadStore) => { readonly index: number; readonly value: T },
  ): Promise<{ readonly index: number; readonly value: T }>;
  /**
   * Resolves when durable and applied. Rejects with FsmError when the command was refused, with the engine's error when it
   * will never be in the log; with a `term`, also when that is over.
   */
  apply(command: Command, o?: ApplyOptions): Promise<Applied>;
  /** The same for bytes that already are a log entry. */
  applyBytes(entry: Uint8Array, o?: ApplyOptions): Promise<Applied>;
  /** The state now, in the original's format (state.bin of a snapshot archive). */
  snapshot(): Uint8Array;
  /** Replaces the state by such a snapshot, durably, at a new index. Throws SnapshotError before anything is touched. */
  restore(snapshot: Uint8Array): Promise<{ readonly index: number }>;
  readonly engine: LogEngine;
  stats(): { readonly appliedIndex: number; readonly parked: number };
}

export async function openFsm(o: {
  readonly engine: OpenEngine;
  readonly clock?: Clock;
  readonly rng?: Rng;
}): Promise<Fsm> {
  const store = new Store();
  const clock = o.clock ?? systemClock;
  const rng = o.rng ?? systemRng;
  const engine = await o.engine({
    apply: (index, command) => apply(store, index, command),
    snapshot: () => snapshotRecords(store),
    restore: (records, index) => {
      restoreRecords(store, records, index);
    },
  });

  const applyBytes = async (entry: Uint8Array, options?: ApplyOptions): Promise<Applied> => {
    const { index, result } = await engine.append(entry, options);
    const verdict = result as ApplyResult;
    if (verdict instanceof FsmError) throw verdict;
    return { index, result: verdict };
  };

  return {
    store,
    watch: (read, listener) => store.watch(read, listener),
    query: (options, read) => blockingQuery(store, { ...options, clock, rng }, read),
    apply: (command, options) => applyBytes(encodeCommand(command), options),
    applyBytes,
    snapshot: () => Buffer.concat([...snapshotRecords(store)]),
    async restore(snapshot) {
      const records = splitRecords(snapshot);
      // A rehearsal: what the state machine would refuse must not reach the disk.
      const { lastIndex } = restoreRecords(new Store(), records);
      return engine.install(records, { atLeast: lastIndex });
    },
    engine,
    stats: () => ({ appliedIndex: store.appliedIndex, parked: store.parked }),
    async [Symbol.asyncDispose]() {
      await engine[Symbol.asyncDispose]();
    },
  };
}
