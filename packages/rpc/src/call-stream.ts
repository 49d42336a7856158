/**
 * call-stream.ts: the caller's end of one stream: a request goes out, a reply comes back, one at a time.
 *
 * Lives here: matching reply to request, and noticing that a stream is not fit for another call. Must not live here:
 * sessions, deadlines, error texts for callers.
 * Source: Consul agent/pool/pool.go (StreamClient), net-rpc-msgpackrpc client.go (CallWithCodec).
 */
import { assert, RpcWireError, YamuxError } from './errors.ts';
import { MessageReader, type RawMessage } from './net-rpc.ts';
import type { YamuxStream } from './yamux/stream.ts';

interface Waiter {
  readonly seq: number;
  resolve(reply: RawMessage): void;
  reject(error: RpcWireError | YamuxError): void;
}

export class CallStream {
  readonly #stream: YamuxStream;
  readonly #reader: MessageReader;
  readonly #whenUnfit: (stream: CallStream) => void;
  #waiter: Waiter | undefined;
  #fit = true;

  /** `whenUnfit` is called once, when the stream can carry no further call. */
  constructor(stream: YamuxStream, o: { replyBytesMax: number; whenUnfit: (stream: CallStream) => void }) {
    this.#stream = stream;
    this.#reader = new MessageReader({ bytesMax: o.replyBytesMax });
    this.#whenUnfit = o.whenUnfit;
    stream.on('data', (bytes: Uint8Array) => this.#heard(bytes));
    stream.on('end', () => this.#closed('EOF'));
    stream.on('error', (error) => {
      this.#fail(error instanceof YamuxError ? error : new YamuxError('stream_closed', error.message));
    });
    stream.on('close', () => this.#closed('stream closed'));
  }

  /** Whether it may carry another call. */
  get isFit(): boolean {
    return this.#fit;
  }

  /** The reply to `request`, whose number is `seq`. Rejects with RpcWireError or YamuxError; then the stream is unfit. */
  exchange(seq: number, request: Uint8Array): Promise<RawMessage> {
    assert(this.#fit && this.#waiter === undefined, 'a stream carries one call at a time');
    return new Promise((resolve, reject) => {
      this.#waiter = { seq, resolve, reject };
      this.#stream.write(request);
    });
  }

  /** Ends the stream. A reply that still comes is thrown away. */
  close(): void {
    this.#closed('stream closed');
  }

  #heard(bytes: Uint8Array): void {
    if (!this.#fit) return;
    this.#reader.feed(bytes);
    try {
      const reply = this.#reader.next();
      if (reply === undefined && this.#waiter !== undefined) return;
      const waiter = this.#waiter;
      if (waiter === undefined || reply === undefined)
        throw new RpcWireError('malformed', 'a reply nobody asked for');
      if (BigInt(reply.header.seq) !== BigInt(waiter.seq))
        throw new RpcWireError('malformed', `the reply to call ${reply.header.seq}, not to ${waiter.seq}`);
      this.#waiter = undefined;
      if (this.#reader.bufferedBytes > 0) this.#fail(new RpcWireError('malformed', 'more than one reply'));
      waiter.resolve(reply);
    } catch (error) {
      if (!(error instanceof RpcWireError)) throw error;
      this.#fail(error);
    }
  }

  #closed(text: string): void {
    this.#fail(this.#waiter === undefined ? undefined : new YamuxError('stream_closed', text));
  }

  /** The error is for whoever waits: without one, none is made. */
  #fail(error: RpcWireError | YamuxError | undefined): void {
    if (!this.#fit) return;
    this.#fit = false;
    if (error !== undefined) this.#waiter?.reject(error);
    this.#waiter = undefined;
    this.#stream.destroy();
    this.#whenUnfit(this);
  }
}
