/**
 * sending.ts: the sending half of a yamux session.
 *
 * A stream is announced with its first bytes, takes turns with the others, and ends by FIN. The rule behind most of
 * this file: Consul's server peeks the first byte of every stream inside its accept loop, so a stream that ends, or is
 * reset, before that byte was read takes the whole session with it, and one that stays silent blocks all later ones (I3).
 * Lives here: SYN, data, FIN and RST of our side. Must not live here: what arrives, time, sockets.
 * Sources: hashicorp/yamux stream.go (write, Close), session.go (OpenStream); Consul agent/consul/rpc.go.
 */
import { assert } from '../errors.ts';
import { encodeFrameHeader, frameFlag, frameType } from './frame.ts';
import type { Outbox } from './outbox.ts';
import type { YamuxConfig } from './session-events.ts';
import { type StreamRecord, type StreamTable, spentHalf } from './stream-table.ts';

export class SendingHalf {
  readonly #config: YamuxConfig;
  readonly #streams: StreamTable;
  readonly #out: Outbox;

  constructor(config: YamuxConfig, streams: StreamTable, out: Outbox) {
    this.#config = config;
    this.#streams = streams;
    this.#out = out;
  }

  write(id: number, bytes: Uint8Array): void {
    const s = this.#streams.get(id);
    if (s === undefined || s.dropped) return;
    assert(s.pending === undefined, 'a stream takes the next bytes only after the ones before were flushed');
    assert(!s.ending && !s.sendEnded, 'nothing is written to a stream after its end');
    if (bytes.length === 0) {
      this.#out.push({ kind: 'flushed', id }); // no bytes make no frame, so that a SYN never travels alone (I3)
      return;
    }
    s.pending = bytes;
    this.#streams.schedule(s);
  }

  end(id: number): void {
    const s = this.#streams.get(id);
    if (s === undefined || s.ending || s.sendEnded) return;
    if (s.pending === undefined) this.#fin(s);
    else s.ending = true;
  }

  drop(id: number, now: number): void {
    const s = this.#streams.get(id);
    if (s === undefined || s.dropped) return;
    if (s.opening === 'unannounced') {
      this.#streams.forget(s); // the peer never heard of it, and never will
      return;
    }
    const midReply = s.opening === 'established' && !s.receiveEnded && !s.sendEnded && spentHalf(s);
    if (s.opening === 'unaccepted' || midReply) {
      this.refuse(s); // a peer in the middle of much data would wait for credit that never comes
      return;
    }
    this.#streams.unbuffer(s, s.buffered);
    this.#streams.unschedule(s);
    s.dropped = true;
    s.lastWord = s.sendEnded;
    s.pending = undefined;
    if (!s.sendEnded) this.#fin(s); // FIN, not RST: a peer that has not accepted yet would lose its session by a RST (I3)
    if (s.receiveEnded) this.#streams.forget(s);
    else this.#streams.closeWaits.add(id, now);
  }

  /** Round robin: a stream that has sent one frame goes to the end of the queue. */
  transmit(bytesMax: number, now: number): void {
    for (let room = bytesMax; room > 0; ) {
      const s = this.#streams.nextSendable();
      if (s === undefined) return;
      if (s.opening === 'unannounced') this.announce(s, now);
      const bytes = s.pending!;
      const size = Math.min(bytes.length, s.sendCredit, this.#config.frameBytesMax);
      s.sendCredit -= size;
      room -= size;
      s.pending = size === bytes.length ? undefined : bytes.subarray(size);
      const header = encodeFrameHeader(frameType.data, 0, s.id, size);
      this.#out.push({ kind: 'send', header, payload: bytes.subarray(0, size) });
      if (s.pending !== undefined) {
        this.#streams.schedule(s);
        continue;
      }
      this.#out.push({ kind: 'flushed', id: s.id });
      if (s.ending) this.#fin(s);
    }
  }

  announce(s: StreamRecord, now: number): void {
    this.#streams.announced(s, now);
    this.#out.control(frameType.windowUpdate, frameFlag.syn, s.id, 0);
  }

  #fin(s: StreamRecord): void {
    s.ending = false;
    s.sendEnded = true;
    if (s.opening === 'unannounced') {
      s.receiveEnded = true; // it never carried a byte: nobody will answer, and no frame may be sent (I3)
      this.#out.push({ kind: 'ended', id: s.id });
      return;
    }
    this.#out.control(frameType.windowUpdate, frameFlag.fin, s.id, 0);
    this.#streams.openWaits.delete(s.id); // an acceptor that has data and FIN never sends its ACK
  }

  refuse(s: StreamRecord): void {
    this.#streams.forget(s);
    this.#out.control(frameType.windowUpdate, frameFlag.rst, s.id, 0);
  }
}
