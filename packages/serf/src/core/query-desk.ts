/**
 * query-desk.ts: asking all members something, and answering what they ask.
 *
 * A query travels like rumour and its answers come back directly, once by themselves and, when asked for, by way of
 * other members, in case the direct way loses them. serf serf.go: Query, handleQuery, handleQueryResponse; query.go:
 * relayResponse; event.go: Respond; internal_query.go: handleConflict.
 * Lives here: queries in and out. Must not live here: rings and answer sets (queries.ts), keys (keys.ts).
 */
import type { SerfConfig } from '../config.ts';
import { SerfError } from '../errors.ts';
import type { Millis, Rng } from '../ports.ts';
import { encodeFilter, encodeMessage } from '../wire/encode.ts';
import {
  type ConflictResponse,
  type Filter,
  type LamportTime,
  type QueryMessage,
  type QueryResponseMessage,
  queryFlag,
} from '../wire/message.ts';
import type { Tags } from '../wire/tags.ts';
import type { Destination, Effect } from './effects.ts';
import type { IncomingQuery } from './events.ts';
import { passesFilters } from './filters.ts';
import type { LamportClock } from './lamport.ts';
import type { Members, Row } from './members.ts';
import { QueriesHeard, QueriesRunning } from './queries.ts';

/** What every internal query's name begins with. */
export const internalPrefix = '_serf_';
/** memberlist's protocol since which members understand a relay. */
const relaySince = 5;
const queriesSince = 4;

export interface Question {
  readonly name: string;
  readonly payload: Uint8Array;
  readonly filters: readonly Filter[];
  readonly ack: boolean;
  /** 0..255 */
  readonly relayFactor: number;
  readonly timeoutMs: number;
  /** Where answers go: ourselves. */
  readonly reply: Destination;
}

export class Queries {
  readonly running: QueriesRunning = new QueriesRunning();
  /** Our own: what filters look at. */
  tags: Tags;
  readonly #heard: QueriesHeard;
  readonly #answered = new WeakSet<IncomingQuery>();
  readonly #name: string;
  readonly #config: SerfConfig;
  readonly #rng: Rng;
  readonly #members: Members;
  readonly #effect: (e: Effect) => void;

  constructor(o: {
    readonly name: string;
    readonly tags: Tags;
    readonly config: SerfConfig;
    readonly rng: Rng;
    readonly members: Members;
    readonly effect: (e: Effect) => void;
  }) {
    this.#name = o.name;
    this.tags = o.tags;
    this.#config = o.config;
    this.#rng = o.rng;
    this.#members = o.members;
    this.#effect = o.effect;
    this.#heard = new QueriesHeard(o.config.queryBufferSlots);
  }

  get clock(): LamportClock {
    return this.#heard.clock;
  }
  set minTime(t: LamportTime) {
    this.#heard.minTime = t;
  }

  /** A query of our own, registered for answers; to be heard by ourselves and broadcast. */
  ask(q: Question, now: Millis): { message: QueryMessage; bytes: Uint8Array } {
    if (this.#config.protocolVersion < queriesSince)
      throw new SerfError('protocol_too_old', `queries need protocol ${queriesSince}`);
    const message: QueryMessage = {
      kind: 'query',
      ltime: this.clock.time,
      id: this.#rng.below(2 ** 31),
      addr: q.reply.addr,
      port: q.reply.port,
      sourceNode: q.reply.name,
      filters: q.filters.length === 0 ? null : q.filters.map(encodeFilter),
      flags: q.ack ? queryFlag.ack : 0,
      relayFactor: q.relayFactor,
      timeoutNs: BigInt(Math.round(q.timeoutMs * 1e6)),
      name: q.name,
      payload: q.payload,
    };
    const bytes = encodeMessage(message);
    const max = this.#config.queryBytesMax;
    if (bytes.length > max)
      throw new SerfError(
        'query_too_large',
        `query '${q.name}' takes ${bytes.length} bytes, at most ${max} are allowed`,
      );
    this.running.start(message.ltime, message.id, now + q.timeoutMs);
    return { message, bytes };
  }

  /** Whether to pass it on. */
  hear(q: QueryMessage, now: Millis): boolean {
    const heard = this.#heard.hear(q);
    if (heard === 'too_old' || heard === 'full')
      this.#warn(`query_${heard}`, `query '${q.name}' of time ${q.ltime} was dropped`);
    if (heard !== 'new') return false;
    const passOn = (q.flags & queryFlag.noBroadcast) === 0; // even when it does not mean us
    if (!passesFilters(q.filters, this.#name, this.tags)) return passOn;
    const query: IncomingQuery = {
      ltime: q.ltime,
      id: q.id,
      name: q.name,
      payload: q.payload ?? new Uint8Array(0),
      addr: q.addr ?? new Uint8Array(0),
      port: q.port,
      sourceNode: q.sourceNode,
      relayFactor: q.relayFactor,
      until: now + Number(q.timeoutNs) / 1e6,
    };
    if ((q.flags & queryFlag.ack) !== 0) this.#reply(query, { flags: queryFlag.ack, payload: null });
    this.#dispatch(query);
    return passOn;
  }

  /** Throws SerfError: query_expired, query_answered, response_too_large. */
  respond(query: IncomingQuery, payload: Uint8Array, now: Millis): void {
    if (this.#answered.has(query))
      throw new SerfError('query_answered', `query '${query.name}' has its answer already`);
    if (now > query.until)
      throw new SerfError(
        'query_expired',
        `query '${query.name}' came to its end ${Math.round(now - query.until)} ms ago`,
      );
    const bytes = this.responseBytes(query, payload);
    const max = this.#config.queryResponseBytesMax;
    if (bytes > max)
      throw new SerfError(
        'response_too_large',
        `the answer takes ${bytes} bytes, at most ${max} are allowed`,
      );
    this.#answered.add(query);
    this.#reply(query, { flags: 0, payload });
  }

  /** What an answer with this payload takes on the wire. */
  responseBytes(query: IncomingQuery, payload: Uint8Array): number {
    return encodeMessage(this.#response(query, { flags: 0, payload })).length;
  }

  /** Somebody answers (or acks) a query of ours. */
  answer(m: QueryResponseMessage, now: Millis): void {
    const ack = (m.flags & queryFlag.ack) !== 0;
    if (!this.running.take(m, ack, now)) return;
    const { ltime, from } = m;
    if (ack) this.#effect({ kind: 'acked', ltime, from });
    else this.#effect({ kind: 'answered', ltime, from, payload: Uint8Array.from(m.payload ?? []) }); // not the whole packet
  }

  deadline(): Millis {
    return this.running.deadline();
  }

  expire(now: Millis): void {
    for (const ltime of this.running.expire(now)) this.#effect({ kind: 'queryOver', ltime });
  }

  #dispatch(query: IncomingQuery): void {
    if (!query.name.startsWith(internalPrefix)) {
      this.#effect({ kind: 'asked', scope: 'application', query });
      return;
    }
    switch (query.name.slice(internalPrefix.length)) {
      case 'conflict':
        this.#answerConflict(query);
        break;
      case 'install-key':
      case 'use-key':
      case 'remove-key':
      case 'list-keys':
        this.#effect({ kind: 'asked', scope: 'keys', query });
        return;
      case 'ping':
        break; // the ack was the answer
      default:
        this.#warn('query_unknown', `an internal query '${query.name}' that this release does not know`);
    }
    this.#effect({ kind: 'asked', scope: 'internal', query });
  }

  /** Two claim one name: everybody else says whom it knows by it. */
  #answerConflict(query: IncomingQuery): void {
    const name = Buffer.from(query.payload).toString();
    if (name === this.#name) return;
    const row = this.#members.get(name);
    const payload = encodeMessage({ kind: 'conflictResponse', member: row && describe(row) });
    if (this.responseBytes(query, payload) > this.#config.queryResponseBytesMax)
      this.#warn('conflict_too_large', `what is known of '${name}' does not fit into an answer`);
    else this.#reply(query, { flags: 0, payload });
  }

  #reply(query: IncomingQuery, r: { flags: number; payload: Uint8Array | null }): void {
    const response = this.#response(query, r);
    const to: Destination = { addr: query.addr, port: query.port, name: query.sourceNode };
    const message = encodeMessage(response);
    this.#effect({ kind: 'send', to, message });
    if (query.relayFactor === 0 || this.#members.size < query.relayFactor + 1) return;
    const { addr, port, name: node } = to;
    const relay = encodeMessage({ kind: 'relay', addr, port, zone: '', node, inner: message });
    if (relay.length > this.#config.queryResponseBytesMax) {
      this.#warn(
        'relay_too_large',
        `the answer to '${query.name}' does not fit into a relay and goes directly only`,
      );
      return;
    }
    const relays = this.#members.random(
      query.relayFactor,
      this.#rng,
      (row) => row.status === 'alive' && row.vsn.pMax >= relaySince && row.name !== this.#name,
    );
    for (const row of relays) this.#effect({ kind: 'send', to: row, message: relay });
  }

  #response(query: IncomingQuery, r: { flags: number; payload: Uint8Array | null }): QueryResponseMessage {
    return { kind: 'queryResponse', ltime: query.ltime, id: query.id, from: this.#name, ...r };
  }

  #warn(code: string, text: string): void {
    this.#effect({ kind: 'log', entry: { level: 'warn', code, text } });
  }
}

const statusCode = { alive: 1, leaving: 2, left: 3, failed: 4 } as const;

function describe(row: Row): ConflictResponse['member'] {
  return {
    name: row.name,
    addr: row.addr,
    port: row.port,
    tags: row.tags,
    status: statusCode[row.status],
    protocolMin: row.vsn.pMin,
    protocolMax: row.vsn.pMax,
    protocolCur: row.vsn.pCur,
    delegateMin: row.vsn.dMin,
    delegateMax: row.vsn.dMax,
    delegateCur: row.vsn.dCur,
  };
}
