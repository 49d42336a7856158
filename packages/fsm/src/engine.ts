/**
 * engine.ts: what the state machine asks of a log, and what a log asks of the state machine.
 *
 * The log decides the order and keeps the commands safe; the state machine gives them meaning. Neither knows the other's
 * inside. The embedded log (log/embedded-log.ts) is one engine, a shared etcd another.
 * Lives here: the two faces of that door. Must not live here: files, sockets, tables.
 */

/**
 * Leadership as the engine sees it. `term` grows with every change of leader, and with every time the same server becomes
 * leader again. `leaderAddress` is what the leader told the engine to call it, absent while nobody leads.
 */
export interface Leadership {
  readonly leader: boolean;
  readonly term: number;
  readonly leaderAddress?: string;
}

/** Orders commands, makes them durable, tells who leads. */
export interface LogEngine extends AsyncDisposable {
  /**
   * Resolves after the command is durable and applied; rejects if it will never be (or, with `log_outcome_unknown`, if the
   * engine cannot tell). Only the leader appends: everybody else is refused with `log_not_leader`, and so is who names a
   * `term` that is over, so that what was begun in one term is not written in the next.
   */
  append(
    command: Uint8Array,
    o?: { readonly term?: number },
  ): Promise<{ readonly index: number; readonly result: unknown }>;
  /** Replaces the whole state by these snapshot records, as one durable step at an index of its own, above `atLeast`. */
  install(
    records: Iterable<Uint8Array>,
    o: { readonly atLeast: number },
  ): Promise<{ readonly index: number }>;
  leadership(): Leadership;
  /** Hears every change of leader, in order; a term that came and went is told as two changes. */
  onLeadership(listener: (now: Leadership) => void): Disposable;
  /** Lets another lead, if we do; resolves when we do not any more. Alone there is nobody to hand over to. */
  resign(): Promise<void>;
  /** How old what is applied here may be, in ms: 0 for the leader, undefined while there never was a leader to hear from. */
  lastContactMs(): number | undefined;
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
