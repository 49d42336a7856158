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
import { withOwnBuffers } from './own-buffers.ts';
import type { Clock } from './ports.ts';
import { LargeBuffers, ReadBuffer } from './read-buffer.ts';
import { reset } from './reset.ts';

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
  /** The two connections as they are now: other objects than those given, once a side has begun to pour. */
  readonly sockets: { readonly client: Socket; readonly upstream: Socket };
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

/** A read as large as Node makes them: somebody pours, and it pays to read into memory that is used again. */
const pourBytes = 65_536;
const large = new LargeBuffers();
const nothing = Buffer.alloc(0);
type Side = 'client' | 'upstream';
const otherSide = { client: 'upstream', upstream: 'client' } as const;

/**
 * Takes over both sockets, which must allow half-open and must not have emitted 'end'; from now on use those of the
 * result. `first`: bytes of the client that go before all others.
 */
export function pipe(client: Socket, upstream: Socket, first: readonly Buffer[], o: PipeOptions): Pipe {
  const { clock } = o;
  const sockets: Record<Side, Socket> = { client, upstream };
  const stalled: Record<Side, boolean> = { client: false, upstream: false };
  const buffers: Partial<Record<Side, ReadBuffer>> = {};
  let lastMoveAt = clock.now();
  let endedSides = 0;
  let openSockets = [client, upstream].filter((socket) => !socket.closed).length;
  let end: PipeEnd | undefined;
  let alarm: Disposable | undefined;
  let resolveEnded: (end: PipeEnd) => void = () => {};
  const ended = new Promise<PipeEnd>((resolve) => {
    resolveEnded = resolve;
  });

  /** Whether to read on from `side`: not while the other has not taken these bytes, which still lie where they were read. */
  const relay = (side: Side, bytes: Buffer): boolean => {
    lastMoveAt = clock.now();
    const to = sockets[otherSide[side]];
    to.write(bytes);
    if (to.writableLength === 0 || to.destroyed) return true;
    stalled[side] = true;
    o.onFlow?.(side, 'paused');
    to.write(nothing, (failed) => {
      if (failed) return;
      stalled[side] = false;
      lastMoveAt = clock.now();
      o.onFlow?.(side, 'resumed');
      sockets[side].resume();
    });
    return false;
  };

  /** From now on `side` is read into a buffer of its own, if that can be had. */
  const pour = (side: Side): void => {
    if (buffers[side]) return;
    const buffer = new ReadBuffer(large);
    const moved = withOwnBuffers(sockets[side], {
      buffer: () => buffer.current,
      callback: (bytes, filled) => {
        const goOn = relay(side, filled.subarray(0, bytes));
        // The same memory again is safe: either its bytes have been taken, or nothing is read until they are.
        buffer.next(bytes);
        return goOn;
      },
    });
    if (moved === undefined) return;
    buffers[side] = buffer;
    sockets[side] = moved.socket;
    couple(side);
    for (const bytes of moved.unread) sockets[otherSide[side]].write(bytes);
    if (!stalled[side]) moved.socket.resume();
  };

  const cut = (why: PipeEnd): void => {
    end ??= why;
    for (const socket of [sockets.client, sockets.upstream]) reset(socket);
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
  const over = (otherwise: PipeEnd): void => {
    alarm?.[Symbol.dispose]();
    buffers.client?.[Symbol.dispose]();
    buffers.upstream?.[Symbol.dispose]();
    resolveEnded(end ?? otherwise);
  };

  const couple = (side: Side): void => {
    const from = sockets[side];
    from.on('end', () => {
      const to = sockets[otherSide[side]];
      endedSides += 1;
      // Both have ended, and all was taken: closing says so as well as ending, and costs one turn less.
      if (endedSides === 2 && to.readableEnded && to.writableLength === 0) to.destroy();
      else to.end();
      lastMoveAt = clock.now();
      watch();
    });
    from.on('error', () => cut(`${side}_reset`));
    from.on('close', () => {
      openSockets -= 1;
      // Closed without an error and before both directions ended: destroyed by somebody here.
      if (!from.readableEnded || !(from.writableFinished || endedSides === 2)) cut('cut');
      if (openSockets === 0) over('completed');
    });
  };
  for (const side of ['client', 'upstream'] as const) {
    const from = sockets[side];
    couple(side);
    from.on('data', (bytes: Buffer) => {
      if (!relay(side, bytes)) from.pause();
      if (bytes.length === pourBytes) queueMicrotask(() => pour(side)); // not from inside the stream that gave them
    });
  }
  watch();
  if (client.destroyed) cut('client_reset');
  if (upstream.destroyed) cut('upstream_reset');
  if (openSockets === 0) over('cut');
  for (const bytes of first) upstream.write(bytes);
  client.resume();
  upstream.resume();
  return { sockets, cut: () => cut('cut'), ended };
}
