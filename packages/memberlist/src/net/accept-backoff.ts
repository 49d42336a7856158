/**
 * accept-backoff.ts: when accepting fails, wait a little longer each time.
 *
 * Out of file descriptors, a listener that tries again at once does nothing else. memberlist net_transport.go
 * (tcpListen): 5 ms, doubling up to 1 s, forgotten after a success.
 * Lives here: closing and reopening the door. Must not live here: what comes through it.
 */
import type { Server } from 'node:net';
import type { Clock, HostPort } from '../ports.ts';

const backoffMsMin = 5;
const backoffMsMax = 1_000;

export class AcceptBackoff implements Disposable {
  readonly #server: Server;
  readonly #at: HostPort;
  readonly #clock: Clock;
  #waitMs = 0;
  #timer: Disposable | undefined;
  #disposed = false;

  /** Takes charge of the errors of a server that is listening at `at`. */
  constructor(server: Server, at: HostPort, clock: Clock) {
    this.#server = server;
    this.#at = at;
    this.#clock = clock;
    server.on('error', () => this.#failed());
  }

  /** How long the door stays closed after the failure that came last; 0 after a success. */
  get waitMs(): number {
    return this.#waitMs;
  }

  accepted(): void {
    this.#waitMs = 0;
  }

  #failed(): void {
    if (this.#disposed || this.#timer !== undefined) return;
    this.#waitMs = Math.min(backoffMsMax, Math.max(backoffMsMin, 2 * this.#waitMs));
    // Connections that are open stay open; new ones are refused meanwhile, which is the truth.
    if (this.#server.listening) this.#server.close();
    this.#timer = this.#clock.at(this.#clock.now() + this.#waitMs, () => {
      this.#timer = undefined;
      this.#server.listen({ host: this.#at.host, port: this.#at.port });
    });
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#timer?.[Symbol.dispose]();
  }
}
