/**
 * journal.ts: which connections there are, and which there were lately.
 *
 * Answers an operator's first question, "where did that connection go?", down to the local port of the upstream
 * socket, by which it can be found in a packet capture or in `ss`.
 * Lives here: open ones, and a ring of the last closed. Must not live here: sockets, counters.
 */

/** Closed connections remembered. */
export const closedMax = 1_024;

/** One relayed connection as JSON. Addresses are `host:port`, times ISO 8601, `*Bytes` what that side sent. */
export interface RelayRecord {
  readonly id: number;
  /** Which process relays it, where there are several; ids are its own. */
  readonly worker?: number;
  readonly state: 'hello' | 'dialing' | 'open' | 'closed';
  readonly listener: string;
  readonly client: string;
  /** The load balancer that connected for the client, if it said so (PROXY protocol). */
  readonly balancer?: string;
  readonly openedAt: string;
  readonly closedAt?: string;
  readonly sni?: string;
  readonly ech?: true;
  readonly chain?: string;
  readonly cluster?: string;
  readonly upstream?: string;
  readonly upstreamLocal?: string;
  readonly attempts?: number;
  readonly clientBytes: number;
  readonly upstreamBytes: number;
  /** How it ended. */
  readonly outcome?: string;
  readonly detail?: string;
}

export class Journal {
  readonly #open = new Map<number, () => RelayRecord>();
  readonly #closed: RelayRecord[] = [];
  #oldest = 0;
  #nextId = 1;

  /** Lists the connection, as `now` describes it, until it is closed. */
  open(now: () => RelayRecord): number {
    const id = this.#nextId++;
    this.#open.set(id, now);
    return id;
  }

  close(id: number, last: RelayRecord): void {
    this.#open.delete(id);
    if (this.#closed.length < closedMax) {
      this.#closed.push(last);
    } else {
      this.#closed[this.#oldest] = last;
      this.#oldest = (this.#oldest + 1) % closedMax;
    }
  }

  /** A connection that is not worth remembering. */
  forget(id: number): void {
    this.#open.delete(id);
  }

  /** Open ones in order of arrival, then closed ones, the latest first. */
  list(): readonly RelayRecord[] {
    const closed = [...this.#closed.slice(this.#oldest), ...this.#closed.slice(0, this.#oldest)].reverse();
    return [...[...this.#open.values()].map((now) => now()), ...closed];
  }
}
