/**
 * stream-pair.ts: the two ends of a connection, with time in between.
 *
 * In order and without loss, as TCP: what cannot get through waits and tries again. Lives here: one connection.
 * Must not live here: who may connect, how long a way is (network.ts).
 */
import { Duplex } from 'node:stream';
import type { VirtualClock } from './virtual-clock.ts';

/** What a connection needs to know of its network. */
export interface Way {
  readonly clock: VirtualClock;
  isReachable(a: string, b: string): boolean;
  delayMs(from: string, to: string): number;
}

/** How long a segment that did not get through waits before it is sent again. */
const retransmitMs = 200;

export function streamPair(way: Way, from: string, to: string): readonly [SimStream, SimStream] {
  const near = new SimStream(way, from, to);
  const far = new SimStream(way, to, from);
  near.peer = far;
  far.peer = near;
  return [near, far];
}

export class SimStream extends Duplex {
  peer: SimStream | undefined;
  readonly #way: Way;
  readonly #from: string;
  readonly #to: string;
  readonly #underway: { readonly at: number; readonly arrive: (peer: SimStream) => void }[] = [];
  /** Nothing overtakes what was sent before it. */
  #lastArrival = 0;

  constructor(way: Way, from: string, to: string) {
    super({ allowHalfOpen: false });
    this.#way = way;
    this.#from = from;
    this.#to = to;
  }

  override _read(): void {
    // What arrives is pushed when it arrives.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (cause?: Error | null) => void): void {
    const copy = Buffer.from(chunk);
    this.#send((peer) => peer.push(copy));
    done();
  }

  override _final(done: (cause?: Error | null) => void): void {
    this.#send((peer) => peer.push(null));
    done();
  }

  override _destroy(cause: Error | null, done: (cause?: Error | null) => void): void {
    // Both directions said all they had: nothing to tell. Otherwise the other end finds the connection reset.
    if (!(this.writableFinished && this.readableEnded))
      this.#send((peer) => peer.destroy(new Error('connection reset')));
    done(cause);
  }

  #send(arrive: (peer: SimStream) => void): void {
    const { clock } = this.#way;
    const delayMs = this.#way.delayMs(this.#from, this.#to);
    this.#lastArrival = Math.max(this.#lastArrival, clock.now() + delayMs);
    this.#underway.push({ at: this.#lastArrival, arrive });
    if (this.#underway.length === 1) this.#await(this.#lastArrival);
  }

  /** The oldest segment first; while it cannot arrive, nothing behind it does. */
  #await(at: number): void {
    const { clock } = this.#way;
    clock.at(at, () => {
      const peer = this.peer;
      if (peer === undefined || peer.destroyed) return;
      if (!this.#way.isReachable(this.#from, this.#to)) return this.#await(clock.now() + retransmitMs);
      this.#underway.shift()?.arrive(peer);
      const next = this.#underway[0];
      if (next !== undefined) this.#await(Math.max(next.at, clock.now()));
    });
  }
}
