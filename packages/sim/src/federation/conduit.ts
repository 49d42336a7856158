/**
 * conduit.ts: one TCP connection, perhaps through gateways, as two streams with time in between.
 *
 * A relayed connection is really one per hop; here it is one with several hops, because a gateway only passes bytes on. It
 * flows while everybody on the way is there; while it does not, what was sent waits, as TCP does. Bytes arrive in order, and cut
 * into other pieces than they were written in.
 * Lives here: one connection. Must not live here: who may connect (network.ts), who routes (gateway.ts).
 */
import { Duplex } from 'node:stream';
import type { SeededRng } from '../seeded-rng.ts';
import type { VirtualClock } from '../virtual-clock.ts';
import type { SimHost } from './network.ts';

/** From the side that dialled to the side that was dialled. */
export interface Hop {
  readonly from: SimHost;
  readonly to: SimHost;
}

export interface ConduitPorts {
  readonly clock: VirtualClock;
  readonly rng: SeededRng;
  /** Whether a segment gets over this hop now. */
  readonly passes: (hop: Hop) => boolean;
  readonly delayMs: (hops: readonly Hop[]) => number;
  /** Probability that what was written arrives in pieces. */
  readonly chunking: () => number;
  /** Every write that arrives, for checkers. */
  readonly arrived?: (end: ConduitEnd, bytes: Uint8Array) => void;
  readonly written?: (end: ConduitEnd, bytes: Uint8Array) => void;
}

/** How long a segment that did not get through waits before it is sent again. */
const retransmitMs = 200;
/** What the sender's machine takes before a write has to wait, in bytes. */
const sendBufferBytes = 256 * 1024;

export class Conduit {
  readonly hops: readonly Hop[];
  /** The protocol, as ALPN names it; `type byte` within a datacenter. */
  readonly protocol: string;
  readonly near: ConduitEnd;
  readonly far: ConduitEnd;
  readonly #ports: ConduitPorts;
  /** Who forgot it. That one may be there again, and then answers with a reset. */
  #severed: SimHost | undefined;

  constructor(ports: ConduitPorts, hops: readonly Hop[], protocol: string) {
    this.#ports = ports;
    this.hops = hops;
    this.protocol = protocol;
    this.near = new ConduitEnd(this, ports, hops[0]!.from);
    this.far = new ConduitEnd(this, ports, hops.at(-1)!.to);
    this.near.peer = this.far;
    this.far.peer = this.near;
    for (const host of this.hosts()) host.conduits.add(this);
    const over = (): void => {
      if (!this.near.destroyed || !this.far.destroyed) return;
      for (const host of this.hosts()) host.conduits.delete(this);
    };
    this.near.once('close', over);
    this.far.once('close', over);
  }

  hosts(): readonly SimHost[] {
    return [this.hops[0]!.from, ...this.hops.map((hop) => hop.to)];
  }

  /** Somebody on the way is gone: both ends find out, unless the way to them is dark. */
  broke(at: SimHost): void {
    const { clock, delayMs } = this.#ports;
    this.#severed = at;
    for (const end of [this.near, this.far]) {
      if (end.host === at) continue;
      const hops = this.#between(end, at);
      // The machine of a dead program still says so, if it is asked to.
      if (at.dark || !hops.slice(0, -1).every((hop) => this.#ports.passes(hop))) continue;
      clock.at(clock.now() + delayMs(hops), () => end.destroy(new Error('connection reset')));
    }
  }

  get flows(): boolean {
    return this.#severed === undefined && this.hops.every((hop) => this.#ports.passes(hop));
  }

  /** Whether a segment from this end comes to somebody who knows nothing of the connection any more. */
  refusedFrom(end: ConduitEnd): boolean {
    const at = this.#severed;
    return at !== undefined && this.#between(end, at).every((hop) => this.#ports.passes(hop));
  }

  get delayMs(): number {
    return this.#ports.delayMs(this.hops);
  }

  /** From an end to a host on the way, the hop that touches that host last. */
  #between(end: ConduitEnd, at: SimHost): readonly Hop[] {
    const index = this.hosts().indexOf(at);
    return end === this.near ? this.hops.slice(0, index) : this.hops.slice(index).toReversed();
  }
}

interface Segment {
  readonly at: number;
  readonly bytes: Buffer | 'end' | 'reset';
}

export class ConduitEnd extends Duplex {
  peer!: ConduitEnd;
  readonly host: SimHost;
  readonly conduit: Conduit;
  readonly #ports: ConduitPorts;
  readonly #underway: Segment[] = [];
  #underwayBytes = 0;
  #lastArrival = 0;
  #waiting: (() => void) | undefined;
  #timed = false;

  constructor(conduit: Conduit, ports: ConduitPorts, host: SimHost) {
    super({ allowHalfOpen: false });
    this.conduit = conduit;
    this.#ports = ports;
    this.host = host;
    this.on('error', () => {}); // as on real sockets here: 'close' and the next write tell
  }

  override _read(): void {
    // What arrives is pushed when it arrives.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (cause?: Error | null) => void): void {
    const bytes = Buffer.from(chunk);
    this.#ports.written?.(this, bytes);
    this.#send(bytes);
    if (this.#underwayBytes <= sendBufferBytes) done();
    else this.#waiting = done;
  }

  override _writev(chunks: { readonly chunk: Buffer }[], done: (cause?: Error | null) => void): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), 'binary' as BufferEncoding, done);
  }

  override _final(done: (cause?: Error | null) => void): void {
    this.#send('end');
    done();
  }

  override _destroy(cause: Error | null, done: (cause?: Error | null) => void): void {
    // Both directions said all they had: nothing to tell. And who is dead tells nothing.
    if (this.host.alive && !(this.writableFinished && this.readableEnded)) this.#send('reset');
    done(cause);
  }

  #send(bytes: Segment['bytes']): void {
    const { clock } = this.#ports;
    this.#lastArrival = Math.max(this.#lastArrival, clock.now() + this.conduit.delayMs);
    this.#underway.push({ at: this.#lastArrival, bytes });
    if (typeof bytes !== 'string') this.#underwayBytes += bytes.length;
    this.#await(this.#lastArrival);
  }

  /** The oldest segment first; while it cannot arrive, nothing behind it does. */
  #await(at: number): void {
    if (this.#timed) return;
    this.#timed = true;
    const { clock } = this.#ports;
    clock.at(at, () => {
      this.#timed = false;
      if (this.peer.destroyed) return;
      if (!this.conduit.flows) {
        if (this.conduit.refusedFrom(this)) this.destroy(new Error('connection reset'));
        else this.#await(clock.now() + retransmitMs);
        return;
      }
      while (this.#underway[0] !== undefined && this.#underway[0].at <= clock.now())
        this.#deliver(this.#underway.shift()!);
      const next = this.#underway[0];
      if (next !== undefined) this.#await(next.at);
    });
  }

  #deliver({ bytes }: Segment): void {
    const { peer } = this;
    if (peer.destroyed) return;
    if (bytes === 'end') peer.push(null);
    else if (bytes === 'reset') peer.destroy(new Error('connection reset'));
    else {
      this.#underwayBytes -= bytes.length;
      this.#ports.arrived?.(peer, bytes);
      const { rng } = this.#ports;
      if (bytes.length > 1 && rng.chance(this.#ports.chunking())) {
        const cut = 1 + rng.below(bytes.length - 1);
        peer.push(bytes.subarray(0, cut));
        peer.push(bytes.subarray(cut));
      } else peer.push(bytes);
      if (this.#waiting !== undefined && this.#underwayBytes <= sendBufferBytes) {
        const done = this.#waiting;
        this.#waiting = undefined;
        done();
      }
    }
  }
}
