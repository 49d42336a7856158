/**
 * dial.ts: a connection to some endpoint of a cluster.
 *
 * Not a byte of the client has been sent yet, so a refused or silent endpoint costs time only: the next one is tried,
 * none twice, as often as the chain allows, inside one budget (R4). Every outcome is told to the balancer.
 * Lives here: one dial. Must not live here: which endpoint (balance.ts), bytes (pipe.ts).
 * Source: Envoy tcp_proxy (max_connect_attempts), cluster connect_timeout.
 */

import { connect, type Socket } from 'node:net';
import { renderHostPort } from '@fed/alpn-mux';
import type { Cluster } from './clusters.ts';
import type { Counters } from './counters.ts';
import type { Clock, RelayEndpoint } from './ports.ts';

/** For all attempts together: no client waits longer for the first byte back. */
const connectBudgetMsMax = 15_000;
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

export async function dial(
  cluster: Cluster,
  o: {
    readonly clock: Clock;
    readonly counters: Counters;
    readonly stop: StopDialing;
    readonly attemptsMax: number;
  },
): Promise<Dialled> {
  const { clock, counters, stop, attemptsMax } = o;
  const { name, balancer } = cluster;
  const { connectTimeoutMs, keepalive } = cluster.config;
  const keepAliveMs = keepalive?.timeSec === undefined ? keepAliveMsDefault : keepalive.timeSec * 1_000;
  const until = clock.now() + Math.min(connectBudgetMsMax, attemptsMax * connectTimeoutMs);
  const tried = new Set<string>();
  let lastError = 'no endpoint';
  for (;;) {
    const began = clock.now();
    const endpoint = tried.size < attemptsMax && began < until ? balancer.pick(began, tried) : undefined;
    if (endpoint === undefined) {
      if (tried.size === 0) {
        counters.add('cluster.upstream_cx_none_healthy', name);
        return { kind: 'noneHealthy' };
      }
      counters.add('cluster.upstream_cx_connect_attempts_exceeded', name);
      return { kind: 'failed', attempts: tried.size, lastError };
    }
    tried.add(renderHostPort(endpoint));
    counters.add('cluster.upstream_cx_total', name);
    const result = await attempt(endpoint, {
      limitMs: Math.min(connectTimeoutMs, until - began),
      keepAliveMs,
      clock,
      stop,
    });
    if (result === 'aborted') return { kind: 'aborted' };
    if (typeof result !== 'string') {
      balancer.connected(endpoint);
      counters.observe('cluster.upstream_cx_connect_ms', name, clock.now() - began);
      return { kind: 'connected', socket: result, endpoint, attempts: tried.size };
    }
    lastError = `${renderHostPort(endpoint)}: ${result}`;
    counters.add('cluster.upstream_cx_connect_fail', name);
    if (result === 'timeout') counters.add('cluster.upstream_cx_connect_timeout', name);
    if (balancer.failed(endpoint, clock.now())) {
      counters.add('cluster.outlier_detection_ejections_enforced_total', name);
    }
  }
}

/** The socket, or why not: 'timeout', 'aborted' or the system's error code. */
function attempt(
  to: RelayEndpoint,
  o: { limitMs: number; keepAliveMs: number; clock: Clock; stop: StopDialing },
): Promise<Socket | string> {
  const { limitMs, keepAliveMs, clock, stop } = o;
  return new Promise((resolve) => {
    if (stop.stopped) {
      resolve('aborted');
      return;
    }
    const socket = connect({
      host: to.host,
      port: to.port,
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: keepAliveMs,
    });
    const deadline = clock.at(clock.now() + limitMs, () => settle('timeout'));
    const onError = (e: Error & { code?: string }): void => settle(e.code ?? e.message);
    const settle = (outcome: Socket | string): void => {
      deadline[Symbol.dispose]();
      stop.onStop = undefined;
      if (typeof outcome === 'string') {
        socket.on('error', () => {}); // may still follow; said already
        socket.destroy();
      }
      socket.off('error', onError);
      resolve(outcome);
    };
    stop.onStop = () => settle('aborted');
    socket.once('error', onError);
    socket.once('connect', () => {
      socket.on('error', () => {}); // until the pipe listens too
      settle(socket);
    });
  });
}
