/**
 * session.ts: a yamux session on a real connection.
 *
 * Feeds the core with what the connection brings and does what the core decides. Data frames are asked for only while
 * the connection takes them; control frames go out at once, so that a full pipe never silences pings and credit.
 * Lives here: the connection, the one timer, the map from ids to streams. Must not live here: any yamux rule.
 * Source: hashicorp/yamux session.go (send, recvLoop).
 */
import type { Duplex } from 'node:stream';
import { YamuxError, type YamuxErrorCode } from '../errors.ts';
import type { Clock } from '../ports.ts';
import { systemClock } from '../system.ts';
import { YamuxCore } from './session-core.ts';
import {
  type Effect,
  type Event,
  type Role,
  type SessionEndCode,
  type YamuxConfig,
  yamuxDefaults,
} from './session-events.ts';
import { type StreamHost, YamuxStream } from './stream.ts';

export interface YamuxOptions {
  /** Decides which stream ids are ours: odd for the client, even for the server. */
  readonly role: Role;
  /** Takes the peer's streams. Without it they are reset. */
  readonly onStream?: (stream: YamuxStream) => void;
  readonly config?: Partial<YamuxConfig>;
  readonly clock?: Clock;
  /** Since when `conn` has spoken yamux, if not from now on: the first ping is due `keepaliveMs` later. */
  readonly openedAt?: number;
}

export interface SessionEnd {
  readonly code: SessionEndCode;
  readonly text: string;
}

export interface YamuxStats {
  readonly streams: number;
  /** Received and not yet read, over all streams. */
  readonly bufferedBytes: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

interface PingWaiter {
  resolve(tookMs: number): void;
  reject(error: YamuxError): void;
}

/** Payload asked of the core in one go, in bytes. About one socket buffer. */
const transmitBytes = 65_536;
/**
 * Unsent output at which we stop reading, in bytes. Data waits in the core while the connection is full, so only answers
 * to the peer's own frames get here: a peer that asks without listening is not asked on. 1 MiB is 87,000 pings.
 */
const outputBytesMax = 1024 * 1024;
/** How long a closed session waits for its last frames to be taken, in ms. */
const farewellMs = 1_000;

const openRefused: Record<'session_closed' | 'go_away' | 'streams_exhausted', string> = {
  session_closed: 'session shutdown',
  go_away: 'remote end is not accepting connections',
  streams_exhausted: 'streams exhausted',
};

/** A session over `conn`, which must speak yamux from its next byte on. The session owns `conn` from here on. */
export function openYamux(conn: Duplex, o: YamuxOptions): YamuxSession {
  return new YamuxSession(conn, o);
}

export class YamuxSession implements AsyncDisposable {
  /** Resolves, never rejects, when the session is over. */
  readonly closed: Promise<SessionEnd>;
  readonly #conn: Duplex;
  readonly #clock: Clock;
  readonly #core: YamuxCore;
  readonly #onStream: ((stream: YamuxStream) => void) | undefined;
  readonly #streams = new Map<number, YamuxStream>();
  readonly #pings = new Map<number, PingWaiter>();
  readonly #host: StreamHost;
  #due: Effect[] = [];
  #dueNext = 0;
  #turning = false;
  /** Frames are gathered until the turn of the event loop ends. */
  #gathering = false;
  #timer: Disposable | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #end: SessionEnd | undefined;
  #resolveClosed!: (end: SessionEnd) => void;
  #receivedBytes = 0;
  #sentBytes = 0;

  /** Use `openYamux`. */
  constructor(conn: Duplex, o: YamuxOptions) {
    this.#conn = conn;
    this.#clock = o.clock ?? systemClock;
    this.#onStream = o.onStream;
    let config = o.config === undefined ? yamuxDefaults : { ...yamuxDefaults, ...o.config };
    if (o.onStream === undefined) config = { ...config, peerStreamsMax: 0 };
    this.#core = new YamuxCore(o.role, config, o.openedAt ?? this.#clock.now());
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#host = {
      write: (id, bytes) => this.#turn({ kind: 'write', id, bytes }),
      end: (id) => this.#turn({ kind: 'end', id }),
      consumed: (id, bytes) => this.#turn({ kind: 'consumed', id, bytes }),
      drop: (id) => {
        this.#streams.delete(id);
        this.#turn({ kind: 'drop', id });
      },
    };
    conn.on('data', (bytes: Uint8Array) => {
      this.#receivedBytes += bytes.length;
      this.#turn({ kind: 'received', bytes });
    });
    conn.on('drain', () => this.#drained());
    conn.on('error', (error) => this.#turn({ kind: 'lost', text: error.message }));
    conn.on('end', () => this.#turn({ kind: 'lost', text: 'the peer ended the connection' }));
    conn.on('close', () => this.#turn({ kind: 'lost', text: 'the connection was closed' }));
    if (conn.destroyed) this.#turn({ kind: 'lost', text: 'the connection was closed' });
    this.#arm();
  }

  /** Why the session is over, once it is. */
  get end(): SessionEnd | undefined {
    return this.#end;
  }

  /** Whether `open` would succeed. */
  get mayOpen(): boolean {
    return this.#core.mayOpen;
  }

  /**
   * A new stream. The peer hears of it with its first bytes (I3), or now if `announce`: only for protocols in which the
   * accepting side speaks first, never towards Consul. Throws YamuxError.
   */
  open(o: { readonly announce?: boolean } = {}): YamuxStream {
    const verdict = this.#core.open(this.#clock.now(), o.announce ?? false);
    if (verdict.kind === 'refused') throw this.#error(verdict.why, openRefused[verdict.why]);
    const stream = new YamuxStream(verdict.id, this.#host);
    this.#streams.set(verdict.id, stream);
    this.#perform(verdict.effects);
    return stream;
  }

  /** The peer's answer time in ms. Silence ends the session, as for the pings sent to keep it alive. */
  ping(): Promise<number> {
    if (this.#end !== undefined) return Promise.reject(this.#error('session_closed', 'session shutdown'));
    const { pingId, effects } = this.#core.ping(this.#clock.now());
    return new Promise((resolve, reject) => {
      this.#pings.set(pingId, { resolve, reject });
      this.#perform(effects);
    });
  }

  /**
   * Whether anybody waits for the peer (default: yes). While nobody does it is asked for signs of life every `restKeepaliveMs`
   * only; when somebody begins to, at once if it was not heard for `keepaliveMs`, and then the answer is true.
   */
  attend(on: boolean): boolean {
    const silent = this.#core.attend(on, this.#clock.now());
    if (on) this.#arm();
    return silent;
  }

  /** The peer is known to be gone, though the connection does not say so. */
  lose(text: string): void {
    this.#turn({ kind: 'lost', text });
  }

  /** The peer may open no more streams; those that exist go on. */
  goAway(): void {
    this.#turn({ kind: 'goAway' });
  }

  stats(): YamuxStats {
    return {
      streams: this.#core.streamCount,
      bufferedBytes: this.#core.bufferedBytes,
      receivedBytes: this.#receivedBytes,
      sentBytes: this.#sentBytes,
    };
  }

  /** Closes the connection and destroys every stream. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#turn({ kind: 'close' });
    if (this.#conn.closed) return;
    await new Promise<void>((resolve) => this.#conn.once('close', resolve));
  }

  // ---- one turn: event in, effects out ----

  #turn(event: Event): void {
    if (this.#end !== undefined) return; // a connection ends in several events, and the first was enough
    this.#perform(this.#core.step(event, this.#clock.now()));
  }

  /** Effects are done in order; what a stream's listener causes meanwhile queues up behind them. */
  #perform(effects: readonly Effect[]): void {
    for (const effect of effects) this.#due.push(effect);
    if (this.#turning) return;
    this.#turning = true;
    try {
      do {
        while (this.#dueNext < this.#due.length) this.#do(this.#due[this.#dueNext++]!);
        this.#due = [];
        this.#dueNext = 0;
        this.#ask();
      } while (this.#due.length > 0);
    } finally {
      this.#turning = false;
    }
    if (this.#conn.writableNeedDrain) this.#release(); // it is full: waiting for more would only stop it
    if (this.#conn.writableLength > outputBytesMax) this.#conn.pause();
    this.#arm();
  }

  /**
   * Header and payload, and all frames of one turn of the event loop, leave as one write: calls and replies come in flocks,
   * and a TLS record and a system call for each cost more than the calls do.
   */
  #gather(): void {
    if (this.#gathering) return;
    this.#gathering = true;
    this.#conn.cork();
    setImmediate(() => this.#release());
  }

  #release(): void {
    if (!this.#gathering) return;
    this.#gathering = false;
    this.#conn.uncork();
  }

  /** Takes data frames from the core while the connection has room for them. */
  #ask(): void {
    if (!this.#core.wantsToSend || this.#conn.writableNeedDrain) return;
    for (const effect of this.#core.step({ kind: 'transmit', bytesMax: transmitBytes }, this.#clock.now()))
      this.#due.push(effect);
  }

  #drained(): void {
    if (this.#conn.isPaused()) this.#conn.resume();
    this.#perform([]);
  }

  #do(effect: Effect): void {
    switch (effect.kind) {
      case 'send':
        this.#send(effect.header, effect.payload);
        break;
      case 'incoming':
        this.#incoming(effect.id);
        break;
      case 'data':
        this.#streams.get(effect.id)?.deliver(effect.bytes);
        break;
      case 'ended':
        this.#streams.get(effect.id)?.deliverEnd();
        break;
      case 'reset':
        this.#streams.get(effect.id)?.destroy(new YamuxError('stream_reset', effect.text));
        break;
      case 'flushed':
        this.#streams.get(effect.id)?.flushed();
        break;
      case 'pong':
        this.#pings.get(effect.pingId)?.resolve(effect.tookMs);
        this.#pings.delete(effect.pingId);
        break;
      case 'peerGoneAway':
        break; // `open` refuses from here on
      case 'closed':
        this.#finish(effect);
        break;
    }
  }

  #send(header: Uint8Array, payload: Uint8Array | undefined): void {
    if (this.#conn.writableEnded || this.#conn.destroyed) return;
    this.#gather();
    this.#sentBytes += header.length + (payload?.length ?? 0);
    this.#conn.write(header);
    if (payload !== undefined) this.#conn.write(payload);
  }

  #incoming(id: number): void {
    const stream = new YamuxStream(id, this.#host);
    this.#streams.set(id, stream);
    this.#turn({ kind: 'accept', id });
    this.#onStream?.(stream);
  }

  #finish(end: SessionEnd): void {
    this.#end = { code: end.code, text: end.text };
    for (const answer of this.#pings.values())
      answer.reject(this.#error('session_closed', 'session shutdown'));
    this.#pings.clear();
    const streams = [...this.#streams.values()];
    if (streams.length > 0) {
      // Closing by ourselves is no error.
      const error = end.code === 'closed' ? undefined : this.#error('session_closed', 'session shutdown');
      for (const stream of streams) stream.destroy(error);
    }
    if (end.code === 'connection_lost')
      this.#conn.destroy(); // nobody listens any more
    else this.#farewell();
    this.#resolveClosed(this.#end);
  }

  /** Lets the last frames go, then closes; a peer that does not take them in time loses them. */
  #farewell(): void {
    if (this.#conn.destroyed) return;
    const destroy = (): void => {
      this.#conn.destroy();
    };
    const timer = this.#clock.at(this.#clock.now() + farewellMs, destroy);
    this.#conn.once('close', () => timer[Symbol.dispose]());
    this.#conn.resume(); // unread input would keep the connection from closing
    this.#conn.end(destroy);
  }

  #error(code: YamuxErrorCode, text: string): YamuxError {
    const why = this.#end === undefined ? text : `${text} (${this.#end.text})`;
    return new YamuxError(code, why);
  }

  #arm(): void {
    const deadline = this.#core.deadline();
    if (deadline === undefined) {
      this.#timer?.[Symbol.dispose]();
      return;
    }
    if (deadline >= this.#timerAt) return; // waking early is harmless, and cheaper than moving the timer with every call
    this.#timer?.[Symbol.dispose]();
    this.#timerAt = deadline;
    this.#timer = this.#clock.at(deadline, () => {
      this.#timerAt = Number.POSITIVE_INFINITY;
      this.#turn({ kind: 'deadline' });
    });
  }
}
