/**
 * lease.ts: how long a claim to lead may be believed, by our own clock, and when others may end it.
 *
 * etcd counts from when it hears from us, we from when we spoke: ours always ends first. etcd grants no less than two
 * seconds or so, and notices an end only every half second; so others need not wait for it. They look at the lease, and
 * replace its owner once it has not been renewed for the claim's time. etcd tells what is left in whole seconds.
 * Lives here: the arithmetic of one lease. Must not live here: what leading means.
 */
export class Lease {
  readonly id: number;
  readonly #claimMs: number;
  /** From here on we do not lead any more. */
  until: number;
  /** When to renew; undefined while an answer is awaited. */
  renewAt: number | undefined;

  /** @param o.claimMs the claim's time; @param o.ttlMs what etcd has granted */
  constructor(o: {
    readonly id: number;
    readonly claimMs: number;
    readonly ttlMs: number;
    readonly askedAt: number;
  }) {
    this.id = o.id;
    this.#claimMs = Math.min(o.claimMs, o.ttlMs);
    this.until = o.askedAt + this.#claimMs;
    this.renewAt = this.#next(o.askedAt);
  }

  /** An answer that takes longer than this, in ms, is asked for at another endpoint: there is time for two more. */
  get patienceMs(): number {
    return this.#claimMs / 4;
  }

  renewed(o: { readonly askedAt: number }): void {
    this.until = Math.max(this.until, o.askedAt + this.#claimMs);
    this.renewAt = this.#next(o.askedAt);
  }

  #next(askedAt: number): number {
    return askedAt + this.#claimMs * 0.3;
  }
}

/** What to ask etcd for, so that a whole second is left when a claim of `claimMs` has run out. */
export function ttlFor(claimMs: number): number {
  return Math.ceil(claimMs / 1000) * 1000 + 1000;
}

/** Whether the owner of a lease has been silent for a claim's time; `leftMs` is rounded down to seconds. */
export function hasRunOut(o: { readonly leftMs: number; readonly ttlMs: number }, claimMs: number): boolean {
  const leftAtMostMs = o.leftMs + 1000;
  return o.ttlMs - leftAtMostMs >= claimMs;
}
