/**
 * stream-table.ts: the streams of one session, and what is counted over all of them.
 *
 * Counts that are kept beside a map drift from it, unless one place writes both: this one (I1).
 * Two things happen to a stream independently: it becomes known to both ends (`opening`), and each direction ends.
 * Credit is how many bytes the other side allows: we spend `sendCredit`, the peer spends `receiveCredit`.
 * Lives here: the records, their credit, backlog slots, the sending queue. Must not live here: frames and effects.
 * Source: hashicorp/yamux stream.go (sendWindowUpdate), session.go (synCh, inflight).
 */
import { initialWindowBytes } from './frame.ts';
import type { YamuxConfig } from './session-events.ts';
import { Waits } from './waits.ts';

type Opening =
  | 'unannounced' // ours; the peer has not heard of it, and hears of it with its first byte
  | 'announced' // ours; our SYN is out, the peer has not answered
  | 'unaccepted' // theirs; their SYN came, the application has not taken it
  | 'established';

export interface StreamRecord {
  readonly id: number;
  readonly theirs: boolean;
  opening: Opening;
  sendCredit: number;
  receiveCredit: number;
  /** Bytes delivered to the application and not yet consumed by it. */
  buffered: number;
  /** What the application handed over and no frame has carried yet. */
  pending: Uint8Array | undefined;
  /** FIN is due once `pending` is out. */
  ending: boolean;
  sendEnded: boolean;
  receiveEnded: boolean;
  /** The application has let go of it: whatever still arrives is thrown away. */
  dropped: boolean;
  /** It was let go of after our FIN: the peer may not have read our last bytes yet, and a RST would take them from it. */
  lastWord: boolean;
}

export class StreamTable {
  readonly #config: YamuxConfig;
  readonly #streams = new Map<number, StreamRecord>();
  readonly #sendable = new Set<number>(); // bytes and credit at hand, in the order they take turns
  readonly #held = new Set<number>(); // unannounced, with bytes, waiting for a slot in the peer's backlog
  /** Ours, announced and unanswered, while anybody still cares. */
  readonly openWaits: Waits;
  /** Let go of by us, not ended by the peer. */
  readonly closeWaits: Waits;
  #unanswered = 0;
  #unaccepted = 0;
  #theirs = 0;
  #bufferedBytes = 0;

  constructor(config: YamuxConfig) {
    this.#config = config;
    this.openWaits = new Waits(config.streamOpenMs);
    this.closeWaits = new Waits(config.streamCloseMs);
  }

  get size(): number {
    return this.#streams.size;
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  get hasSendable(): boolean {
    return this.#sendable.size > 0;
  }

  /** Room for one more stream of the peer's. */
  get hasRoom(): boolean {
    return this.#unaccepted < this.#config.acceptBacklog && this.#theirs < this.#config.peerStreamsMax;
  }

  get(id: number): StreamRecord | undefined {
    return this.#streams.get(id);
  }

  add(id: number, opening: 'unannounced' | 'unaccepted'): StreamRecord {
    const s: StreamRecord = {
      id,
      theirs: opening === 'unaccepted',
      opening,
      sendCredit: initialWindowBytes,
      receiveCredit: initialWindowBytes,
      buffered: 0,
      pending: undefined,
      ending: false,
      sendEnded: false,
      receiveEnded: false,
      dropped: false,
      lastWord: false,
    };
    this.#streams.set(id, s);
    if (s.theirs) {
      this.#unaccepted += 1;
      this.#theirs += 1;
    }
    return s;
  }

  announced(s: StreamRecord, now: number): void {
    s.opening = 'announced';
    this.#unanswered += 1;
    this.openWaits.add(s.id, now);
  }

  established(s: StreamRecord): void {
    this.#leaveOpening(s);
    s.opening = 'established';
  }

  forget(s: StreamRecord): void {
    this.#leaveOpening(s);
    this.#streams.delete(s.id);
    this.#sendable.delete(s.id);
    this.#held.delete(s.id);
    this.closeWaits.delete(s.id);
    this.unbuffer(s, s.buffered);
    if (s.theirs) this.#theirs -= 1;
  }

  clear(): void {
    for (const s of [...this.#streams.values()]) this.forget(s);
  }

  buffer(s: StreamRecord, bytes: number): void {
    s.buffered += bytes;
    this.#bufferedBytes += bytes;
  }

  unbuffer(s: StreamRecord, bytes: number): void {
    s.buffered -= bytes;
    this.#bufferedBytes -= bytes;
  }

  /** The stream takes its place at the end of the sending queue, if it has something to send and may. */
  schedule(s: StreamRecord): void {
    if (s.pending !== undefined && s.sendCredit > 0 && !this.#held.has(s.id)) this.#sendable.add(s.id);
  }

  unschedule(s: StreamRecord): void {
    this.#sendable.delete(s.id);
  }

  /**
   * Takes the stream whose turn it is off the queue. One that would overflow the peer's backlog is held back instead,
   * until another one is answered: the peer would only reset it.
   */
  nextSendable(): StreamRecord | undefined {
    for (const id of this.#sendable) {
      this.#sendable.delete(id);
      const s = this.#streams.get(id)!;
      if (s.opening !== 'unannounced' || this.#unanswered < this.#config.acceptBacklog) return s;
      this.#held.add(id);
    }
    return undefined;
  }

  #leaveOpening(s: StreamRecord): void {
    if (s.opening === 'unaccepted') this.#unaccepted -= 1;
    if (s.opening !== 'announced') return;
    this.openWaits.delete(s.id);
    this.#unanswered -= 1;
    for (const id of this.#held) {
      this.#held.delete(id);
      this.#sendable.add(id);
      return; // one slot, one stream
    }
  }
}

/** The peer has spent half of its credit and got none of it back: what it sends is no small message. */
export function spentHalf(s: StreamRecord): boolean {
  return s.receiveCredit < initialWindowBytes / 2;
}

/** Credit to give back now, in bytes; 0 while it is less than half a window, so that updates stay rare. */
export function creditDue(s: StreamRecord): number {
  const due = initialWindowBytes - s.buffered - s.receiveCredit;
  return due >= initialWindowBytes / 2 ? due : 0;
}
