/**
 * engine.ts: what the state machine asks of a log, and what a log asks of the state machine.
 *
 * The log decides the order and keeps the commands safe; the state machine gives them meaning. Neither knows the other's
 * inside. The embedded log (log/embedded-log.ts) is one engine, a shared etcd another.
 * Lives here: the two faces of that door. Must not live here: files, sockets, tables.
 */

/** Leadership as the engine sees it. `term` grows with every change of leader. */
export interface Leadership {
  readonly leader: boolean;
  readonly term: number;
  readonly leaderAddress?: string;
}

/** Orders commands, makes them durable, tells who leads. */
export interface LogEngine extends AsyncDisposable {
  /** Resolves after the command is durable and applied; rejects if it will never be (or, with `unknown_outcome`, if the engine cannot tell). */
  append(command: Uint8Array): Promise<{ readonly index: number; readonly result: unknown }>;
  /** Replaces the whole state by these snapshot records, as one durable step at an index of its own, above `atLeast`. */
  install(
    records: Iterable<Uint8Array>,
    o: { readonly atLeast: number },
  ): Promise<{ readonly index: number }>;
  leadership(): Leadership;
  onLeadership(listener: (now: Leadership) => void): Disposable;
  /** Resolves once every command acknowledged anywhere before this call is applied here, and we still lead. */
  barrier(signal?: AbortSignal): Promise<void>;
  /** Writes a snapshot now and drops the log before it. Writes go on meanwhile. */
  compact(): Promise<{ readonly index: number }>;
  stats(): EngineStats;
}

export interface EngineStats {
  readonly lastIndex: number;
  readonly snapshotIndex: number;
  readonly logBytes: number;
  readonly appended: number;
  readonly batches: number;
  /** Why writes are refused at the moment; undefined when they are not. */
  readonly refusing: string | undefined;
}

/** What an engine calls on the state machine. All three are synchronous and never called at the same time. */
export interface EngineHooks {
  /** Applies one command. Errors of the command are part of the returned value; a throw is a bug and stops the engine. */
  readonly apply: (index: number, command: Uint8Array) => unknown;
  /** The state as records. What is read is the state at the moment of the call, however late the iteration happens. */
  readonly snapshot: () => Iterable<Uint8Array>;
  /** Replaces the state by these records; `index` is the log index they stand for. */
  readonly restore: (records: Iterable<Uint8Array>, index: number) => void;
}

/** Builds an engine around a state machine's hooks; what openFsm is given. */
export type OpenEngine = (hooks: EngineHooks) => Promise<LogEngine>;
