/**
 * network.ts: a network that loses, delays, repeats, reorders and divides, on purpose and from a seed.
 *
 * Each host gets a transport that memberlist cannot tell from the real one. Packets may be lost; streams, like TCP, are
 * only ever late, stuck or broken. Lives here: faults and delivery. Must not live here: which faults when (scenario.ts).
 */
import type { Address, HostPort, Inbound, Transport } from '@fed/memberlist';
import type { SeededRng } from './seeded-rng.ts';
import { streamPair } from './stream-pair.ts';
import type { Transcript } from './transcript.ts';
import type { VirtualClock } from './virtual-clock.ts';

export interface Faults {
  readonly delayMsMin: number;
  readonly delayMsMax: number;
  /** Probabilities per packet, 0 to 1. */
  readonly loss: number;
  readonly duplication: number;
  /** A reordered packet takes this much longer. */
  readonly reordering: number;
  readonly reorderMsMax: number;
  /** Probability that a packet cannot be sent, which the sender is told. */
  readonly sendFailure: number;
  /** Probability per dialled stream that it breaks in the middle. */
  readonly streamBreak: number;
}

export const calm: Faults = {
  delayMsMin: 1,
  delayMsMax: 3,
  loss: 0,
  duplication: 0,
  reordering: 0,
  reorderMsMax: 0,
  sendFailure: 0,
  streamBreak: 0,
};

/** Packets that wait for a program that stands still, in bytes. memberlist net_transport.go, udpRecvBufSize. */
const socketBytesMax = 2 * 1024 * 1024;

export interface NetworkOptions {
  readonly clock: VirtualClock;
  readonly rng: SeededRng;
  readonly faults?: Faults;
  readonly transcript?: Transcript;
}

export class SimNetwork {
  faults: Faults;
  readonly #clock: VirtualClock;
  readonly #rng: SeededRng;
  readonly #transcript: Transcript | undefined;
  readonly #listeners = new Map<string, SimTransport>();
  /** Host to the number of its side; hosts on different sides do not hear each other. */
  #sides = new Map<string, number>();
  readonly #slowness = new Map<string, number>();
  /** Hosts whose programs stand still, and what waits for them and from them, in order. */
  readonly #stalled = new Map<string, { readonly waiting: (() => void)[]; inboundBytes: number }>();
  /** Ways that carry nothing, or no packets, one direction each. */
  readonly #cut = new Map<string, 'all' | 'packets'>();

  constructor(o: NetworkOptions) {
    this.#clock = o.clock;
    this.#rng = o.rng;
    this.faults = o.faults ?? calm;
    this.#transcript = o.transcript;
  }

  get clock(): VirtualClock {
    return this.#clock;
  }

  open(at: HostPort): SimTransport {
    const key = keyOf(at);
    if (this.#listeners.has(key)) throw new Error(`${key} is taken`);
    const transport = new SimTransport(this, at, () => this.#listeners.delete(key));
    this.#listeners.set(key, transport);
    return transport;
  }

  /** From now on only hosts of the same group hear each other; unnamed hosts form one group of their own. */
  partition(...groups: readonly (readonly string[])[]): void {
    this.#sides = new Map(groups.flatMap((group, side) => group.map((host) => [host, side + 1] as const)));
    this.note(`partition ${groups.map((group) => group.join(',')).join(' | ')}`);
  }

  heal(): void {
    this.#sides.clear();
    this.note('heal');
  }

  /** Everything to and from `host` takes this much longer; 0 ends it. */
  slow(host: string, extraMs: number): void {
    this.#slowness.set(host, extraMs);
    this.note(`slow ${host} ${extraMs}`);
  }

  /**
   * From now on `host` neither hears nor is heard, though its clock goes on: a program that gets no share of its machine.
   * What is sent to it and by it waits for `resume`, up to what a socket holds.
   */
  stall(host: string): void {
    if (!this.#stalled.has(host)) this.#stalled.set(host, { waiting: [], inboundBytes: 0 });
    this.note(`stall ${host}`);
  }

  resume(host: string): void {
    const { waiting = [] } = this.#stalled.get(host) ?? {};
    this.#stalled.delete(host);
    this.note(`resume ${host}`);
    for (const go of waiting) go();
  }

  /** Nothing, or no packets, from one host to another; the way back is another way. */
  cut(from: string, to: string, what: 'all' | 'packets'): void {
    this.#cut.set(`${from} ${to}`, what);
    this.note(`cut ${from} ${to} ${what}`);
  }

  mend(from: string, to: string): void {
    this.#cut.delete(`${from} ${to}`);
    this.note(`mend ${from} ${to}`);
  }

  note(line: string): void {
    this.#transcript?.add(this.#clock.now(), line);
  }

  // ---- For the transports

  packet(
    from: HostPort,
    to: HostPort,
    bytes: Uint8Array,
    failed: ((cause: Error) => void) | undefined,
  ): void {
    const stalled = this.#stalled.get(from.host);
    if (stalled !== undefined) {
      stalled.waiting.push(() => this.packet(from, to, bytes, failed));
      return;
    }
    const rng = this.#rng;
    const { loss, duplication, sendFailure } = this.faults;
    if (rng.chance(sendFailure)) {
      this.#after(0, () => failed?.(new Error('no buffer space')));
      return;
    }
    const copies = rng.chance(loss) ? 0 : rng.chance(duplication) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++)
      this.#after(this.#packetDelayMs(from, to), () => this.#arrive(from, to, bytes));
  }

  #arrive(from: HostPort, to: HostPort, bytes: Uint8Array): void {
    const receiver = this.#listeners.get(keyOf(to));
    if (receiver === undefined || !this.#connected(from.host, to.host)) return;
    if (this.#cut.size > 0 && this.#cut.has(`${from.host} ${to.host}`)) return;
    const stalled = this.#stalled.get(to.host);
    if (stalled !== undefined) {
      stalled.inboundBytes += bytes.length;
      if (stalled.inboundBytes <= socketBytesMax) stalled.waiting.push(() => this.#arrive(from, to, bytes));
      return;
    }
    if (this.#transcript !== undefined) this.note(`packet ${keyOf(from)} ${keyOf(to)} ${hashOf(bytes)}`);
    receiver.inbound?.packet(bytes.slice(), from);
  }

  dial(from: HostPort, to: HostPort, timeoutMs: number, signal: AbortSignal | undefined): Promise<SimStream> {
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void): void => {
        timer[Symbol.dispose]();
        signal?.removeEventListener('abort', abort);
        settle();
      };
      const abort = (): void => {
        attempt[Symbol.dispose]();
        finish(() => reject(signal?.reason));
      };
      const timer = this.#clock.at(this.#clock.now() + timeoutMs, () => {
        attempt[Symbol.dispose]();
        finish(() => reject(new Error(`no answer from ${keyOf(to)} in ${timeoutMs} ms`)));
      });
      const attempt = this.#after(2 * this.delayMs(from.host, to.host), () => {
        if (!this.isReachable(from.host, to.host) || !this.isReachable(to.host, from.host)) return; // lost on the way: silence until the timeout
        const receiver = this.#listeners.get(keyOf(to));
        const { inbound } = receiver ?? {};
        if (receiver === undefined || inbound === undefined)
          return finish(() => reject(new Error(`connection refused by ${keyOf(to)}`)));
        const [ours, theirs] = streamPair(this, from.host, to.host);
        receiver.keep(theirs);
        this.note(`stream ${keyOf(from)} ${keyOf(to)}`);
        if (this.#rng.chance(this.faults.streamBreak))
          this.#after(this.#rng.between(0, 20), () => ours.destroy(new Error('connection reset')));
        finish(() => resolve(ours));
        inbound.stream(theirs, { host: from.host, port: 1 + this.#rng.below(65_535) });
      });
      if (signal?.aborted) return abort();
      signal?.addEventListener('abort', abort, { once: true });
    });
  }

  /** Whether a segment of a stream gets through at this moment. */
  isReachable(a: string, b: string): boolean {
    return !this.#stalled.has(a) && !this.#stalled.has(b) && this.#connected(a, b);
  }

  #connected(a: string, b: string): boolean {
    if (a === b) return true;
    return (this.#sides.get(a) ?? 0) === (this.#sides.get(b) ?? 0) && this.#cut.get(`${a} ${b}`) !== 'all';
  }

  /** What one way takes this time. */
  delayMs(from: string, to: string): number {
    const { delayMsMin, delayMsMax } = this.faults;
    const slowness = (this.#slowness.get(from) ?? 0) + (this.#slowness.get(to) ?? 0);
    return this.#rng.between(delayMsMin, delayMsMax) + slowness;
  }

  #packetDelayMs(from: HostPort, to: HostPort): number {
    const { reordering, reorderMsMax } = this.faults;
    const extra = this.#rng.chance(reordering) ? this.#rng.between(0, reorderMsMax) : 0;
    return this.delayMs(from.host, to.host) + extra;
  }

  #after(ms: number, then: () => void): Disposable {
    return this.#clock.at(this.#clock.now() + ms, then);
  }
}

type SimStream = ReturnType<typeof streamPair>[0];

export class SimTransport implements Transport {
  readonly advertise: HostPort;
  inbound: Inbound | undefined;
  readonly #network: SimNetwork;
  readonly #closed: () => void;
  readonly #streams = new Set<SimStream>();
  #isClosed = false;

  constructor(network: SimNetwork, at: HostPort, closed: () => void) {
    this.#network = network;
    this.advertise = at;
    this.#closed = closed;
  }

  listen(inbound: Inbound): void {
    this.inbound = inbound;
  }

  sendPacket(to: Address, packet: Uint8Array, failed?: (cause: Error) => void): void {
    if (!this.#isClosed) this.#network.packet(this.advertise, to, packet, failed);
  }

  async dialStream(
    to: Address,
    o: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<SimStream> {
    if (this.#isClosed) throw new Error('the transport is closed');
    const stream = await this.#network.dial(this.advertise, to, o.timeoutMs, o.signal);
    this.keep(stream);
    return stream;
  }

  /** Closed with the transport. */
  keep(stream: SimStream): void {
    stream.on('error', () => {});
    stream.once('close', () => this.#streams.delete(stream));
    if (this.#isClosed) stream.destroy();
    else this.#streams.add(stream);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.inbound = undefined;
    this.#closed();
    for (const stream of this.#streams) stream.destroy();
  }
}

function keyOf({ host, port }: HostPort): string {
  return `${host}:${port}`;
}

/** FNV-1a, enough to tell packets apart in a transcript. */
function hashOf(bytes: Uint8Array): string {
  let hash = 0x811c_9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x0100_0193);
  return (hash >>> 0).toString(16);
}
