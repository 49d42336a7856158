/**
 * server.ts: answering calls on a connection, whether it carries many streams or is one.
 *
 * Lives here: what the streams of one connection share, and its end. Must not live here: the request loop, yamux.
 * Source: Consul agent/consul/rpc.go (handleMultiplexV2, handleConsulConn).
 */
import type { Duplex } from 'node:stream';
import type { Clock } from './ports.ts';
import type { RpcRegistry } from './registry.ts';
import { type ConnectionDesk, type RpcReport, serveStream } from './served-stream.ts';
import { systemClock } from './system.ts';
import { LateSession } from './yamux/late-session.ts';
import type { SessionEnd } from './yamux/session.ts';
import type { YamuxConfig } from './yamux/session-events.ts';

export interface ServeOptions {
  /** Who calls: handed to every handler as `context.peer`. */
  readonly peer?: unknown;
  /** Calls running at once on this connection; more are told to try again later. A secondary holds one per blocking query. */
  readonly callsMax?: number;
  /** Largest request, in bytes. Consul's own largest, a transaction, is far below. */
  readonly requestBytesMax?: number;
  /** Request bytes of the whole connection that have arrived and are not being answered yet. */
  readonly requestsBytesMax?: number;
  readonly yamux?: Partial<YamuxConfig>;
  readonly clock?: Clock;
  readonly report?: (r: RpcReport) => void;
}

export interface RpcConnection extends AsyncDisposable {
  /** Resolves, never rejects, when the connection is over, with the reason. */
  readonly closed: Promise<SessionEnd>;
  /** The caller may open no more streams and goes elsewhere. Resolves when no call runs any more, its reply sent or lost. */
  drain(): Promise<void>;
  stats(): { readonly callsRunning: number; readonly streams: number };
}

const callsMaxDefault = 4096;
const requestBytesMaxDefault = 16 * 1024 * 1024;
const requestsBytesMaxDefault = 64 * 1024 * 1024;

class Desk implements ConnectionDesk {
  readonly registry: RpcRegistry;
  readonly peer: unknown;
  readonly requestBytesMax: number;
  readonly #callsMax: number;
  readonly #requestsBytesMax: number;
  readonly #clock: Clock;
  readonly #report: ((r: RpcReport) => void) | undefined;
  #calls = 0;
  #heldBytes = 0;
  #whenIdle: (() => void)[] = [];

  constructor(registry: RpcRegistry, o: ServeOptions) {
    this.registry = registry;
    this.peer = o.peer;
    this.requestBytesMax = o.requestBytesMax ?? requestBytesMaxDefault;
    this.#callsMax = o.callsMax ?? callsMaxDefault;
    this.#requestsBytesMax = o.requestsBytesMax ?? requestsBytesMaxDefault;
    this.#clock = o.clock ?? systemClock;
    this.#report = o.report;
  }

  get calls(): number {
    return this.#calls;
  }

  now(): number {
    return this.#clock.now();
  }

  enter(): boolean {
    if (this.#calls >= this.#callsMax) return false;
    this.#calls += 1;
    return true;
  }

  leave(): void {
    this.#calls -= 1;
    if (this.#calls > 0) return;
    for (const told of this.#whenIdle.splice(0)) told();
  }

  idle(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#calls === 0) resolve();
      else this.#whenIdle.push(resolve);
    });
  }

  hold(bytes: number): boolean {
    this.#heldBytes += bytes;
    return this.#heldBytes <= this.#requestsBytesMax;
  }

  report(r: RpcReport): void {
    this.#report?.(r);
  }
}

/** Serves a connection that speaks yamux, each stream a sequence of requests. Owns `conn`. */
export function serveMulti(conn: Duplex, registry: RpcRegistry, o: ServeOptions = {}): RpcConnection {
  return new MultiConnection(conn, new Desk(registry, o), o);
}

class MultiConnection implements RpcConnection {
  readonly #desk: Desk;
  readonly #session: LateSession;

  constructor(conn: Duplex, desk: Desk, { yamux: config, clock }: ServeOptions) {
    this.#desk = desk;
    this.#session = new LateSession(conn, {
      role: 'server',
      onStream: (stream) => serveStream(stream, desk),
      ...(config && { config }),
      ...(clock && { clock }),
    });
  }

  get closed(): Promise<SessionEnd> {
    return this.#session.closed;
  }

  drain(): Promise<void> {
    this.#session.goAway();
    return this.#desk.idle();
  }

  stats(): { readonly callsRunning: number; readonly streams: number } {
    return { callsRunning: this.#desk.calls, streams: this.#session.streams };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#session[Symbol.asyncDispose]();
  }
}

/** Serves a connection that is itself one sequence of requests. Owns `conn`. */
export function serveSingle(conn: Duplex, registry: RpcRegistry, o: ServeOptions = {}): RpcConnection {
  const desk = new Desk(registry, o);
  const closed = new Promise<SessionEnd>((resolve) => {
    let text = 'the connection was closed';
    conn.on('error', (error) => {
      text = error.message;
    });
    conn.on('close', () => resolve({ code: 'connection_lost', text }));
  });
  serveStream(conn, desk);
  return {
    closed,
    drain: () => desk.idle(), // a single connection has no word for going away: the caller notices when it ends
    stats: () => ({ callsRunning: desk.calls, streams: conn.destroyed ? 0 : 1 }),
    [Symbol.asyncDispose]: async () => {
      conn.destroy();
      await closed;
    },
  };
}
