/**
 * streams.ts: everything that is said over streams, from both ends.
 *
 * Push/pulls, messages too important for a datagram, and pings for members whose UDP does not get through. memberlist
 * net.go: handleConn, sendAndReceiveState, sendPingAndWaitForAck, sendUserMsg.
 * Lives here: the sequence of each exchange, its deadlines, how many there may be. Must not live here: merging, members.
 */
import type { Duplex } from 'node:stream';
import type { MemberlistConfig } from './config.ts';
import { Conversation, isWireError, unreachable } from './conversation.ts';
import { MemberlistError, PeerError } from './errors.ts';
import type { Address, Clock, HostPort, LogEvent, Transport } from './ports.ts';
import { encodeMessage } from './wire/codec.ts';
import type { Ping, PushPull } from './wire/message.ts';
import { encodePushPull, encodeUserStream, userBytesMax } from './wire/push-pull.ts';
import type { StreamCodec, StreamMessage } from './wire/stream.ts';

/** I5: push/pulls we answer at a time; more are closed without a word, as memberlist does (maxPushPullRequests). */
export const pushPullsMax = 128;
/** I5: streams others may have open to us at a time. They are short; more than this is an attack or a storm. */
export const inboundStreamsMax = 512;
/** I5: bytes of unfinished messages over all inbound streams (256 MiB). A message is 40 MiB at most. */
const inboundBytesMax = 256 * 1024 * 1024;

export interface StreamsOptions {
  readonly name: string;
  readonly transport: Transport;
  readonly config: MemberlistConfig;
  readonly codec: StreamCodec;
  readonly clock: Clock;
  /** Our half of a push/pull. */
  readonly localState: (join: boolean) => PushPull;
  /** Their half; a PeerError when it was refused. */
  readonly merge: (remote: PushPull) => PeerError | undefined;
  readonly userMessage: (payload: Uint8Array) => void;
  readonly dropped: (code: string, detail: string) => void;
  readonly log: (event: LogEvent) => void;
}

export class Streams {
  readonly #o: StreamsOptions;
  readonly #inbound = new Set<Conversation>();
  readonly #outbound = new Set<Conversation>();
  readonly #closing = new AbortController();
  #inboundBytes = 0;
  #pushPulls = 0;
  #in = 0;
  #out = 0;

  constructor(o: StreamsOptions) {
    this.#o = o;
  }

  get pushPullsInProgress(): number {
    return this.#pushPulls;
  }

  get counts(): { readonly in: number; readonly out: number } {
    return { in: this.#in, out: this.#out };
  }

  /** Exchanges full state and merges it. @throws MemberlistError | PeerError */
  async pushPull(to: Address, join: boolean, signal?: AbortSignal): Promise<void> {
    const { codec, config, localState, merge } = this.#o;
    const request = codec.seal(encodePushPull(localState(join)), 'initiator');
    const remote = await this.#ask(to, request, config.tcpTimeoutMs, signal);
    if (remote.kind === 'err')
      throw new PeerError('remote_error', `${text(to)}: ${remote.error}`, { remoteText: remote.error });
    if (remote.kind !== 'pushPull')
      throw new PeerError('unexpected', `${text(to)} answered a push/pull with ${remote.kind}`);
    // What we asked for decides, not what the answer repeats.
    const refused = merge({ ...remote, join });
    if (refused !== undefined) throw refused;
  }

  /** Whether the member acks a ping over a stream before `deadline`. */
  async ping(to: Address, ping: Ping, deadline: number): Promise<boolean> {
    const { codec, clock, log } = this.#o;
    try {
      const request = codec.seal(encodeMessage(ping), 'initiator');
      const answer = await this.#ask(to, request, deadline - clock.now(), undefined, deadline);
      return answer.kind === 'ack' && answer.seqNo === ping.seqNo;
    } catch (cause) {
      log({ level: 'debug', code: 'tcp_ping_failed', text: `TCP ping of ${text(to)} failed`, cause });
      return false;
    }
  }

  /** @throws MemberlistError */
  async sendUser(to: Address, payload: Uint8Array, signal?: AbortSignal): Promise<void> {
    const { codec, config } = this.#o;
    if (payload.length > userBytesMax)
      throw new MemberlistError('payload_too_large', `${payload.length} bytes; peers take ${userBytesMax}`);
    const message = codec.seal(encodeUserStream(payload), 'initiator');
    const talk = await this.#dial(to, config.tcpTimeoutMs, signal);
    talk.renew(config.tcpTimeoutMs);
    const unhook = destroyOn(signal, talk);
    try {
      await talk.write(message);
      talk.close();
    } catch (cause) {
      talk.destroy(unreachable(text(to), cause));
      throw cause;
    } finally {
      unhook();
    }
  }

  /** A connection somebody opened. Rejects only for a bug of ours. */
  async accept(conn: Duplex, from: HostPort): Promise<void> {
    const { clock, config, dropped } = this.#o;
    this.#in++;
    if (this.#inbound.size >= inboundStreamsMax || this.#closing.signal.aborted) {
      conn.on('error', () => {});
      conn.destroy();
      dropped('streams_full', `stream from ${text(from)}: ${inboundStreamsMax} are open`);
      return;
    }
    let bytes = 0;
    const closed = (): void => {
      this.#inbound.delete(talk);
      this.#inboundBytes -= bytes;
    };
    const talk = new Conversation(conn, { clock, peer: text(from), closed });
    this.#inbound.add(talk);
    if (talk.isClosed) return closed();
    talk.renew(config.tcpTimeoutMs);
    try {
      const message = await talk.read(this.#o.codec.reader('acceptor'), (more) => {
        bytes += more;
        this.#inboundBytes += more;
        if (this.#inboundBytes > inboundBytesMax)
          throw new MemberlistError(
            'unreachable',
            `more than ${inboundBytesMax} bytes of unfinished messages`,
          );
      });
      this.#inboundBytes -= bytes;
      bytes = 0;
      talk.renew(config.tcpTimeoutMs);
      await this.#answer(message, talk, from);
      talk.close();
    } catch (cause) {
      await this.#complain(talk, from, cause);
    }
  }

  /** Ends all streams. */
  close(cause: Error): void {
    this.#closing.abort(cause);
    for (const talk of [...this.#inbound, ...this.#outbound]) talk.destroy(cause);
  }

  async #answer(message: StreamMessage, talk: Conversation, from: HostPort): Promise<void> {
    const { name, codec, localState, merge, userMessage, dropped } = this.#o;
    switch (message.kind) {
      case 'user':
        if (message.payload.length > 0) userMessage(message.payload);
        return;
      case 'ping': {
        if (message.node !== '' && message.node !== name) {
          dropped('ping_for_another', `TCP ping for '${message.node}' from ${text(from)}`);
          return;
        }
        const ack = encodeMessage({ kind: 'ack', seqNo: message.seqNo, payload: new Uint8Array(0) });
        await talk.write(codec.seal(ack, 'acceptor'));
        return;
      }
      case 'pushPull': {
        if (this.#pushPulls >= pushPullsMax) {
          dropped('push_pulls_full', `push/pull from ${text(from)}: ${pushPullsMax} are in progress`);
          return;
        }
        this.#pushPulls++;
        try {
          // First our half, then theirs: the answer shows the table as it was before the question.
          await talk.write(codec.seal(encodePushPull(localState(message.join)), 'acceptor'));
        } finally {
          this.#pushPulls--;
        }
        const refused = merge(message);
        if (refused !== undefined) dropped(refused.code, `push/pull from ${text(from)}: ${refused.message}`);
        return;
      }
      case 'ack':
      case 'err':
        dropped('unexpected_message', `${message.kind} on a stream from ${text(from)}`);
        return;
    }
  }

  /** Tells the initiator what was wrong with its bytes, where memberlist does, and closes. */
  async #complain(talk: Conversation, from: HostPort, cause: unknown): Promise<void> {
    const { codec, dropped, config } = this.#o;
    const error = unreachable(text(from), cause);
    if (!isWireError(cause) && !(cause instanceof MemberlistError)) {
      talk.destroy(error);
      throw cause; // not the peer's doing
    }
    const code = isWireError(cause) ? cause.code : error.code;
    dropped(code, `stream from ${text(from)}: ${isWireError(cause) ? cause.message : error.message}`);
    if (isWireError(cause) && cause.toldOnStreams) {
      try {
        talk.renew(config.tcpTimeoutMs);
        await talk.write(codec.seal(encodeMessage({ kind: 'err', error: cause.detail }), 'acceptor'));
        talk.close();
        return;
      } catch {
        // It is gone already; there is nobody left to tell.
      }
    }
    talk.destroy(error);
  }

  /** One message there, one message back. */
  async #ask(
    to: Address,
    request: Uint8Array,
    timeoutMs: number,
    signal?: AbortSignal,
    deadline?: number,
  ): Promise<StreamMessage> {
    const { codec, clock } = this.#o;
    const left = (): number => (deadline === undefined ? timeoutMs : Math.max(0, deadline - clock.now()));
    const talk = await this.#dial(to, timeoutMs, signal);
    talk.renew(left());
    const unhook = destroyOn(signal, talk);
    try {
      // Listening while writing: who refuses us says so before it has read everything. A write that fails ends the
      // stream, and with it the reading.
      const answer = talk.read(codec.reader('initiator'));
      talk.write(request).then(
        () => talk.renew(left()),
        () => {},
      );
      const message = await answer;
      talk.close();
      return message;
    } catch (cause) {
      const error = isWireError(cause)
        ? new PeerError('malformed', `answer of ${text(to)}: ${cause.message}`, { cause })
        : unreachable(text(to), cause);
      talk.destroy(error);
      throw error;
    } finally {
      unhook();
    }
  }

  async #dial(to: Address, timeoutMs: number, signal?: AbortSignal): Promise<Conversation> {
    const { transport, clock, config } = this.#o;
    if (config.requireNodeNames && to.name === '') throw nameRequired(to); // I6
    if (signal?.aborted) throw aborted(signal);
    const closing = this.#closing.signal;
    let conn: Duplex;
    try {
      const either = signal === undefined ? closing : AbortSignal.any([closing, signal]);
      conn = await transport.dialStream(to, { timeoutMs, signal: either });
    } catch (cause) {
      if (signal?.aborted) throw aborted(signal);
      if (closing.aborted) throw closing.reason;
      throw unreachable(text(to), cause);
    }
    this.#out++;
    const talk = new Conversation(conn, {
      clock,
      peer: text(to),
      closed: () => this.#outbound.delete(talk),
    });
    if (closing.aborted) {
      talk.destroy(closing.reason);
      throw closing.reason;
    }
    if (!talk.isClosed) this.#outbound.add(talk);
    return talk;
  }
}

export function text(to: HostPort & { readonly name?: string }): string {
  const address = to.host.includes(':') ? `[${to.host}]:${to.port}` : `${to.host}:${to.port}`;
  return to.name === undefined || to.name === '' ? address : `${to.name}/${address}`;
}

export function nameRequired(to: HostPort): MemberlistError {
  return new MemberlistError(
    'node_name_required',
    `${text(to)} has no member name, and this network routes by name: write the target as name/host:port`,
  );
}

export function aborted(signal: AbortSignal): MemberlistError {
  return new MemberlistError('aborted', 'called off by the caller', { cause: signal.reason });
}

function destroyOn(signal: AbortSignal | undefined, talk: Conversation): () => void {
  if (signal === undefined) return () => {};
  const abort = (): void => talk.destroy(aborted(signal));
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  return () => signal.removeEventListener('abort', abort);
}
