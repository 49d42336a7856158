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
/** After so many bytes of one side everybody else has a turn. */
const burstBytesMax = 8 * 1_024 * 1_024;
const large = new LargeBuffers();
const nothing = Buffer.alloc(0);
type Side = 'client' | 'upstream';
const otherSide = { client: 'upstream', upstream: 'client' } as const;

/**
 * Takes over both sockets, which must allow half-open and must not have emitted 'end'; from now on use those of the
 * result. `first`: bytes of the client that go before all others.
 */
export function pipe(client: Socket, upstream: Socket, first: readonly Buffer[], o: PipeOptions): Pipe {
  const joint = new Joint(client, upstream, o);
  joint.begin(first);
  return joint;
}

class Joint implements Pipe {
  readonly sockets: Record<Side, Socket>;
  readonly ended: Promise<PipeEnd>;
  readonly #o: PipeOptions;
  /** The other side has not taken what was read from this one. */
  readonly #stalled: Record<Side, boolean> = { client: false, upstream: false };
  readonly #buffers: Partial<Record<Side, ReadBuffer>> = {};
  /** Bytes since others had a turn. */
  readonly #burst: Record<Side, number> = { client: 0, upstream: 0 };
  #lastMoveAt: number;
  #endedSides = 0;
  #openSockets: number;
  #end: PipeEnd | undefined;
  #alarm: Disposable | undefined;
  #resolveEnded: (end: PipeEnd) => void = () => {};

  constructor(client: Socket, upstream: Socket, o: PipeOptions) {
    this.sockets = { client, upstream };
    this.#o = o;
    this.#lastMoveAt = o.clock.now();
    this.#openSockets = (client.closed ? 0 : 1) + (upstream.closed ? 0 : 1);
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
  }

  begin(first: readonly Buffer[]): void {
    const { client, upstream } = this.sockets;
    for (const side of ['client', 'upstream'] as const) {
      const from = this.sockets[side];
      this.#couple(side);
      from.on('data', (bytes: Buffer) => {
        if (!this.#relay(side, bytes)) from.pause();
        if (bytes.length === pourBytes) queueMicrotask(() => this.#pour(side)); // not from inside the stream that gave them
      });
    }
    this.#watch();
    if (client.destroyed) this.#cut('client_reset');
    if (upstream.destroyed) this.#cut('upstream_reset');
    if (this.#openSockets === 0) this.#over('cut');
    for (const bytes of first) upstream.write(bytes);
    client.resume();
    upstream.resume();
  }

  cut(): void {
    this.#cut('cut');
  }

  #couple(side: Side): void {
    const from = this.sockets[side];
    from.on('end', () => this.#ends(side));
    from.on('error', () => this.#cut(`${side}_reset`));
    from.on('close', () => {
      this.#openSockets -= 1;
      // Closed without an error and before both directions ended: destroyed by somebody here.
      if (!from.readableEnded || !(from.writableFinished || this.#endedSides === 2)) this.#cut('cut');
      if (this.#openSockets === 0) this.#over('completed');
    });
  }

  /** Whether to read on from `side`: not while the other has not taken these bytes, which still lie where they were read. */
  #relay(side: Side, bytes: Buffer): boolean {
    const { clock, onFlow } = this.#o;
    this.#lastMoveAt = clock.now();
    const to = this.sockets[otherSide[side]];
    to.write(bytes);
    if (to.writableLength === 0 || to.destroyed) return true;
    this.#stalled[side] = true;
    onFlow?.(side, 'paused');
    to.write(nothing, (failed) => {
      if (failed) return;
      this.#stalled[side] = false;
      this.#lastMoveAt = clock.now();
      onFlow?.(side, 'resumed');
      this.sockets[side].resume();
    });
    return false;
  }

  /** From now on `side` is read into a buffer of its own, if that can be had. */
  #pour(side: Side): void {
    if (this.#buffers[side]) return;
    const buffer = new ReadBuffer(large);
    const moved = withOwnBuffers(this.sockets[side], {
      buffer: () => buffer.current,
      callback: (bytes, filled) => {
        const taken = this.#relay(side, bytes === filled.length ? filled : filled.subarray(0, bytes));
        // The memory is used again, perhaps for another connection: not before its bytes have been taken.
        if (taken) buffer.next(bytes);
        return taken && this.#mayGoOn(side, bytes);
      },
    });
    if (moved === undefined) return;
    this.#buffers[side] = buffer;
    this.sockets[side] = moved.socket;
    this.#couple(side);
    for (const bytes of moved.unread) this.sockets[otherSide[side]].write(bytes);
    if (!this.#stalled[side]) moved.socket.resume();
  }

  /** Whether to read on at once; if not, it goes on in the next turn. */
  #mayGoOn(side: Side, bytes: number): boolean {
    this.#burst[side] += bytes;
    if (this.#burst[side] < burstBytesMax) return true;
    this.#burst[side] = 0;
    setImmediate(() => {
      if (!this.sockets[side].destroyed) this.sockets[side].resume();
    });
    return false;
  }

  #ends(side: Side): void {
    const to = this.sockets[otherSide[side]];
    this.#endedSides += 1;
    // Both have ended, and all was taken: closing says so as well as ending, and costs one turn less.
    if (this.#endedSides === 2 && to.readableEnded && to.writableLength === 0) to.destroy();
    else to.end();
    this.#lastMoveAt = this.#o.clock.now();
    this.#watch();
  }

  #cut(why: PipeEnd): void {
    this.#end ??= why;
    reset(this.sockets.client);
    reset(this.sockets.upstream);
  }

  /** One alarm for the whole life: when it rings and something has moved since, it is set anew from there. */
  #watch(): void {
    const { clock, idleMs } = this.#o;
    this.#alarm?.[Symbol.dispose]();
    const limitMs = this.#endedSides === 0 ? idleMs || Infinity : halfClosedIdleMsMax;
    if (limitMs === Infinity) return;
    this.#alarm = clock.at(this.#lastMoveAt + limitMs, () => {
      if (clock.now() - this.#lastMoveAt >= limitMs) this.#cut('idle');
      else this.#watch();
    });
  }

  #over(otherwise: PipeEnd): void {
    this.#alarm?.[Symbol.dispose]();
    this.#buffers.client?.[Symbol.dispose]();
    this.#buffers.upstream?.[Symbol.dispose]();
    this.#resolveEnded(this.#end ?? otherwise);
  }
}
