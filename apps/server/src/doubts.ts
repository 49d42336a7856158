/**
 * doubts.ts: what speaks against gossip, which calls a server of another datacenter alive.
 *
 * A probe that stays unanswered, a dial that no gateway leads to its end. The server may be dead, and gossip will say so within a
 * minute. Or it was killed, is back, and knows dead addresses only: gossip packets reach it, but answers to them take a way
 * of their own, and it has none. A push/pull goes both ways over one stream that we open, and tells it where to find us.
 * Lives here: which doubts count. Must not live here: the meeting and how often (reach.ts), what gossip itself makes of it.
 */
import type { Router } from './router.ts';

export interface DoubtsOptions {
  readonly datacenter: string;
  readonly primary: string;
  readonly router: Pick<Router, 'route'>;
}

export class Doubts {
  readonly #o: DoubtsOptions;
  readonly #listeners = new Set<(datacenter: string) => void>();

  constructor(o: DoubtsOptions) {
    this.#o = o;
  }

  /** A server there did not answer a probe. Probes take turns, so this is rare, however many datacenters there are. */
  unanswered(datacenter: string): void {
    // One that gossip has given up is knocked at already (meetAgain).
    if (this.#o.router.route(datacenter).kind === 'server') this.#tell(datacenter);
  }

  /**
   * No gateway led there. Everybody notices that at once when one goes; so it is left to the primary, whose gateways
   * are what the others must know.
   */
  unreached(datacenter: string): void {
    if (this.#o.datacenter === this.#o.primary) this.unanswered(datacenter);
  }

  listen(listener: (datacenter: string) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  #tell(datacenter: string): void {
    for (const listener of [...this.#listeners]) listener(datacenter);
  }
}
