/**
 * pool.ts: calls to servers anywhere, over as few connections as possible.
 *
 * One session per server, found by datacenter, node and address together (I5); whoever calls a server while it is being
 * dialled waits for the same dial. What goes wrong in one datacenter is counted against that datacenter only (I7).
 * Lives here: which session a call takes, and what its caller is told. Must not live here: framing, yamux, routes.
 * Source: Consul agent/pool/pool.go (RPC, acquire, getNewConn, reap).
 */
import type { Duplex } from 'node:stream';
import type { Value } from '@fed/msgpack';
import { Breaker, type BreakerConfig } from './breaker.ts';
import { RpcError, RpcWireError, YamuxError } from './errors.ts';
import { decodeBody, encodeRequest, questionIn, type RawMessage } from './net-rpc.ts';
import { Patience } from './patience.ts';
import { PooledSession } from './pooled-session.ts';
import type { Clock, DialRpc, RpcTarget } from './ports.ts';
import { ReplyMemory } from './reply-memory.ts';
import { systemClock } from './system.ts';
import { openYamux } from './yamux/session.ts';
import type { YamuxConfig } from './yamux/session-events.ts';

export interface RpcPoolOptions {
  readonly dial: DialRpc;
  readonly clock?: Clock;
  /** A session without calls is closed this long after its last one began. */
  readonly idleMs?: number;
  /**
   * A session on which nothing is heard from the beginning of a call on may be dead: a network forgot it, a gateway is gone. It is
   * asked for a sign of life, after half of this or, if it was silent for long already, at once; where none comes for so long
   * another is dialled, and if that comes first it takes over: who waits on the silent one is told that it is lost, sooner than
   * by `yamux.pingTimeoutMs`. Default 500 ms, and never less than its own dial took: on a way so long, an answer takes its time.
   */
  readonly doubtMs?: number;
  /** Streams kept per session for the next calls. */
  readonly streamsIdleMax?: number;
  /** Calls to one datacenter at once; more fail with `busy`. Each may be a blocking query of ten minutes. */
  readonly datacenterCallsMax?: number;
  readonly replyBytesMax?: number;
  /** Bytes of replies kept to recognise those that come again unchanged. Values that came again are frozen. */
  readonly repliesKeptBytesMax?: number;
  readonly breaker?: Partial<BreakerConfig>;
  readonly yamux?: Partial<YamuxConfig>;
}

export interface CallOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Keys of the reply whose values are bytes, at any depth. */
  readonly binaryKeys?: ReadonlySet<string>;
}

export interface RpcPoolStats {
  readonly sessions: readonly {
    readonly target: RpcTarget;
    readonly calls: number;
    readonly streamsIdle: number;
    readonly sentBytes: number;
    readonly receivedBytes: number;
  }[];
  readonly datacenters: readonly {
    readonly datacenter: string;
    readonly calls: number;
    /** Dials that failed since a call was last answered. */
    readonly failures: number;
    readonly failingFast: boolean;
  }[];
  readonly dialling: number;
}

export interface RpcPool extends AsyncDisposable {
  /** The method's result. Rejects with RpcError. */
  call(target: RpcTarget, method: string, args: Value, o: CallOptions): Promise<Value>;
  /** Closes sessions and gives up dials to the targets that match; their calls fail. */
  drop(match: (target: RpcTarget) => boolean): void;
  /**
   * The ways to this datacenter changed: new calls go over new connections, those under way end on the ones they have, which
   * may hang on a gateway that is about to go.
   */
  renew(datacenter: string): void;
  /** There is news of a way to this datacenter: the next call dials, whatever failed before. */
  forgive(datacenter: string): void;
  stats(): RpcPoolStats;
}

const idleMsDefault = 120_000;
const doubtMsDefault = 500;
const streamsIdleMaxDefault = 64;
const datacenterCallsMaxDefault = 4096;
/** A dump of a large catalog has a few MiB. */
const replyBytesMaxDefault = 64 * 1024 * 1024;
const repliesKeptBytesMaxDefault = 4 * 1024 * 1024;
const breakerDefaults: BreakerConfig = { failuresMax: 3, refuseMs: 500, refuseMsMax: 8_000 };

const gettingConn = 'rpc error getting client: failed to get conn: ';
const startingStream = 'rpc error getting client: failed to start stream: ';
const makingCall = 'rpc error making call: ';

export function openRpcPool(o: RpcPoolOptions): RpcPool {
  return new Pool(o);
}

/** One dial, and how many wait for it. */
interface Dialling {
  readonly kind: 'dialling';
  readonly target: RpcTarget;
  readonly breaker: Breaker;
  readonly abort: AbortController;
  readonly outcome: Promise<PooledSession>;
  waiting: number;
}
interface Connected {
  readonly kind: 'connected';
  readonly pooled: PooledSession;
}

interface DatacenterRecord {
  readonly breaker: Breaker;
  calls: number;
}

class Pool implements RpcPool {
  readonly #o: RpcPoolOptions;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Dialling | Connected>();
  readonly #sessions = new Set<PooledSession>(); // also those that only finish their calls
  readonly #datacenters = new Map<string, DatacenterRecord>();
  readonly #replies: ReplyMemory;
  #seq = 0;
  #disposed = false;

  constructor(o: RpcPoolOptions) {
    this.#o = o;
    this.#clock = o.clock ?? systemClock;
    this.#replies = new ReplyMemory(o.repliesKeptBytesMax ?? repliesKeptBytesMaxDefault);
  }

  async call(target: RpcTarget, method: string, args: Value, o: CallOptions): Promise<Value> {
    const dc = this.#datacenter(target.datacenter);
    const callsMax = this.#o.datacenterCallsMax ?? datacenterCallsMaxDefault;
    if (dc.calls >= callsMax) {
      const text = `${dc.calls} calls to datacenter ${target.datacenter} are waiting already`;
      throw new RpcError('busy', `rpc error getting client: ${text}`, { target });
    }
    this.#seq += 1;
    const seq = this.#seq;
    const request = encodeRequest(seq, method, args);
    using patience = new Patience(this.#clock, o);
    dc.calls += 1;
    try {
      const reply = await this.#exchange(target, dc, seq, request, patience);
      dc.breaker.forgive();
      if (reply.header.error !== '') {
        const remoteText = reply.header.error;
        throw new RpcError('remote', makingCall + remoteText, { target, remoteText });
      }
      const question = `${target.datacenter} ${questionIn(request)}`;
      return this.#replies.valueOf(question, reply.body, o.binaryKeys, () =>
        decodeBody(reply.body, o.binaryKeys),
      );
    } catch (error) {
      if (error instanceof RpcWireError)
        throw new RpcError('malformed', makingCall + error.message, { target, cause: error });
      throw error;
    } finally {
      dc.calls -= 1;
    }
  }

  drop(match: (target: RpcTarget) => boolean): void {
    for (const [key, entry] of [...this.#entries]) {
      if (!match(entry.kind === 'dialling' ? entry.target : entry.pooled.target)) continue;
      if (entry.kind === 'dialling') this.#abandon(key, entry, 'the connection is no longer wanted');
      else this.#entries.delete(key);
    }
    for (const pooled of [...this.#sessions]) if (match(pooled.target)) void pooled.close();
  }

  renew(datacenter: string): void {
    for (const [key, entry] of [...this.#entries]) {
      if (entry.kind !== 'connected' || entry.pooled.target.datacenter !== datacenter) continue;
      this.#entries.delete(key);
      entry.pooled.retire();
    }
  }

  forgive(datacenter: string): void {
    this.#datacenters.get(datacenter)?.breaker.forgive();
  }

  stats(): RpcPoolStats {
    return {
      sessions: [...this.#sessions].map((pooled) => {
        const { sentBytes, receivedBytes } = pooled.session.stats();
        const { target, calls, streamsIdle } = pooled;
        return { target, calls, streamsIdle, sentBytes, receivedBytes };
      }),
      datacenters: [...this.#datacenters].map(([datacenter, { calls, breaker }]) => {
        return { datacenter, calls, failures: breaker.failures, failingFast: breaker.isOpen };
      }),
      dialling: [...this.#entries.values()].filter((e) => e.kind === 'dialling').length,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    const closing = [...this.#sessions].map((pooled) => pooled.close());
    this.drop(() => true);
    await Promise.all(closing);
  }

  // ---- one call ----

  async #exchange(
    target: RpcTarget,
    dc: DatacenterRecord,
    seq: number,
    request: Uint8Array,
    patience: Patience,
  ): Promise<RawMessage> {
    const { pooled, stream } = await this.#acquire(target, dc, patience);
    let again = false;
    try {
      const outcome = await patience.race(stream.exchange(seq, request));
      if ('gaveUp' in outcome) throw gaveUp(outcome.gaveUp, makingCall, target);
      again = outcome.value.header.error === ''; // Go callers too close the stream after any error
      return outcome.value;
    } catch (error) {
      if (!(error instanceof YamuxError)) throw error;
      throw new RpcError('session_lost', makingCall + error.message, { target, cause: error });
    } finally {
      pooled.release(stream, again);
    }
  }

  /** A stream to the target. A session that turns out to take no more streams is replaced, once. */
  async #acquire(
    target: RpcTarget,
    dc: DatacenterRecord,
    patience: Patience,
  ): Promise<{ pooled: PooledSession; stream: ReturnType<PooledSession['acquire']> }> {
    for (let attempt = 1; ; attempt += 1) {
      const pooled = await this.#session(target, dc, patience);
      try {
        return { pooled, stream: pooled.acquire() };
      } catch (error) {
        if (!(error instanceof YamuxError)) throw error;
        this.#forget(pooled);
        pooled.retire();
        if (attempt === 2)
          throw new RpcError('dial', startingStream + error.message, { target, cause: error });
      }
    }
  }

  async #session(target: RpcTarget, dc: DatacenterRecord, patience: Patience): Promise<PooledSession> {
    if (this.#disposed) throw new RpcError('aborted', `${gettingConn}rpc pool is closed`, { target });
    if (patience.over !== undefined) throw gaveUp(patience.over, gettingConn, target);
    const key = keyOf(target);
    let entry = this.#entries.get(key);
    if (entry?.kind === 'connected') {
      if (entry.pooled.isUsable) return entry.pooled;
      this.#forget(entry.pooled);
      entry.pooled.retire();
      entry = undefined;
    }
    const dialling = entry ?? this.#startDial(key, target, dc);
    dialling.waiting += 1;
    try {
      const outcome = await patience.race(dialling.outcome);
      if ('value' in outcome) return outcome.value;
      throw gaveUp(outcome.gaveUp, gettingConn, target);
    } finally {
      dialling.waiting -= 1;
      if (dialling.waiting === 0 && this.#entries.get(key) === dialling) {
        if (patience.over === 'timeout') dc.breaker.failed(this.#clock.now(), new Error('i/o timeout'));
        this.#abandon(key, dialling, 'nobody waits for the connection any more');
      }
    }
  }

  // ---- dialling ----

  #startDial(key: string, target: RpcTarget, dc: DatacenterRecord): Dialling {
    const may = dc.breaker.mayDial(this.#clock.now());
    if (!may.yes) {
      const text = `${textOf(may.cause)} (not dialled again for ${Math.ceil(may.againInMs)} ms)`;
      throw new RpcError('dial', gettingConn + text, { target, cause: may.cause });
    }
    const abort = new AbortController();
    const outcome = this.#dial(key, target, dc, abort.signal);
    outcome.catch(() => {}); // those who wait hear of it; if nobody does, nobody minds
    const dialling: Dialling = { kind: 'dialling', target, breaker: dc.breaker, abort, outcome, waiting: 0 };
    this.#entries.set(key, dialling);
    return dialling;
  }

  async #dial(
    key: string,
    target: RpcTarget,
    dc: DatacenterRecord,
    signal: AbortSignal,
  ): Promise<PooledSession> {
    const began = this.#clock.now();
    try {
      const conn = await orAborted(this.#o.dial(target, signal), signal);
      dc.breaker.connected();
      return this.#connected(key, target, dc, conn, this.#clock.now() - began);
    } catch (error) {
      if (!signal.aborted) {
        dc.breaker.failed(this.#clock.now(), error);
        this.#entries.delete(key);
      }
      throw new RpcError('dial', gettingConn + textOf(error), { target, cause: error });
    }
  }

  #connected(
    key: string,
    target: RpcTarget,
    dc: DatacenterRecord,
    conn: Duplex,
    dialMs: number,
  ): PooledSession {
    const session = openYamux(conn, {
      role: 'client',
      clock: this.#clock,
      ...(this.#o.yamux === undefined ? {} : { config: this.#o.yamux }),
    });
    const pooled = new PooledSession(target, session, this.#clock, {
      idleMs: this.#o.idleMs ?? idleMsDefault,
      streamsIdleMax: this.#o.streamsIdleMax ?? streamsIdleMaxDefault,
      replyBytesMax: this.#o.replyBytesMax ?? replyBytesMaxDefault,
      doubtMs: Math.max(this.#o.doubtMs ?? doubtMsDefault, dialMs),
      onSilent: (silent) => this.#replace(silent),
    });
    this.#sessions.add(pooled);
    this.#entries.set(key, { kind: 'connected', pooled });
    void session.closed.then((end) => {
      this.#forget(pooled);
      this.#sessions.delete(pooled);
      const mute = session.stats().receivedBytes === 0; // connected, but refused before the first answer
      if (end.code !== 'closed' && mute) dc.breaker.failed(this.#clock.now(), new Error(end.text));
      void pooled.close();
    });
    return pooled;
  }

  /** Dials beside a session that may be dead. Calls from now on wait for the new one. */
  #replace(silent: PooledSession): void {
    const { target } = silent;
    const key = keyOf(target);
    const dc = this.#datacenter(target.datacenter);
    const entry = this.#entries.get(key);
    if (entry?.kind !== 'connected' || entry.pooled !== silent || dc.breaker.isOpen) return;
    this.#startDial(key, target, dc).outcome.then(
      () => silent.replaced(),
      () => {}, // the silent one will find out by itself
    );
  }

  /** Ends a dial that nobody wants any more. That says nothing about the datacenter. */
  #abandon(key: string, dialling: Dialling, why: string): void {
    this.#entries.delete(key);
    dialling.breaker.abandoned();
    dialling.abort.abort(new Error(why));
  }

  #forget(pooled: PooledSession): void {
    const key = keyOf(pooled.target);
    const entry = this.#entries.get(key);
    if (entry?.kind === 'connected' && entry.pooled === pooled) this.#entries.delete(key);
  }

  #datacenter(name: string): DatacenterRecord {
    let record = this.#datacenters.get(name);
    if (record === undefined) {
      record = { breaker: new Breaker({ ...breakerDefaults, ...this.#o.breaker }), calls: 0 };
      this.#datacenters.set(name, record);
    }
    return record;
  }
}

/** All parts: the same node name at the same private address in two datacenters is two servers (I5). */
function keyOf(t: RpcTarget): string {
  return JSON.stringify([t.datacenter, t.node, t.address.host, t.address.port]);
}

/** The connection, or the signal's reason at once; then a connection that still comes is closed. */
function orAborted(dialled: Promise<Duplex>, signal: AbortSignal): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    dialled.then((conn) => {
      if (signal.aborted) conn.on('error', () => {}).destroy();
      else resolve(conn);
    }, reject);
  });
}

function gaveUp(why: 'timeout' | 'aborted', prefix: string, target: RpcTarget): RpcError {
  const text = why === 'timeout' ? 'i/o deadline reached' : 'the caller gave up';
  return new RpcError(why, prefix + text, { target });
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
