/**
 * outgoing-query.ts: gathers what comes back for queries of ours.
 *
 * Lives here: one query, all of them by Lamport time. Must not live here: which answers count (core/queries.ts).
 */
import type { Query, QueryOptions, QueryResponse } from './api.ts';
import type { Filter, LamportTime } from './wire/message.ts';

export class OutgoingQuery implements Query {
  readonly ltime: LamportTime;
  readonly timeoutMs: number;
  readonly done: Query['done'];
  readonly #acks: string[] = [];
  readonly #responses: QueryResponse[] = [];
  readonly #options: QueryOptions;
  readonly #stop: () => void;
  readonly #finish: (r: Awaited<Query['done']>) => void;

  constructor(o: { ltime: LamportTime; timeoutMs: number; options: QueryOptions; stop: () => void }) {
    this.ltime = o.ltime;
    this.timeoutMs = o.timeoutMs;
    this.#options = o.options;
    this.#stop = o.stop;
    const { promise, resolve } = Promise.withResolvers<Awaited<Query['done']>>();
    this.done = promise;
    this.#finish = resolve;
  }

  acked(from: string): void {
    this.#acks.push(from);
    this.#options.onAck?.(from);
  }

  answered(from: string, payload: Uint8Array): void {
    const response = { from, payload };
    this.#responses.push(response);
    this.#options.onResponse?.(response);
  }

  over(): void {
    this.#finish({ acks: this.#acks, responses: this.#responses });
  }

  [Symbol.dispose](): void {
    this.#stop();
    this.over();
  }
}

/** Those still taking answers. */
export class OutgoingQueries {
  readonly #byTime = new Map<LamportTime, OutgoingQuery>();
  readonly #o: {
    readonly stop: (ltime: LamportTime) => void;
    /** Calls the application's code. */
    readonly guard: (call: () => void) => void;
  };

  constructor(o: {
    readonly stop: (ltime: LamportTime) => void;
    readonly guard: (call: () => void) => void;
  }) {
    this.#o = o;
  }

  add(o: { ltime: LamportTime; timeoutMs: number; options: QueryOptions }): OutgoingQuery {
    const stop = (): void => {
      this.#o.stop(o.ltime);
      this.#byTime.delete(o.ltime);
    };
    const query = new OutgoingQuery({ ...o, stop });
    this.#byTime.set(o.ltime, query);
    return query;
  }

  acked(ltime: LamportTime, from: string): void {
    this.#o.guard(() => this.#byTime.get(ltime)?.acked(from));
  }

  answered(ltime: LamportTime, from: string, payload: Uint8Array): void {
    this.#o.guard(() => this.#byTime.get(ltime)?.answered(from, payload));
  }

  over(ltime: LamportTime): void {
    this.#byTime.get(ltime)?.over();
    this.#byTime.delete(ltime);
  }

  end(): void {
    for (const query of this.#byTime.values()) query.over();
    this.#byTime.clear();
  }
}

/** Whom a query means. */
export function filtersOf(o: QueryOptions): Filter[] {
  const filters: Filter[] = [];
  if (o.filterNodes !== undefined && o.filterNodes.length > 0)
    filters.push({ kind: 'nodes', names: o.filterNodes });
  for (const [tag, expression] of Object.entries(o.filterTags ?? {}))
    filters.push({ kind: 'tag', tag, expression });
  return filters;
}

/** How long a query waits in a pool of `members`. serf query.go, DefaultQueryTimeout. */
export function queryTimeoutMs(o: {
  readonly gossipIntervalMs: number;
  readonly queryTimeoutMult: number;
  readonly members: number;
}): number {
  return o.gossipIntervalMs * o.queryTimeoutMult * Math.ceil(Math.log10(o.members + 1));
}
