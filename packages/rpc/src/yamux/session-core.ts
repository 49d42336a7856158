/**
 * session-core.ts: a yamux session as a function of what happens to it.
 *
 * One connection carries many streams, like a post office carries many conversations: each has its own credit, so a
 * reader who never empties his box stops his correspondent only. `step` takes one event and answers with effects;
 * data leaves only when the shell says there is room (`transmit`), control frames leave at once.
 * Lives here: stream ids, what arrives, deadlines, the end. Must not live here: sockets, promises, timers, callbacks.
 * Sources: hashicorp/yamux session.go, stream.go, spec.md.
 */
import { assert } from '../errors.ts';
import { FrameParser, frameFlag, frameType, goAwayCode, initialWindowBytes } from './frame.ts';
import { Keepalive } from './keepalive.ts';
import { Outbox } from './outbox.ts';
import { SendingHalf } from './sending.ts';
import type { Effect, Event, OpenVerdict, Role, SessionEndCode, YamuxConfig } from './session-events.ts';
import { creditDue, type StreamRecord, StreamTable, spentHalf } from './stream-table.ts';

const uint32Max = 0xffff_ffff;
const none: readonly Effect[] = [];

export class YamuxCore {
  readonly #config: YamuxConfig;
  readonly #parser = new FrameParser();
  readonly #streams: StreamTable;
  readonly #keepalive: Keepalive;
  readonly #sending: SendingHalf;
  readonly #out = new Outbox();
  #sink: StreamRecord | undefined; // whose payload is being received; undefined: thrown away
  #finAfterPayload = false;
  #nextId: number;
  #closed = false;
  #goingAway = false;
  #peerGoneAway = false;

  constructor(role: Role, config: YamuxConfig, now: number) {
    this.#config = config;
    this.#streams = new StreamTable(config);
    this.#keepalive = new Keepalive(config, now);
    this.#sending = new SendingHalf(config, this.#streams, this.#out);
    this.#nextId = role === 'client' ? 1 : 2;
  }

  /** Whether `transmit` would send something. */
  get wantsToSend(): boolean {
    return this.#streams.hasSendable;
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  get bufferedBytes(): number {
    return this.#streams.bufferedBytes;
  }

  get mayOpen(): boolean {
    return !this.#closed && !this.#peerGoneAway && this.#nextId <= uint32Max;
  }

  /** When `step` wants to be called with 'deadline', if ever. Being late is harmless, being early too. */
  deadline(): number | undefined {
    if (this.#closed) return undefined;
    const { openWaits, closeWaits } = this.#streams;
    return earliest(this.#keepalive.deadline(), openWaits.deadline(), closeWaits.deadline());
  }

  /**
   * A new stream of ours. Nothing is sent before its first byte is written (I3), unless `announce` asks for the SYN now:
   * for protocols in which the accepting side speaks first. Never announce early to a Consul server.
   */
  open(now: number, announce = false): OpenVerdict {
    if (this.#closed) return { kind: 'refused', why: 'session_closed' };
    if (this.#peerGoneAway) return { kind: 'refused', why: 'go_away' };
    while (this.#streams.get(this.#nextId) !== undefined) this.#nextId += 2; // parity is a custom, not enforced
    if (this.#nextId > uint32Max) return { kind: 'refused', why: 'streams_exhausted' };
    const s = this.#streams.add(this.#nextId, 'unannounced');
    this.#nextId += 2;
    if (announce) this.#sending.announce(s, now);
    return { kind: 'opened', id: s.id, effects: this.#out.take() };
  }

  /** Asks the peer for a sign of life; `pong` with this id brings it. */
  ping(now: number): { readonly pingId: number; readonly effects: readonly Effect[] } {
    const pingId = this.#ping(now);
    return { pingId, effects: this.#out.take() };
  }

  /** Whether anybody waits for the peer; moves `deadline`, and sends nothing by itself. Answers whether it has been silent for long. */
  attend(on: boolean, now: number): boolean {
    return this.#keepalive.attend(on, now);
  }

  /** One turn. Same state, event and `now`: same effects, in the same order. After 'closed' nothing happens any more. */
  step(event: Event, now: number): readonly Effect[] {
    if (this.#closed) return none;
    switch (event.kind) {
      case 'received':
        this.#receive(event.bytes, now);
        break;
      case 'accept':
        this.#accept(event.id);
        break;
      case 'write':
        this.#sending.write(event.id, event.bytes);
        break;
      case 'consumed':
        this.#consumed(event.id, event.bytes);
        break;
      case 'end':
        this.#sending.end(event.id);
        break;
      case 'drop':
        this.#sending.drop(event.id, now);
        break;
      case 'transmit':
        this.#sending.transmit(event.bytesMax, now);
        break;
      case 'goAway':
        this.#goingAway = true;
        this.#out.control(frameType.goAway, 0, 0, goAwayCode.normal);
        break;
      case 'lost':
        this.#close('connection_lost', event.text);
        break;
      case 'close':
        this.#close('closed', 'the session was closed on this side'); // no go away: the connection just ends
        break;
      case 'deadline':
        this.#expire(now);
        break;
    }
    return this.#out.take();
  }

  // ---- what the application does ----

  #accept(id: number): void {
    const s = this.#streams.get(id);
    if (s === undefined || s.opening !== 'unaccepted') return; // reset or lost in the meantime
    this.#streams.established(s);
    this.#out.control(frameType.windowUpdate, frameFlag.ack, id, 0);
  }

  #consumed(id: number, bytes: number): void {
    const s = this.#streams.get(id);
    if (s === undefined || s.dropped) return;
    assert(bytes <= s.buffered, 'no more is consumed than was delivered');
    this.#streams.unbuffer(s, bytes);
    if (s.receiveEnded) return; // the peer wants no more credit
    const due = creditDue(s);
    if (due === 0) return;
    s.receiveCredit += due;
    this.#out.control(frameType.windowUpdate, 0, id, due);
  }

  // ---- receiving ----

  #receive(bytes: Uint8Array, now: number): void {
    this.#keepalive.heard(now);
    this.#parser.feed(bytes);
    while (!this.#closed) {
      const part = this.#parser.next();
      if (part === undefined) return;
      switch (part) {
        case 'header':
          this.#frame(now);
          break;
        case 'payload':
          this.#payload();
          break;
        case 'badVersion':
          this.#close('peer_protocol', `the peer sent a frame of version ${this.#parser.version}, not 0`);
          break;
        case 'badType':
          this.#close('peer_protocol', `the peer sent a frame of unknown type ${this.#parser.type}`);
          break;
      }
    }
  }

  #frame(now: number): void {
    const { type, flags, streamId, length } = this.#parser;
    switch (type) {
      case frameType.data:
        this.#dataFrame(streamId, flags, length);
        break;
      case frameType.windowUpdate:
        this.#windowUpdate(streamId, flags, length);
        break;
      case frameType.ping:
        if (flags & frameFlag.syn) this.#out.control(frameType.ping, frameFlag.ack, 0, length);
        else this.#pong(length, now);
        break;
      case frameType.goAway:
        this.#goneAway(length);
        break;
    }
  }

  #dataFrame(id: number, flags: number, length: number): void {
    const s = this.#addressee(id, flags);
    this.#sink = undefined;
    if (this.#closed) return;
    // An unknown stream's bytes are thrown away as they come; but nobody ever had credit for more than a window.
    const credit = s === undefined ? initialWindowBytes : s.receiveCredit;
    if (length > credit) this.#breach(`${length} bytes on stream ${id}, which had credit for ${credit}`);
    else if (s !== undefined) {
      s.receiveCredit -= length;
      this.#sink = s;
      this.#finAfterPayload = (flags & frameFlag.fin) !== 0;
      if (length === 0 && this.#finAfterPayload) this.#peerFin(s);
    }
  }

  #windowUpdate(id: number, flags: number, delta: number): void {
    const s = this.#addressee(id, flags);
    if (s === undefined) return;
    if (s.sendCredit + delta > uint32Max) {
      this.#breach(`credit beyond 2^32-1 on stream ${id}`);
      return;
    }
    s.sendCredit += delta;
    this.#streams.schedule(s);
    if (flags & frameFlag.fin) this.#peerFin(s);
  }

  #goneAway(code: number): void {
    if (code === goAwayCode.normal) {
      this.#peerGoneAway = true;
      this.#out.push({ kind: 'peerGoneAway' });
    } else this.#close('peer_go_away', goAwayText(code));
  }

  /** The live stream a frame is for, once its SYN, ACK and RST have been attended to. */
  #addressee(id: number, flags: number): StreamRecord | undefined {
    if (flags & frameFlag.syn) this.#incoming(id);
    const s = this.#streams.get(id);
    if (s === undefined || s.opening === 'unannounced' || this.#closed) return undefined;
    if (flags & frameFlag.rst) {
      this.#streams.forget(s);
      if (!s.dropped) this.#out.push({ kind: 'reset', id, text: 'the peer reset the stream' });
      return undefined;
    }
    if (s.opening === 'announced') this.#streams.established(s); // any frame of a stream answers its SYN, not only an ACK
    return s;
  }

  #incoming(id: number): void {
    if (this.#streams.get(id) !== undefined) this.#breach(`a second SYN for stream ${id}`);
    else if (this.#goingAway || !this.#streams.hasRoom)
      this.#out.control(frameType.windowUpdate, frameFlag.rst, id, 0);
    else {
      this.#streams.add(id, 'unaccepted');
      this.#out.push({ kind: 'incoming', id });
    }
  }

  #payload(): void {
    const { payload, payloadLeft } = this.#parser;
    const s = this.#sink;
    if (s === undefined || this.#streams.get(s.id) !== s) return;
    if (s.dropped) {
      // Thrown away without giving credit back. At half a window it is no small reply: tell the peer to stop. Bytes
      // prove that it has accepted the stream, so a RST is safe (I3). But not after a last word: Go gives up what it has
      // buffered when it sees a RST (stream.go, Read), so that one waits for the peer's own end.
      if (spentHalf(s) && !s.lastWord) {
        this.#sending.refuse(s);
        return;
      }
    } else if (!s.receiveEnded) {
      this.#streams.buffer(s, payload.length);
      if (this.#streams.bufferedBytes > this.#config.receiveBytesMax) {
        this.#sending.refuse(s);
        const text = `unread bytes of the session exceed ${this.#config.receiveBytesMax}`;
        this.#out.push({ kind: 'reset', id: s.id, text });
        return;
      }
      this.#out.push({ kind: 'data', id: s.id, bytes: payload });
    }
    if (payloadLeft === 0 && this.#finAfterPayload) this.#peerFin(s);
  }

  #peerFin(s: StreamRecord): void {
    if (s.receiveEnded) {
      if (!s.sendEnded) this.#breach(`a second FIN on stream ${s.id}`);
      return;
    }
    s.receiveEnded = true;
    if (s.dropped) this.#streams.forget(s);
    else this.#out.push({ kind: 'ended', id: s.id });
  }

  // ---- time ----

  #ping(now: number): number {
    const pingId = this.#keepalive.ping(now);
    this.#out.control(frameType.ping, frameFlag.syn, 0, pingId);
    return pingId;
  }

  #pong(pingId: number, now: number): void {
    const tookMs = this.#keepalive.pong(pingId, now);
    if (tookMs !== undefined) this.#out.push({ kind: 'pong', pingId, tookMs });
  }

  #expire(now: number): void {
    const { openWaits, closeWaits } = this.#streams;
    const alive = this.#keepalive.verdict(now);
    if (alive === 'dead') {
      this.#close('keepalive_timeout', `no answer to a ping within ${this.#config.pingTimeoutMs} ms`);
      return;
    }
    const unanswered = openWaits.due(now);
    if (unanswered !== undefined) {
      const text = `the peer has not accepted stream ${unanswered} within ${this.#config.streamOpenMs} ms`;
      this.#close('stream_open_timeout', text);
      return;
    }
    for (let id = closeWaits.due(now); id !== undefined; id = closeWaits.due(now)) {
      const s = this.#streams.get(id)!;
      if (s.opening === 'established') this.#sending.refuse(s);
      else this.#streams.forget(s); // never accepted: a RST would cost the session (I3), silence costs nothing
    }
    if (alive === 'pingDue') this.#ping(now);
  }

  #breach(text: string): void {
    this.#out.control(frameType.goAway, 0, 0, goAwayCode.protocolError);
    this.#close('peer_protocol', `the peer sent ${text}`);
  }

  #close(code: SessionEndCode, text: string): void {
    this.#closed = true;
    this.#streams.clear();
    this.#out.push({ kind: 'closed', code, text });
  }
}

function goAwayText(code: number): string {
  if (code === goAwayCode.protocolError) return 'the peer says that we broke the protocol';
  if (code === goAwayCode.internalError) return 'the peer reports an internal error';
  return `the peer went away with unknown code ${code}`;
}

function earliest(...times: readonly (number | undefined)[]): number | undefined {
  let first: number | undefined;
  for (const time of times) if (time !== undefined && (first === undefined || time < first)) first = time;
  return first;
}
