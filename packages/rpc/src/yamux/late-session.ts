/**
 * late-session.ts: a yamux session that is made when there is something for it to do.
 *
 * Health checks, probes and clients that keep a connection at hand say nothing, and a session is most of what such a
 * connection costs. So it is made with the peer's first byte, when its first ping is due, or when we want to say something;
 * the peer sees no difference.
 * Lives here: the wait, and a connection lost meanwhile. Must not live here: any yamux rule, streams.
 */
import type { Duplex } from 'node:stream';
import { systemClock } from '../system.ts';
import { openYamux, type SessionEnd, type YamuxOptions, type YamuxSession } from './session.ts';
import { yamuxDefaults } from './session-events.ts';

export class LateSession implements AsyncDisposable {
  /** Resolves, never rejects, when the session is over, or the connection was before there was one. */
  readonly closed: Promise<SessionEnd>;
  readonly #conn: Duplex;
  readonly #options: YamuxOptions;
  readonly #openedAt: number;
  #session: YamuxSession | undefined;
  #firstPing: Disposable | undefined;
  #resolveClosed!: (end: SessionEnd) => void;

  /** `conn` must speak yamux from its next byte on, and is owned from here on. */
  constructor(conn: Duplex, o: YamuxOptions) {
    this.#conn = conn;
    this.#options = o;
    const clock = o.clock ?? systemClock;
    this.#openedAt = clock.now();
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    conn.on('data', this.#onData);
    conn.on('error', this.#onError);
    conn.on('end', this.#onEnd);
    conn.on('close', this.#onClose);
    const keepaliveMs = o.config?.keepaliveMs ?? yamuxDefaults.keepaliveMs;
    if (conn.destroyed) this.#onClose();
    else if (keepaliveMs > 0) this.#firstPing = clock.at(this.#openedAt + keepaliveMs, () => this.#begin());
  }

  get streams(): number {
    return this.#session?.stats().streams ?? 0;
  }

  /** The peer may open no more streams; those that exist go on. */
  goAway(): void {
    this.#begin().goAway();
  }

  /** Closes the connection and destroys every stream. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#begin()[Symbol.asyncDispose]();
  }

  /** On a connection that was lost it is over at once. */
  #begin(): YamuxSession {
    if (this.#session !== undefined) return this.#session;
    this.#firstPing?.[Symbol.dispose]();
    this.#conn.off('data', this.#onData);
    this.#conn.off('error', this.#onError);
    this.#conn.off('end', this.#onEnd);
    this.#conn.off('close', this.#onClose);
    const session = openYamux(this.#conn, { ...this.#options, openedAt: this.#openedAt });
    void session.closed.then(this.#resolveClosed);
    this.#session = session;
    return session;
  }

  readonly #onData = (bytes: Uint8Array): void => {
    this.#begin();
    this.#conn.unshift(bytes); // the session listens by now
  };

  readonly #onError = (error: Error): void => this.#lost(error.message);
  readonly #onEnd = (): void => this.#lost('the peer ended the connection');
  readonly #onClose = (): void => this.#lost('the connection was closed');

  /** A connection ends in several events, and the first tells why. */
  #lost(text: string): void {
    this.#firstPing?.[Symbol.dispose]();
    this.#resolveClosed({ code: 'connection_lost', text });
    this.#conn.destroy();
  }
}
