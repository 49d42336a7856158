/**
 * listener.ts: one listening socket that wants to stay open.
 *
 * An address may be taken by somebody else, or not be ours yet; it is tried again every ten seconds and at every new
 * configuration. While the process holds as many connections as it can, the port is closed rather than answered with
 * a reset: refused clients try another gateway at once, and the agent's check sees a gateway that takes nobody.
 * Lives here: bind, retry, suspend. Must not live here: what is done with a connection.
 */
import { createServer, type Server, type Socket } from 'node:net';
import type { HostPort } from '@fed/alpn-mux';
import type { Clock } from './ports.ts';

const bindRetryMs = 10_000;
/** Connections the kernel holds until we take them; beyond, clients wait a second before they knock again. */
const backlogMax = 4_096;
/** The client side is a server of our own datacenter or another gateway; both keep connections for hours. */
const clientKeepAliveMs = 60_000;

export class Listener {
  readonly bind: HostPort;
  readonly #shared: boolean;
  readonly #clock: Clock;
  readonly #onConnection: (socket: Socket) => void;
  readonly #onState: (l: Listener, e: Error | undefined) => void;
  #server: Server | undefined;
  #retry: Disposable | undefined;
  #listening = false;
  #suspended = false;
  #closed = false;

  constructor(o: {
    bind: HostPort;
    /** Other processes of ours listen there, too; the kernel spreads connections over all. */
    shared: boolean;
    clock: Clock;
    onConnection: (socket: Socket) => void;
    /** Called when it begins to listen, and for every attempt that failed. */
    onState: (l: Listener, e: Error | undefined) => void;
  }) {
    this.bind = o.bind;
    this.#shared = o.shared;
    this.#clock = o.clock;
    this.#onConnection = o.onConnection;
    this.#onState = o.onState;
  }

  get listening(): boolean {
    return this.#listening;
  }

  /** Listens unless it does already. */
  open(): void {
    if (this.#server || this.#suspended || this.#closed) return;
    this.#retry?.[Symbol.dispose]();
    const server = createServer({
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: clientKeepAliveMs,
    });
    this.#server = server;
    server.on('connection', (socket) => {
      socket.on('error', () => {}); // from the first moment on; whoever cares listens too
      this.#onConnection(socket);
    });
    server.on('listening', () => {
      if (this.#server !== server) {
        server.close(); // stopped while it was still looking up its address
        return;
      }
      this.#listening = true;
      this.#onState(this, undefined);
    });
    server.on('error', (e) => {
      if (this.#server !== server || this.#listening) return; // accept failed, e.g. no descriptor: the next may not
      this.#server = undefined;
      this.#onState(this, e);
      if (!this.#closed) this.#retry = this.#clock.at(this.#clock.now() + bindRetryMs, () => this.open());
    });
    const { host, port } = this.bind;
    server.listen({ port, host, backlog: backlogMax, reusePort: this.#shared });
  }

  /** Stops accepting for a while; open connections go on. */
  suspend(): void {
    this.#suspended = true;
    this.#stop();
  }

  resume(): void {
    if (!this.#suspended) return;
    this.#suspended = false;
    this.open();
  }

  /** Stops accepting for good; open connections go on. */
  close(): void {
    this.#closed = true;
    this.#retry?.[Symbol.dispose]();
    this.#stop();
  }

  #stop(): void {
    this.#server?.close();
    this.#server = undefined;
    this.#listening = false;
  }
}
