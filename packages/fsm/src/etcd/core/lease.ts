/**
 * lease.ts: how long a claim to lead may be believed, by our own clock.
 *
 * etcd counts from when it hears from us, we from when we spoke: ours always ends first. Renewed at half its time, so
 * that a leader who dies is found out after about 0.75 of it, and there is still time for a second try elsewhere.
 * Lives here: the arithmetic of one lease. Must not live here: what leading means.
 */
export class Lease {
  readonly id: number;
  readonly ttlMs: number;
  /** From here on we do not lead any more. */
  until: number;
  /** When to renew; undefined while an answer is awaited. */
  renewAt: number | undefined;

  constructor(o: { readonly id: number; readonly ttlMs: number; readonly askedAt: number }) {
    this.id = o.id;
    this.ttlMs = o.ttlMs;
    this.until = o.askedAt + o.ttlMs;
    this.renewAt = o.askedAt + o.ttlMs / 2;
  }

  /** An answer that takes longer than this, in ms, is asked for at another endpoint. */
  get patienceMs(): number {
    return this.ttlMs / 5;
  }

  renewed(o: { readonly ttlMs: number; readonly askedAt: number }): void {
    this.until = Math.max(this.until, o.askedAt + o.ttlMs);
    this.renewAt = o.askedAt + this.ttlMs / 2;
  }
}
