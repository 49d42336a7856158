/**
 * pooled-session.ts: one yamux session to one server, shared by all who call it.
 *
 * Lives here: its idle streams, what runs on it, when it has been idle or silent for too long. Must not live here: dialling,
 * other servers, error texts.
 * Source: Consul agent/pool/pool.go (Conn, getClient, returnClient, reap).
 */
import { CallStream } from './call-stream.ts';
import type { Clock, RpcTarget } from './ports.ts';
import type { SessionEnd, YamuxSession } from './yamux/session.ts';

export interface PooledSessionLimits {
  readonly idleMs: number;
  readonly streamsIdleMax: number;
  readonly replyBytesMax: number;
  readonly doubtMs: number;
  /** A call began, it was asked for a sign of life, and has said nothing for `doubtMs` since. */
  readonly onSilent: (pooled: PooledSession) => void;
}

export class PooledSession {
  readonly target: RpcTarget;
  readonly session: YamuxSession;
  readonly #clock: Clock;
  readonly #limits: PooledSessionLimits;
  readonly #idle: CallStream[] = []; // last in, first out: the rest may age and close
  #calls = 0;
  #lastUsedAt: number;
  #reaper: Disposable | undefined;
  #listening: Disposable | undefined;
  #heardBytes = 0; // received when we began to listen
  #calledSince = false;
  #retired = false;

  constructor(target: RpcTarget, session: YamuxSession, clock: Clock, limits: PooledSessionLimits) {
    this.target = target;
    this.session = session;
    this.#clock = clock;
    this.#limits = limits;
    this.#lastUsedAt = clock.now();
    session.attend(false);
    this.#watch();
  }

  get calls(): number {
    return this.#calls;
  }

  get streamsIdle(): number {
    return this.#idle.length;
  }

  /** Whether calls can still be started on it. */
  get isUsable(): boolean {
    return !this.#retired && this.session.mayOpen;
  }

  get end(): SessionEnd | undefined {
    return this.session.end;
  }

  /** A stream for one call; give it back with `release`. Throws YamuxError when the session takes no more. */
  acquire(): CallStream {
    const stream = this.#idle.pop() ?? this.#open();
    // Who was silent for long is asked at once.
    const asked = this.#calls++ === 0 && this.session.attend(true);
    if (this.#listening === undefined) this.#listen(asked);
    else this.#calledSince = true;
    this.#lastUsedAt = this.#clock.now();
    return stream;
  }

  /** After a call: `again` if the stream may carry another. */
  release(stream: CallStream, again: boolean): void {
    if (--this.#calls === 0) this.session.attend(false);
    if (again && stream.isFit && !this.#retired && this.#idle.length < this.#limits.streamsIdleMax)
      this.#idle.push(stream);
    else stream.close();
    if (this.#retired && this.#calls === 0) void this.close();
  }

  /** No new calls; closed when those that run are done. */
  retire(): void {
    this.#retired = true;
    if (this.#calls === 0) void this.close();
  }

  /** There is another connection to the same server by now. If this one is silent still, its callers need not wait for it. */
  replaced(): void {
    if (this.#isSilent) this.session.lose('it fell silent, and another connection was made meanwhile');
    else this.retire();
  }

  async close(): Promise<void> {
    this.#retired = true;
    this.#reaper?.[Symbol.dispose]();
    this.#reaper = undefined;
    this.#listening?.[Symbol.dispose]();
    await this.session[Symbol.asyncDispose]();
  }

  get #isSilent(): boolean {
    return this.session.end === undefined && this.session.stats().receivedBytes === this.#heardBytes;
  }

  /**
   * From a call on that finds it not listened to. Who has said nothing for half of `doubtMs` is asked for a sign of life, if he has
   * not been, and given up for another if none has come in `doubtMs` more.
   */
  #listen(asked: boolean): void {
    const { doubtMs, onSilent } = this.#limits;
    this.#calledSince = false;
    this.#heardBytes = this.session.stats().receivedBytes;
    this.#listening = this.#clock.at(this.#clock.now() + (asked ? doubtMs : doubtMs / 2), () => {
      this.#listening = undefined;
      if (this.#calls === 0) return;
      if (!this.#isSilent) {
        if (this.#calledSince) this.#listen(false);
        return;
      }
      if (asked) {
        onSilent(this);
        return;
      }
      this.session.ping().catch(() => {}); // its silence is noticed all the same
      this.#listen(true);
    });
  }

  #open(): CallStream {
    return new CallStream(this.session.open(), {
      replyBytesMax: this.#limits.replyBytesMax,
      whenUnfit: (stream) => {
        const at = this.#idle.indexOf(stream);
        if (at >= 0) this.#idle.splice(at, 1);
      },
    });
  }

  /** Looks again when the session would have been idle for long enough; calls in between only move `#lastUsedAt`. */
  #watch(): void {
    const now = this.#clock.now();
    const from = this.#calls > 0 ? now : this.#lastUsedAt;
    this.#reaper = this.#clock.at(from + this.#limits.idleMs, () => {
      const idle = this.#calls === 0 && this.#clock.now() >= this.#lastUsedAt + this.#limits.idleMs;
      if (this.session.end !== undefined) return;
      if (idle) this.retire();
      else this.#watch();
    });
  }
}
