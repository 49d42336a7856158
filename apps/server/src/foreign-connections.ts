/**
 * foreign-connections.ts: a record of who came from another datacenter, and through which port.
 *
 * A connection between datacenters must have passed a gateway. This server cannot see that, but it can say what it
 * saw; a gateway lists the ports it dialled from; whoever has both lists can tell. Bounded: the newest are kept.
 */
import type { Handler } from '@fed/alpn-mux';

export interface ForeignConnection {
  readonly datacenter: string;
  readonly node: string | undefined;
  readonly protocol: string;
  readonly remoteHost: string;
  readonly remotePort: number;
  readonly at: string;
}

/** The time becomes a text when somebody asks. */
type Noted = Omit<ForeignConnection, 'at'> & { readonly atMs: number };

/** Newest connections kept. */
const keptMax = 1024;

export class ForeignConnections {
  readonly #own: string;
  readonly #wallMs: () => number;
  readonly #visited: (peer: {
    readonly datacenter: string;
    readonly expiresAtMs?: number | undefined;
  }) => void;
  /** In the order they came, the first of them at `#oldest`. */
  readonly #kept: Noted[] = [];
  #oldest = 0;
  #total = 0;

  constructor(o: {
    readonly datacenter: string;
    readonly wallMs: () => number;
    /** Told of each as it comes in. */
    readonly visited: (peer: {
      readonly datacenter: string;
      readonly expiresAtMs?: number | undefined;
    }) => void;
  }) {
    this.#own = o.datacenter;
    this.#wallMs = o.wallMs;
    this.#visited = o.visited;
  }

  /** The same handler, with a note of every connection whose certificate is another datacenter's. */
  noting(handle: Handler): Handler {
    return (conn) => {
      const server = conn.peer?.server;
      if (server !== undefined && server.datacenter !== this.#own) {
        this.#total++;
        this.#visited({ datacenter: server.datacenter, expiresAtMs: conn.peer?.expiresAtMs });
        this.#note({
          datacenter: server.datacenter,
          node: server.node,
          protocol: conn.alpn ?? `type byte ${conn.typeByte}`,
          remoteHost: conn.remote.host,
          remotePort: conn.remote.port,
          atMs: this.#wallMs(),
        });
      }
      handle(conn);
    };
  }

  report(): { readonly total: number; readonly connections: readonly ForeignConnection[] } {
    const inOrder = [...this.#kept.slice(this.#oldest), ...this.#kept.slice(0, this.#oldest)];
    return {
      total: this.#total,
      connections: inOrder.map(({ atMs, ...rest }) => ({ ...rest, at: new Date(atMs).toISOString() })),
    };
  }

  #note(connection: Noted): void {
    if (this.#kept.length < keptMax) this.#kept.push(connection);
    else {
      this.#kept[this.#oldest] = connection;
      this.#oldest = (this.#oldest + 1) % keptMax;
    }
  }
}
