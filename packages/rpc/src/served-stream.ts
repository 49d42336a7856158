/**
 * served-stream.ts: one stream of requests, answered in order.
 *
 * One call runs at a time; while it runs we keep listening a little, because the end of the stream is the only way a
 * caller has to say that it no longer waits, and a blocking query would otherwise go on for ten minutes (I6).
 * Lives here: the loop from request to reply. Must not live here: yamux, sockets, the table of methods.
 * Source: Go net/rpc server.go (ServeRequest), Consul agent/consul/rpc.go (handleConsulConn).
 */
import type { Duplex } from 'node:stream';
import type { Value } from '@fed/msgpack';
import { RpcApplicationError, RpcArgumentError, RpcError, RpcWireError } from './errors.ts';
import { decodeBody, encodeErrorReply, encodeReply, MessageReader, type RawMessage } from './net-rpc.ts';
import type { RpcContext, RpcMethod, RpcRegistry } from './registry.ts';

export type RpcReport =
  | { readonly kind: 'call'; readonly method: string; readonly tookMs: number; readonly ok: boolean }
  | { readonly kind: 'refused'; readonly method: string; readonly text: string }
  | { readonly kind: 'peerFault'; readonly error: RpcWireError }
  | { readonly kind: 'defect'; readonly method: string; readonly error: unknown }; // a handler threw what it should not

/** What the streams of one connection share. */
export interface ConnectionDesk {
  readonly registry: RpcRegistry;
  readonly peer: unknown;
  readonly requestBytesMax: number;
  now(): number;
  /** Takes a place for a call; false when all are taken. It is held until the reply has left, or the stream. */
  enter(): boolean;
  leave(): void;
  /** More (or, negative, fewer) request bytes are held; false when the connection holds too many. */
  hold(bytes: number): boolean;
  report(r: RpcReport): void;
}

/** Bytes heard while a call runs, at which we stop listening until it is done. Go callers never send so early. */
const readAheadBytesMax = 65_536;

const overloaded = 'rate limit exceeded, try again later or against a different server';

interface Answer {
  /** In pieces. */
  readonly reply: readonly Uint8Array[] | undefined;
  /** Go ends the stream after errors that may have put it out of step. */
  readonly last: boolean;
}

/** Answers requests on `stream` until one side ends it. Owns the stream. */
export function serveStream(stream: Duplex, desk: ConnectionDesk): void {
  new ServedStream(stream, desk);
}

class ServedStream {
  readonly #stream: Duplex;
  readonly #desk: ConnectionDesk;
  readonly #reader: MessageReader;
  #held = 0;
  #running: CallContext | undefined;
  #entered = false;
  #callerEnded = false;
  #finished = false;

  constructor(stream: Duplex, desk: ConnectionDesk) {
    this.#stream = stream;
    this.#desk = desk;
    this.#reader = new MessageReader({ bytesMax: desk.requestBytesMax });
    stream.on('error', () => {}); // 'close' follows
    stream.on('close', () => this.#gone());
    stream.on('end', () => {
      this.#callerEnded = true;
      this.#running?.abort();
      this.#advance();
    });
    stream.on('data', (bytes: Uint8Array) => {
      if (this.#finished) return;
      this.#reader.feed(bytes);
      this.#advance();
    });
  }

  #advance(): void {
    if (this.#finished) return;
    if (this.#running !== undefined) {
      if (this.#reader.bufferedBytes > readAheadBytesMax) this.#stream.pause();
      return;
    }
    const message = this.#next();
    if (message !== undefined) void this.#serve(message);
    else if (this.#callerEnded) this.#finish();
  }

  #next(): RawMessage | undefined {
    try {
      const message = this.#reader.next();
      if (!this.#account())
        throw new RpcWireError('too_large', 'the requests of one connection fill its memory');
      return message;
    } catch (error) {
      if (!(error instanceof RpcWireError)) throw error;
      this.#desk.report({ kind: 'peerFault', error });
      this.#finish(); // no reply: Go says nothing either when it cannot read a request's header
      return undefined;
    }
  }

  #account(): boolean {
    const bytes = this.#reader.bufferedBytes;
    const fits = this.#desk.hold(bytes - this.#held);
    this.#held = bytes;
    return fits;
  }

  /** Never rejects: everything a handler can do wrong becomes a reply and a report. */
  async #serve(message: RawMessage): Promise<void> {
    const { reply, last } = await this.#answer(message);
    if (reply !== undefined) await this.#write(reply);
    if (this.#entered) this.#desk.leave();
    this.#entered = false;
    this.#running = undefined;
    if (last) {
      this.#finish();
      return;
    }
    if (this.#stream.isPaused()) this.#stream.resume();
    this.#advance();
  }

  async #answer({ header, body }: RawMessage): Promise<Answer> {
    const desk = this.#desk;
    const context = new CallContext(header.method, desk.peer);
    this.#running = context;
    const refuse = (text: string, last: boolean): Answer => {
      desk.report({ kind: 'refused', method: header.method, text });
      return { reply: encodeErrorReply(header, text), last };
    };
    const resolved = desk.registry.resolve(header.method);
    if (resolved.kind === 'refused') return refuse(resolved.text, true);
    const { method } = resolved;
    let args: Value;
    try {
      args = decodeBody(body, method.binaryKeys);
    } catch (error) {
      if (!(error instanceof RpcWireError)) throw error;
      return refuse(error.message, true);
    }
    this.#entered = method.always !== true && desk.enter();
    if (method.always !== true && !this.#entered) return refuse(overloaded, false);
    if (this.#callerEnded) context.abort(); // it may still want the answer: a reply can be sent to a half-closed stream
    return await this.#call(method, args, context, header);
  }

  async #call(
    method: RpcMethod,
    args: Value,
    context: CallContext,
    header: RawMessage['header'],
  ): Promise<Answer> {
    const desk = this.#desk;
    const startedAt = desk.now();
    const done = (ok: boolean): void =>
      desk.report({ kind: 'call', method: header.method, tookMs: desk.now() - startedAt, ok });
    try {
      const reply = encodeReply(header, await method.handler(args, context));
      done(true);
      return { reply, last: false };
    } catch (error) {
      done(false);
      if (error instanceof RpcArgumentError)
        return { reply: encodeErrorReply(header, said(error)), last: true };
      if (error instanceof RpcApplicationError || error instanceof RpcError)
        return { reply: encodeErrorReply(header, said(error)), last: false };
      if (context.isAborted) return { reply: undefined, last: true }; // it stopped because nobody waits any more
      desk.report({ kind: 'defect', method: header.method, error });
      return { reply: encodeErrorReply(header, `internal error in ${header.method}`), last: false };
    }
  }

  /** Resolves when the last of `pieces` is in frames. */
  #write(pieces: readonly Uint8Array[]): Promise<void> {
    return new Promise((resolve) => {
      pieces.forEach((bytes, at) => {
        // An error closes the stream: see 'close'.
        this.#stream.write(bytes, at === pieces.length - 1 ? () => resolve() : undefined);
      });
    });
  }

  #finish(): void {
    this.#release();
    this.#stream.end(() => this.#stream.destroy());
  }

  #gone(): void {
    this.#running?.abort();
    this.#release();
  }

  #release(): void {
    this.#finished = true;
    this.#desk.hold(-this.#held);
    this.#held = 0;
  }
}

/** An empty Error means success in net/rpc, so an error is never empty. */
function said(error: Error): string {
  return error.message === '' ? error.name : error.message;
}

class CallContext implements RpcContext {
  readonly method: string;
  readonly peer: unknown;
  #aborted = false;
  #controller: AbortController | undefined; // made when asked for: most calls never look

  constructor(method: string, peer: unknown) {
    this.method = method;
    this.peer = peer;
  }

  get isAborted(): boolean {
    return this.#aborted;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#aborted) this.#controller.abort();
    return this.#controller.signal;
  }

  abort(): void {
    this.#aborted = true;
    this.#controller?.abort();
  }
}
