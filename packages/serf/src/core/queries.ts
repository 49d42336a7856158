/**
 * queries.ts: queries heard, so that each is handled once, and queries of our own that still take answers.
 *
 * serf serf.go: handleQuery, registerQueryResponse, handleQueryResponse.
 * Lives here: the ring of ids by Lamport time, running queries and who answered them. Must not live here: filters,
 * acks, delivery (core.ts).
 */
import type { Millis } from '../ports.ts';
import type { LamportTime, QueryMessage, QueryResponseMessage } from '../wire/message.ts';
import { LamportClock } from './lamport.ts';

/** Different queries of one Lamport time that are told apart. Guards our memory. */
export const queriesPerTimeMax = 1_024;
/** Different names whose answers one query takes. Names are the peers' choice; more than any pool has members. */
const answersMax = 65_536;
/** Payloads one query takes, in bytes over all answers. Our own members answer with 1 KiB at most. */
export const answerBytesMax: number = 64 * 1_024 * 1_024;

interface Slot {
  readonly ltime: LamportTime;
  readonly ids: Set<number>;
}

export type Heard = 'new' | 'before_minimum' | 'too_old' | 'seen' | 'full';

export class QueriesHeard {
  readonly clock: LamportClock = new LamportClock();
  minTime: LamportTime = 0n;
  readonly #ring: (Slot | undefined)[];

  constructor(slots: number) {
    this.#ring = new Array<Slot | undefined>(slots).fill(undefined);
  }

  hear(q: Pick<QueryMessage, 'ltime' | 'id'>): Heard {
    this.clock.witness(q.ltime);
    if (q.ltime < this.minTime) return 'before_minimum';
    const slots = BigInt(this.#ring.length);
    if (this.clock.time > slots && q.ltime < this.clock.time - slots) return 'too_old';
    const at = Number(q.ltime % slots);
    let slot = this.#ring[at];
    if (slot === undefined || slot.ltime !== q.ltime) {
      slot = { ltime: q.ltime, ids: new Set() };
      this.#ring[at] = slot;
    }
    if (slot.ids.has(q.id)) return 'seen';
    if (slot.ids.size >= queriesPerTimeMax) return 'full';
    slot.ids.add(q.id);
    return 'new';
  }
}

interface Running {
  readonly id: number;
  readonly until: Millis;
  readonly acks: Set<string>;
  readonly answers: Set<string>;
  answerBytes: number;
}

export class QueriesRunning {
  readonly #byTime = new Map<LamportTime, Running>();

  get size(): number {
    return this.#byTime.size;
  }

  start(ltime: LamportTime, id: number, until: Millis): void {
    this.#byTime.set(ltime, { id, until, acks: new Set(), answers: new Set(), answerBytes: 0 });
  }

  /** Whether somebody waits for this, and its sender has not said it before. */
  take(m: QueryResponseMessage, ack: boolean, now: Millis): boolean {
    const query = this.#byTime.get(m.ltime);
    if (query === undefined || query.id !== m.id || now >= query.until) return false;
    const from = ack ? query.acks : query.answers;
    const bytes = m.payload?.length ?? 0;
    if (from.has(m.from) || from.size >= answersMax || query.answerBytes + bytes > answerBytesMax)
      return false;
    query.answerBytes += bytes;
    from.add(m.from);
    return true;
  }

  /** No longer wanted. */
  stop(ltime: LamportTime): boolean {
    return this.#byTime.delete(ltime);
  }

  /** Those whose time is up, removed. */
  expire(now: Millis): LamportTime[] {
    const over: LamportTime[] = [];
    for (const [ltime, query] of this.#byTime) if (now >= query.until) over.push(ltime);
    for (const ltime of over) this.#byTime.delete(ltime);
    return over;
  }

  deadline(): Millis {
    let first = Number.POSITIVE_INFINITY;
    for (const { until } of this.#byTime.values()) if (until < first) first = until;
    return first;
  }
}
