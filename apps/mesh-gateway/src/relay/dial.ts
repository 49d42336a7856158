/**
 * dial.ts: a connection to some endpoint of a cluster.
 *
 * Not a byte of the client has been sent yet, so a refused or silent endpoint costs time only: the next one is tried, beside one
 * that is silent for a moment (RFC 8305's idea), none twice, as often as the chain allows, inside one budget (R4). Every outcome is
 * told to the balancer.
 * Lives here: one dial. Must not live here: which endpoint (balance.ts), bytes (pipe.ts).
 * Source: Envoy tcp_proxy (max_connect_attempts), cluster connect_timeout; it tries one after the other.
 */

import { connect, type Socket, type TcpNetConnectOpts } from 'node:net';
import { renderHostPort } from '@fed/alpn-mux';
import type { Cluster } from './clusters.ts';
import type { Counters } from './counters.ts';
import type { Clock, RelayEndpoint } from './ports.ts';

/** For all attempts together: no client waits longer for the first byte back. */
const connectBudgetMsMax = 15_000;
/** Until a second endpoint is tried beside the first: longer than a packet takes around the world. */
const staggerMs = 300;
/** Connects under way at a time. */
const lanes = 2;
/** Well below the 350 s after which common NATs and load balancers forget a silent connection. */
const keepAliveMsDefault = 30_000;

export type Dialled =
  | {
      readonly kind: 'connected';
      readonly socket: Socket;
      readonly endpoint: RelayEndpoint;
      readonly attempts: number;
    }
  /** The cluster has no endpoints at all. */
  | { readonly kind: 'noneHealthy' }
  | { readonly kind: 'failed'; readonly attempts: number; readonly lastError: string }
  | { readonly kind: 'aborted' };

/** Every connection has one; an AbortController would cost more than the rest of its bookkeeping. */
export class StopDialing {
  stopped = false;
  onStop: (() => void) | undefined;

  stop(): void {
    this.stopped = true;
    this.onStop?.();
  }
}

export interface DialOptions {
  readonly clock: Clock;
  readonly counters: Counters;
  readonly stop: StopDialing;
  readonly attemptsMax: number;
  /** Default: node's own. */
  readonly connect?: (to: TcpNetConnectOpts) => Socket;
}

export function dial(cluster: Cluster, o: DialOptions): Promise<Dialled> {
  return new Promise((resolve) => new Race(cluster, o, resolve).begin());
}

class Race {
  readonly #cluster: Cluster;
  readonly #o: DialOptions;
  readonly #resolve: (dialled: Dialled) => void;
  readonly #until: number;
  readonly #tried = new Set<string>();
  readonly #running = new Set<Attempt>();
  #stagger: Disposable | undefined;
  #lastError = 'no endpoint';

  constructor(cluster: Cluster, o: DialOptions, resolve: (dialled: Dialled) => void) {
    this.#cluster = cluster;
    this.#o = o;
    this.#resolve = resolve;
    const budgetMs = Math.min(connectBudgetMsMax, o.attemptsMax * cluster.config.connectTimeoutMs);
    this.#until = o.clock.now() + budgetMs;
  }

  begin(): void {
    const { counters, stop } = this.#o;
    if (stop.stopped) this.#over({ kind: 'aborted' });
    else if (this.#tryNext()) stop.onStop = () => this.#over({ kind: 'aborted' });
    else {
      counters.add('cluster.upstream_cx_none_healthy', this.#cluster.name);
      this.#over({ kind: 'noneHealthy' });
    }
  }

  /** False if there is none to be tried now. Beside one that is silent only its equals are: others are for when it has failed. */
  #tryNext(priority?: number): boolean {
    const { clock, counters, attemptsMax } = this.#o;
    const { name, balancer, config } = this.#cluster;
    this.#stagger?.[Symbol.dispose]();
    this.#stagger = undefined;
    const began = clock.now();
    if (this.#tried.size >= attemptsMax || began >= this.#until) return false;
    const endpoint = balancer.pick(began, this.#tried, priority);
    if (endpoint === undefined) return false;
    this.#tried.add(renderHostPort(endpoint));
    counters.add('cluster.upstream_cx_total', name);
    const seconds = config.keepalive?.timeSec;
    const attempt = new Attempt(endpoint, clock, {
      connect: this.#o.connect ?? connect,
      limitMs: Math.min(config.connectTimeoutMs, this.#until - began),
      keepAliveMs: seconds === undefined ? keepAliveMsDefault : seconds * 1_000,
      connected: (socket) => this.#won(attempt, socket),
      failed: (why) => this.#lost(attempt, why),
    });
    this.#running.add(attempt);
    if (this.#running.size < lanes && this.#tried.size < Math.min(attemptsMax, balancer.size))
      this.#stagger = clock.at(began + staggerMs, () => this.#tryNext(endpoint.priority));
    return true;
  }

  #won(attempt: Attempt, socket: Socket): void {
    const { clock, counters } = this.#o;
    const { name, balancer } = this.#cluster;
    const { endpoint, began } = attempt;
    this.#running.delete(attempt);
    balancer.connected(endpoint);
    counters.observe('cluster.upstream_cx_connect_ms', name, clock.now() - began);
    // Who began earlier and is not there yet would have kept the client waiting. One of many in a row goes to the bench for it.
    for (const other of this.#running) if (other.began < began) this.#failed(other, 'overtaken');
    this.#over({ kind: 'connected', socket, endpoint, attempts: this.#tried.size });
  }

  #lost(attempt: Attempt, why: string): void {
    this.#running.delete(attempt);
    this.#failed(attempt, why);
    const [beside] = this.#running;
    if (this.#tryNext(beside?.endpoint.priority) || beside !== undefined) return;
    this.#o.counters.add('cluster.upstream_cx_connect_attempts_exceeded', this.#cluster.name);
    this.#over({ kind: 'failed', attempts: this.#tried.size, lastError: this.#lastError });
  }

  #failed({ endpoint }: Attempt, why: string): void {
    const { clock, counters } = this.#o;
    const { name, balancer } = this.#cluster;
    this.#lastError = `${renderHostPort(endpoint)}: ${why}`;
    counters.add('cluster.upstream_cx_connect_fail', name);
    if (why === 'timeout') counters.add('cluster.upstream_cx_connect_timeout', name);
    if (balancer.failed(endpoint, clock.now()))
      counters.add('cluster.outlier_detection_ejections_enforced_total', name);
  }

  #over(dialled: Dialled): void {
    this.#stagger?.[Symbol.dispose]();
    this.#o.stop.onStop = undefined;
    for (const attempt of this.#running) attempt.giveUp();
    this.#running.clear();
    this.#resolve(dialled);
  }
}

/** One connect. Exactly one of `connected` and `failed` is called, unless it is given up before. */
class Attempt {
  readonly endpoint: RelayEndpoint;
  readonly began: number;
  readonly #socket: Socket;
  readonly #deadline: Disposable;

  constructor(
    endpoint: RelayEndpoint,
    clock: Clock,
    o: {
      readonly connect: (to: TcpNetConnectOpts) => Socket;
      readonly limitMs: number;
      readonly keepAliveMs: number;
      readonly connected: (socket: Socket) => void;
      /** 'timeout', or the system's error code. */
      readonly failed: (why: string) => void;
    },
  ) {
    this.endpoint = endpoint;
    this.began = clock.now();
    const socket = o.connect({
      host: endpoint.host,
      port: endpoint.port,
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: o.keepAliveMs,
    });
    this.#socket = socket;
    const fail = (why: string): void => {
      this.giveUp();
      o.failed(why);
    };
    this.#deadline = clock.at(this.began + o.limitMs, () => fail('timeout'));
    const onError = (e: Error & { code?: string }): void => fail(e.code ?? e.message);
    socket.once('error', onError);
    socket.once('connect', () => {
      this.#deadline[Symbol.dispose]();
      socket.off('error', onError);
      socket.on('error', () => {}); // until the pipe listens too
      o.connected(socket);
    });
  }

  giveUp(): void {
    this.#deadline[Symbol.dispose]();
    this.#socket.removeAllListeners('connect').removeAllListeners('error');
    this.#socket.on('error', () => {}); // may still follow; said already
    this.#socket.destroy();
  }
}
