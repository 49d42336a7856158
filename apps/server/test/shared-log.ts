/**
 * shared-log.ts: a log that several state machines of one test share, with leaders that come and go when the test says so.
 *
 * It keeps the engine's promises (engine.ts of @fed/fsm) and nothing on a disk: entries have one order, only the leader
 * appends, in the term it names, every change of leader is told in order. A replica can be made to lag.
 */
import { type EngineHooks, type Leadership, type LogEngine, LogError, type OpenEngine } from '@fed/fsm';

type Entry = { readonly command: Uint8Array } | { readonly records: readonly Uint8Array[] };

interface Replica {
  readonly address: string;
  readonly hooks: EngineHooks;
  readonly listeners: Set<(now: Leadership) => void>;
  applied: number;
  lagging: boolean;
  heard: boolean;
}

export class SharedLog {
  readonly #entries: Entry[] = [];
  readonly #replicas = new Map<string, Replica>();
  #term = 0;
  #leader: string | undefined;

  get leader(): string | undefined {
    return this.#leader;
  }

  get lastIndex(): number {
    return this.#entries.length;
  }

  /** What openFsm is given for the server at this address. Nobody leads until somebody is elected. */
  open(address: string): OpenEngine {
    return (hooks) => {
      const replica: Replica = {
        address,
        hooks,
        listeners: new Set(),
        applied: 0,
        lagging: false,
        heard: this.#leader !== undefined,
      };
      this.#replicas.set(address, replica);
      this.#catchUp(replica);
      return Promise.resolve(this.#engineOf(replica));
    };
  }

  /** A new term, also when the same server wins it again; `undefined`: nobody leads. */
  elect(address: string | undefined): void {
    this.#term++;
    this.#leader = address;
    const leader = address === undefined ? undefined : this.#replicas.get(address);
    if (leader !== undefined) leader.lagging = false;
    if (leader !== undefined) this.#catchUp(leader);
    for (const replica of this.#replicas.values()) {
      if (address !== undefined) replica.heard = true;
      const now = this.#leadershipOf(replica);
      for (const listener of [...replica.listeners]) listener(now);
    }
  }

  /** While it lags a replica applies nothing. */
  lag(address: string, lagging: boolean): void {
    const replica = this.#replicas.get(address) as Replica;
    replica.lagging = lagging;
    this.#catchUp(replica);
  }

  #leadershipOf({ address }: Replica): Leadership {
    const base = { leader: this.#leader === address, term: this.#term };
    return this.#leader === undefined ? base : { ...base, leaderAddress: this.#leader };
  }

  #append(replica: Replica, entry: Entry, term: number | undefined): { index: number; result: unknown } {
    if (this.#leader !== replica.address || (term !== undefined && term !== this.#term))
      throw new LogError('log_not_leader', '', `${replica.address} does not lead`);
    this.#entries.push(entry);
    const result = this.#catchUp(replica);
    for (const other of this.#replicas.values()) this.#catchUp(other);
    return { index: this.#entries.length, result };
  }

  #catchUp(replica: Replica): unknown {
    let result: unknown;
    while (!replica.lagging && replica.applied < this.#entries.length) {
      const entry = this.#entries[replica.applied] as Entry;
      replica.applied++;
      if ('command' in entry) result = replica.hooks.apply(replica.applied, entry.command);
      else replica.hooks.restore(entry.records, replica.applied);
    }
    return result;
  }

  #engineOf(replica: Replica): LogEngine {
    return {
      // A write is never over in the breath it was begun in.
      append: async (command, o) => {
        await Promise.resolve();
        return this.#append(replica, { command }, o?.term);
      },
      install: async (records) => {
        await Promise.resolve();
        return { index: this.#append(replica, { records: [...records] }, undefined).index };
      },
      leadership: () => this.#leadershipOf(replica),
      onLeadership: (listener) => {
        replica.listeners.add(listener);
        return { [Symbol.dispose]: () => void replica.listeners.delete(listener) };
      },
      resign: async () => {
        if (this.#leader === replica.address) this.elect(undefined);
      },
      lastContactMs: () => (this.#leader === replica.address ? 0 : replica.heard ? 25 : undefined),
      barrier: async (signal) => {
        signal?.throwIfAborted();
        if (this.#leader !== replica.address)
          throw new LogError('log_not_leader', '', `${replica.address} does not lead`);
      },
      compact: () => Promise.resolve({ index: replica.applied }),
      stats: () => ({
        lastIndex: replica.applied,
        snapshotIndex: 0,
        logBytes: 0,
        appended: 0,
        batches: 0,
        refusing: undefined,
      }),
      [Symbol.asyncDispose]: async () => void this.#replicas.delete(replica.address),
    };
  }
}
