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

/**
 * What a record is made of, as cheap as it can be had: every connection leaves one, few are ever looked at. All fields are
 * always there, so that all notes have one shape.
 */
export interface Note {
  readonly id: number;
  readonly state: RelayRecord['state'];
  readonly listener: string;
  readonly client: string;
  readonly balancer: string | undefined;
  /** Unix milliseconds. */
  readonly openedAtMs: number;
  readonly closedAtMs: number | undefined;
  readonly sni: string | undefined;
  readonly ech: true | undefined;
  readonly chain: string | undefined;
  readonly cluster: string | undefined;
  readonly upstream: string | undefined;
  readonly upstreamLocal: string | undefined;
  readonly attempts: number | undefined;
  readonly clientBytes: number;
  readonly upstreamBytes: number;
  readonly outcome: string | undefined;
  readonly detail: string | undefined;
}

export function recordOf({ openedAtMs, closedAtMs, ...rest }: Note): RelayRecord {
  const times = {
    openedAt: new Date(openedAtMs).toISOString(),
    closedAt: closedAtMs === undefined ? undefined : new Date(closedAtMs).toISOString(),
  };
  const said = Object.entries({ ...rest, ...times }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(said) as unknown as RelayRecord;
}

export class Journal {
  readonly #open = new Map<number, () => Note>();
  readonly #closed: Note[] = [];
  #oldest = 0;
  #nextId = 1;

  /** Lists the connection, as `now` describes it, until it is closed. */
  open(now: () => Note): number {
    const id = this.#nextId++;
    this.#open.set(id, now);
    return id;
  }

  close(id: number, last: Note): void {
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
    return [...[...this.#open.values()].map((now) => now()), ...closed].map(recordOf);
  }
}
