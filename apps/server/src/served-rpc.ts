/**
 * served-rpc.ts: the connections on which we answer: what came of them, in numbers, and how they are let go.
 *
 * A stranger's nonsense must show somewhere: what a peer did wrong is counted by its code and, a few times a second, told.
 * Lives here: counters, the way down. Must not live here: who may connect (the front door), methods, yamux.
 */
import type { Accepted, Handler } from '@fed/alpn-mux';
import { type RpcConnection, type RpcRegistry, type RpcReport, serveMulti, serveSingle } from '@fed/rpc';
import type { RoomEvent } from './log.ts';
import { callerOf } from './rpc/callers.ts';
import type { World } from './world.ts';

export interface ServedRpcStats {
  readonly connections: number;
  readonly callsRunning: number;
  readonly calls: number;
  readonly callsFailed: number;
  /** Unknown methods, bodies that do not decode, calls beyond the connection's limit. */
  readonly callsRefused: number;
  readonly defects: number;
  /** Streams closed because their bytes were no request, or too many, by code. */
  readonly peerFaults: Readonly<Record<string, number>>;
  /** Connections that are over, by the reason: `peer_protocol` is a broken yamux rule, `keepalive_timeout` silence. */
  readonly ended: Readonly<Record<string, number>>;
}

/** How long calls that run may take to finish once we stop, in ms. Blocking queries take longer, and are cut. */
const drainMs = 500;

export class ServedRpc {
  readonly #registry: RpcRegistry;
  readonly #clock: World['clock'];
  readonly #log: (event: RoomEvent) => void;
  readonly #connections = new Set<RpcConnection>();
  readonly #peerFaults = new Map<string, number>();
  readonly #ended = new Map<string, number>();
  #calls = 0;
  #callsFailed = 0;
  #callsRefused = 0;
  #defects = 0;

  constructor(o: {
    readonly registry: RpcRegistry;
    readonly clock: World['clock'];
    readonly log: (event: RoomEvent) => void;
  }) {
    this.#registry = o.registry;
    this.#clock = o.clock;
    this.#log = o.log;
  }

  readonly multi: Handler = (conn) => this.#serve(conn, serveMulti);
  readonly single: Handler = (conn) => this.#serve(conn, serveSingle);

  stats(): ServedRpcStats {
    return {
      connections: this.#connections.size,
      callsRunning: this.#running(),
      calls: this.#calls,
      callsFailed: this.#callsFailed,
      callsRefused: this.#callsRefused,
      defects: this.#defects,
      peerFaults: Object.fromEntries(this.#peerFaults),
      ended: Object.fromEntries(this.#ended),
    };
  }

  /** Callers are told to go elsewhere; resolves when no call runs any more, or when they have had their time. */
  async drain(): Promise<void> {
    const drained = Promise.all([...this.#connections].map((connection) => connection.drain()));
    const { promise: late, resolve } = Promise.withResolvers<void>();
    using _limit = this.#clock.at(this.#clock.now() + drainMs, resolve);
    await Promise.race([drained, late]);
  }

  #serve(conn: Accepted, serve: typeof serveMulti): void {
    const connection = serve(conn.stream, this.#registry, {
      peer: callerOf(conn),
      clock: this.#clock,
      report: (r) => this.#note(r, conn),
    });
    this.#connections.add(connection);
    void connection.closed.then(({ code, text }) => {
      this.#connections.delete(connection);
      count(this.#ended, code);
      if (code !== 'peer_protocol') return;
      conn.blame();
      this.#log({ level: 'warn', code: 'rpc_peer_protocol', text: `${from(conn)}: ${text}` });
    });
  }

  #note(r: RpcReport, conn: Accepted): void {
    switch (r.kind) {
      case 'call':
        this.#calls += 1;
        if (!r.ok) this.#callsFailed += 1;
        break;
      case 'refused':
        this.#callsRefused += 1;
        this.#log({ level: 'info', code: 'rpc_refused', text: `${from(conn)}: ${r.text}` });
        break;
      case 'peerFault':
        conn.blame();
        count(this.#peerFaults, r.error.code);
        this.#log({ level: 'warn', code: `rpc_${r.error.code}`, text: `${from(conn)}: ${r.error.message}` });
        break;
      case 'defect':
        this.#defects += 1;
        this.#log({ level: 'error', code: 'rpc_defect', text: `${r.method} failed`, cause: r.error });
        break;
    }
  }

  #running(): number {
    let running = 0;
    for (const connection of this.#connections) running += connection.stats().callsRunning;
    return running;
  }
}

function count(of: Map<string, number>, code: string): void {
  of.set(code, (of.get(code) ?? 0) + 1);
}

function from({ remote, peer }: Accepted): string {
  const server = peer?.server;
  const who = server === undefined ? '' : ` (${server.node ?? 'a server'} of ${server.datacenter})`;
  return `${remote.host}:${remote.port}${who}`;
}
