/**
 * conversation.ts: one stream from opening to closing, under a deadline.
 *
 * A stream carries one message each way at most. Whatever happens to it (an error, an end, a silence) becomes the
 * rejection of whoever reads or writes, and it is always closed: by `close`, or by the deadline.
 * Lives here: reading one message, writing bytes, the deadline. Must not live here: what is said.
 */
import type { Duplex } from 'node:stream';
import { MemberlistError } from './errors.ts';
import type { Clock } from './ports.ts';
import { WireError } from './wire/errors.ts';
import type { StreamMessage, StreamReader } from './wire/stream.ts';

export class Conversation {
  readonly #conn: Duplex;
  readonly #clock: Clock;
  readonly #peer: string;
  readonly #closed: () => void;
  #deadline: Disposable | undefined;
  /** Why it is over; the first reason counts. */
  #over: Error | undefined;
  #isClosed = false;
  readonly #waiting = new Set<(cause: Error) => void>();

  /** `closed` is called once, when the stream is gone. */
  constructor(
    conn: Duplex,
    o: { readonly clock: Clock; readonly peer: string; readonly closed?: () => void },
  ) {
    this.#conn = conn;
    this.#clock = o.clock;
    this.#peer = o.peer;
    this.#closed = o.closed ?? (() => {});
    conn.on('error', (cause: Error) => this.#end(unreachable(this.#peer, cause)));
    conn.once('close', () => this.#gone());
    if (conn.destroyed) this.#gone();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** I7: from now on the stream may live for so long; replaces the deadline before. */
  renew(ms: number): void {
    this.#deadline?.[Symbol.dispose]();
    if (this.#isClosed) return;
    this.#deadline = this.#clock.at(this.#clock.now() + ms, () =>
      this.destroy(
        new MemberlistError(
          'timeout',
          `${this.#peer} took longer than ${ms} ms: is it overloaded or cut off?`,
        ),
      ),
    );
  }

  /** The one message that comes in; `heard` counts its bytes as they arrive and may object to them by throwing. */
  read(reader: StreamReader, heard: (bytes: number) => void = () => {}): Promise<StreamMessage> {
    const conn = this.#conn;
    return new Promise<StreamMessage>((resolve, reject) => {
      const done = (): void => {
        conn.off('data', data);
        conn.off('end', ended);
        this.#waiting.delete(failed);
      };
      const failed = (cause: Error): void => {
        done();
        reject(cause);
      };
      const ended = (): void => failed(reader.ended());
      const data = (chunk: Uint8Array): void => {
        try {
          heard(chunk.length);
          const piece = reader.feed(chunk);
          if (piece.kind === 'needMore') return;
          done();
          resolve(piece.message);
        } catch (cause) {
          failed(cause as Error);
        }
      };
      if (this.#over !== undefined) return reject(this.#over);
      this.#waiting.add(failed);
      conn.on('end', ended);
      conn.on('data', data);
    });
  }

  /** Resolves when all of it was handed to the network. */
  write(bytes: Uint8Array): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      if (this.#over !== undefined) return reject(this.#over);
      const failed = (cause: Error): void => {
        this.#waiting.delete(failed);
        reject(cause);
      };
      this.#waiting.add(failed);
      this.#conn.write(bytes, (cause) => {
        if (cause !== null && cause !== undefined)
          return failed(this.#over ?? unreachable(this.#peer, cause));
        this.#waiting.delete(failed);
        resolve();
      });
    });
  }

  /** All is said: what was written still gets out, then the stream goes; at the deadline, if the other side dawdles. */
  close(): void {
    this.#conn.end();
    this.#conn.resume(); // an unread rest must not keep the stream open
  }

  /** Now, and without a word. */
  destroy(cause: Error): void {
    this.#end(cause);
    this.#conn.destroy();
  }

  #end(cause: Error): void {
    this.#over ??= cause;
    for (const failed of [...this.#waiting]) failed(this.#over);
  }

  #gone(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#deadline?.[Symbol.dispose]();
    this.#end(new MemberlistError('unreachable', `${this.#peer} closed the stream`));
    this.#closed();
  }
}

export function unreachable(peer: string, cause: unknown): MemberlistError {
  if (cause instanceof MemberlistError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new MemberlistError('unreachable', `${peer}: ${reason}`, { cause });
}

/** Whether it is the peer's bytes that are wrong. */
export function isWireError(cause: unknown): cause is WireError {
  return cause instanceof WireError;
}
