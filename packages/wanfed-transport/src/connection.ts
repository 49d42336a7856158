/**
 * connection.ts: the sending end of one packet connection.
 *
 * Writes batches, tells once when it is gone, says goodbye properly: an end without TLS close_notify is an
 * error line in the original's log. Nothing is ever written back, but we read all the same, or we would not
 * see the other side leave.
 * Lives here: one Duplex. Must not live here: what to write, when to give up.
 */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { encodeFrames, frameHeader } from './frame.ts';
import type { Outgoing } from './packet-queue.ts';
import type { Clock, HostPort } from './ports.ts';

/** Above this, copying the payload next to its header costs more than a second buffer in the same write. */
const copyBytesMax = 64 * 1024;

export interface ConnectionEvents {
  wrote(): void;
  /** At most once, and not after `close` or `destroy`. */
  broke(cause: unknown): void;
}

export class OutboundConnection {
  /** Where its bytes go first: the gateway. Undefined if the stream does not say. */
  readonly gateway: HostPort | undefined;
  readonly #stream: Duplex;
  readonly #events: ConnectionEvents;
  #over = false;
  #cause: unknown;

  constructor(stream: Duplex, events: ConnectionEvents) {
    this.#stream = stream;
    this.#events = events;
    const { remoteAddress: host, remotePort: port } = stream as Partial<Socket>;
    this.gateway = host === undefined || port === undefined ? undefined : { host, port };
    stream.on('error', (cause) => {
      this.#cause ??= cause;
    });
    stream.on('end', () => stream.destroy()); // nobody reads there any more
    stream.on('close', () => this.#broke(this.#cause));
    stream.resume();
  }

  write(batch: readonly Outgoing[]): void {
    const written = (error: Error | null | undefined): void => {
      if (error) this.#broke(error);
      else if (!this.#over) this.#events.wrote();
    };
    const [first] = batch;
    if (batch.length === 1 && first && first.packet.length > copyBytesMax) {
      this.#stream.cork();
      this.#stream.write(frameHeader(first.packet.length));
      this.#stream.write(first.packet, written);
      this.#stream.uncork();
    } else {
      this.#stream.write(encodeFrames(batch.map((item) => item.packet)), written);
    }
  }

  /** Goodbye, then gone; by force when that takes longer than `budgetMs`. Resolves when it is gone. */
  close(clock: Clock, budgetMs: number): Promise<void> {
    this.#over = true;
    return closeGracefully(this.#stream, clock, budgetMs);
  }

  destroy(): void {
    this.#over = true;
    this.#stream.destroy();
  }

  #broke(cause: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#stream.destroy();
    this.#events.broke(cause);
  }
}

export function closeGracefully(stream: Duplex, clock: Clock, budgetMs: number): Promise<void> {
  if (stream.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const force = clock.at(clock.now() + budgetMs, () => stream.destroy());
    stream.once('close', () => {
      force[Symbol.dispose]();
      resolve();
    });
    stream.end(() => stream.destroy());
  });
}
