/**
 * contacts.ts: when we last reached each datacenter, and when it last reached us.
 *
 * The two directions fail apart: a datacenter whose gateways are gone can still call us through ours. Reached: a server of
 * it finished a handshake with us, or answered. Heard: it opened a connection to us, or sent a gossip packet.
 * Lives here: these moments. Must not live here: what follows from them.
 */

export type Direction = 'both' | 'out' | 'in' | 'none';

export interface Contact {
  readonly reachedMsAgo: number | undefined;
  readonly heardMsAgo: number | undefined;
  /** Of the certificate that was shown last, in Unix ms. */
  readonly certificateExpiresAtMs: number | undefined;
}

/** Names come from certificates of our CA; there are as many as datacenters. */
const datacentersMax = 1024;

interface Kept {
  reachedAt: number | undefined;
  heardAt: number | undefined;
  certificateExpiresAtMs: number | undefined;
}

export class Contacts {
  readonly #now: () => number;
  readonly #kept = new Map<string, Kept>();

  constructor(now: () => number) {
    this.#now = now;
  }

  reached(datacenter: string): void {
    const kept = this.#of(datacenter);
    if (kept) kept.reachedAt = this.#now();
  }

  heard(datacenter: string): void {
    const kept = this.#of(datacenter);
    if (kept) kept.heardAt = this.#now();
  }

  showed(datacenter: string, certificateExpiresAtMs: number): void {
    const kept = this.#of(datacenter);
    if (kept) kept.certificateExpiresAtMs = certificateExpiresAtMs;
  }

  of(datacenter: string): Contact {
    const kept = this.#kept.get(datacenter);
    const ago = (at: number | undefined) => (at === undefined ? undefined : Math.round(this.#now() - at));
    return {
      reachedMsAgo: ago(kept?.reachedAt),
      heardMsAgo: ago(kept?.heardAt),
      certificateExpiresAtMs: kept?.certificateExpiresAtMs,
    };
  }

  #of(datacenter: string): Kept | undefined {
    const known = this.#kept.get(datacenter);
    if (known || this.#kept.size >= datacentersMax) return known;
    const fresh = { reachedAt: undefined, heardAt: undefined, certificateExpiresAtMs: undefined };
    this.#kept.set(datacenter, fresh);
    return fresh;
  }
}

/** Which directions worked within the last `withinMs`. */
export function directionOf(contact: Contact, withinMs: number): Direction {
  const out = (contact.reachedMsAgo ?? Infinity) <= withinMs;
  const back = (contact.heardMsAgo ?? Infinity) <= withinMs;
  return out ? (back ? 'both' : 'out') : back ? 'in' : 'none';
}
