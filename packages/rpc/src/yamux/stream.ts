/**
 * stream.ts: one yamux stream as a node Duplex.
 *
 * `write` calls back when its bytes are in frames, which takes credit from the peer and room on the connection; bytes
 * received wait here until they are read, and only then is their credit given back (I2).
 * `end` closes our direction only. `destroy` lets go of the stream: FIN, and whatever still arrives is thrown away.
 * When the peer resets it or the session is lost it emits 'error', then 'close'.
 * Lives here: the Duplex. Must not live here: frames, credit, other streams.
 */
import { Duplex } from 'node:stream';
import { ByteQueue } from '../byte-queue.ts';
import { YamuxError } from '../errors.ts';

/** What a stream needs of its session. */
export interface StreamHost {
  write(id: number, bytes: Uint8Array): void;
  end(id: number): void;
  consumed(id: number, bytes: number): void;
  drop(id: number): void;
}

/** Whoever listens is told; but a peer's fault must not bring down a process that did not listen. */
function unheard(): void {}

type Callback = (error?: Error | null) => void;

export class YamuxStream extends Duplex {
  readonly id: number;
  readonly #host: StreamHost;
  readonly #received = new ByteQueue();
  #peerEnded = false;
  #wanted = false; // the reader has asked for bytes and there were none
  #writing: Callback | undefined;

  /** Made by the session. */
  constructor(id: number, host: StreamHost) {
    // Nothing is read ahead of the reader: unread bytes are counted in the session's queue, and nowhere else.
    super({ allowHalfOpen: true, readableHighWaterMark: 0, decodeStrings: true });
    this.on('error', unheard);
    this.id = id;
    this.#host = host;
  }

  /** For the session: bytes have arrived. */
  deliver(bytes: Uint8Array): void {
    if (this.#wanted) {
      this.#wanted = false;
      this.#hand(bytes);
    } else this.#received.push(bytes);
  }

  /** For the session: nothing more will arrive. */
  deliverEnd(): void {
    this.#peerEnded = true;
    if (this.#wanted) this.push(null);
  }

  /** For the session: what was written is in frames. */
  flushed(): void {
    const callback = this.#writing;
    this.#writing = undefined;
    callback?.();
  }

  override _read(): void {
    if (!this.#received.isEmpty) this.#hand(this.#received.shift());
    else if (this.#peerEnded) this.push(null);
    else this.#wanted = true;
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, callback: Callback): void {
    this.#writing = callback;
    this.#host.write(this.id, chunk);
  }

  override _final(callback: Callback): void {
    this.#host.end(this.id);
    callback();
  }

  override _destroy(error: Error | null, callback: Callback): void {
    this.#host.drop(this.id);
    const writing = this.#writing;
    this.#writing = undefined;
    callback(error);
    writing?.(
      error ?? new YamuxError('stream_closed', `stream ${this.id} was closed before its bytes were sent`),
    );
  }

  #hand(bytes: Uint8Array): void {
    this.push(bytes);
    this.#host.consumed(this.id, bytes.length);
  }
}
