/**
 * pipe.ts: two sockets as one connection.
 *
 * What one end does, the other end sees (R3): bytes in order, no faster than they are taken; the end of one direction while
 * the other goes on; a reset as a reset, so that a broken peer is never mistaken for one that finished. No byte is
 * looked at. A connection on which nothing moves for the idle time, or five minutes once half of it has ended, is cut.
 * Lives here: the coupling of two sockets. Must not live here: where they come from, counters.
 * Source: Envoy tcp_proxy (half-close, idle_timeout 1 h), RFC 9293 §3.6.
 */
import type { Socket } from 'node:net';
import type { Clock } from './ports.ts';

/** A direction that ended while the other is silent for so long is a peer that forgot to close. */
const halfClosedIdleMsMax = 300_000;

export type PipeEnd =
  /** Both directions ended in order. */
  | 'completed'
  | 'client_reset'
  | 'upstream_reset'
  | 'idle'
  /** Cut from here, e.g. at the end of a drain. */
  | 'cut';

export interface Pipe {
  /** Resets both ends. */
  cut(): void;
  /** Resolves once both sockets are closed. Never rejects. */
  readonly ended: Promise<PipeEnd>;
}

export interface PipeOptions {
  readonly clock: Clock;
  /** 0: never. */
  readonly idleMs: number;
  /** Reading from that side stopped or went on, because the other side takes no more. */
  readonly onFlow?: (side: 'client' | 'upstream', flow: 'paused' | 'resumed') => void;
}

/** Takes over both sockets. They must allow half-open and must not have emitted 'end'. */
export function pipe(client: Socket, upstream: Socket, o: PipeOptions): Pipe {
  const { clock } = o;
  let lastMoveAt = clock.now();
  let endedSides = 0;
  let openSockets = [client, upstream].filter((socket) => !socket.closed).length;
  let end: PipeEnd | undefined;
  let alarm: Disposable | undefined;
  let resolveEnded: (end: PipeEnd) => void = () => {};
  const ended = new Promise<PipeEnd>((resolve) => {
    resolveEnded = resolve;
  });

  const cut = (why: PipeEnd): void => {
    end ??= why;
    for (const socket of [client, upstream]) if (!socket.destroyed) socket.resetAndDestroy();
  };
  const idleMs = (): number => (endedSides === 0 ? o.idleMs || Infinity : halfClosedIdleMsMax);
  /** One alarm for the whole life: when it rings and something has moved since, it is set anew from there. */
  const watch = (): void => {
    alarm?.[Symbol.dispose]();
    if (idleMs() === Infinity) return;
    alarm = clock.at(lastMoveAt + idleMs(), () => {
      if (clock.now() - lastMoveAt >= idleMs()) cut('idle');
      else watch();
    });
  };

  const couple = (from: Socket, to: Socket, side: 'client' | 'upstream'): void => {
    from.on('data', (chunk: Buffer) => {
      lastMoveAt = clock.now();
      if (to.write(chunk) || to.destroyed) return;
      from.pause();
      o.onFlow?.(side, 'paused');
    });
    to.on('drain', () => {
      lastMoveAt = clock.now();
      if (!from.isPaused()) return;
      from.resume();
      o.onFlow?.(side, 'resumed');
    });
    from.on('end', () => {
      to.end();
      endedSides += 1;
      lastMoveAt = clock.now();
      watch();
    });
    from.on('error', () => cut(`${side}_reset`));
    from.on('close', () => {
      openSockets -= 1;
      // Closed without an error and before both directions ended: destroyed by somebody here.
      if (!from.readableEnded || !from.writableFinished) cut('cut');
      if (openSockets > 0) return;
      alarm?.[Symbol.dispose]();
      resolveEnded(end ?? 'completed');
    });
  };
  couple(client, upstream, 'client');
  couple(upstream, client, 'upstream');
  watch();
  if (client.destroyed) cut('client_reset');
  if (upstream.destroyed) cut('upstream_reset');
  if (openSockets === 0) {
    alarm?.[Symbol.dispose]();
    resolveEnded(end ?? 'cut');
  }
  client.resume();
  upstream.resume();
  return { cut: () => cut('cut'), ended };
}
