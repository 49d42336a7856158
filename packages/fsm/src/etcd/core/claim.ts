/**
 * claim.ts: one server's claim to lead: from a lease to a campaign, from the key to leading, and back.
 *
 *   follower ─► granting ─► campaigning ─► elect ─► leader
 *      ▲                         │           │         │
 *      └──── lost, run out, deposed, resigned ─────────┘
 *
 * The leader key is put into an empty place, or into that of a leader whose lease was not renewed in time; the revision of
 * that is the term. Lives here: those steps, whoever is seen to lead, leases. Must not live here: what a leader may do.
 */
import { Backoff, type CoreConfig } from './config.ts';
import type { Effect, Event, Seen } from './events.ts';
import { hasRunOut, Lease, ttlFor } from './lease.ts';

/** A follower looks at the leader's lease this often, in ms, and waits so long for the answer: the next look comes anyway. */
const lookMs = 250;
const lookPatienceMs = 1_000;
/** How long who has handed over lets the others go first, in ms: they need one transaction. */
const standBackMs = 1_000;
/** Between two tries to renew a lease, in ms: there is little time. */
const renewAgainMs = 50;

type Role =
  | { readonly kind: 'follower' }
  /** `over`: the term to be replaced; 0 when nobody leads. */
  | { readonly kind: 'granting'; readonly over: number }
  | {
      readonly kind: 'campaigning';
      readonly over: number;
      readonly lease: Lease;
      retryAt: number | undefined;
    }
  /** The key is ours, but not everything before it is applied here. */
  | { readonly kind: 'elect'; readonly lease: Lease; readonly term: number; readonly headIndex: number }
  | { readonly kind: 'leader'; readonly lease: Lease; readonly term: number };

export class Claim {
  readonly #config: Pick<CoreConfig, 'address' | 'leaseMs'>;
  readonly #backoff = new Backoff();
  #role: Role = { kind: 'follower' };
  #leader: Seen | undefined;
  /** Revision of what is known of the leader. */
  #seenAt = 0;
  #lastTerm = 0;
  /** Not before: after a failure, or having handed over. */
  #tryAt = 0;
  #standBackUntil = 0;
  #lookAt = 0;
  /** A lease of ours that etcd may still take for held. */
  #givenUp: { readonly lease: number; retryAt: number | undefined; readonly backoff: Backoff } | undefined;

  constructor(config: Pick<CoreConfig, 'address' | 'leaseMs'>) {
    this.#config = config;
  }

  /** The term in which we lead; undefined while we do not. */
  get term(): number | undefined {
    return this.#role.kind === 'leader' ? this.#role.term : undefined;
  }

  get lease(): Lease | undefined {
    return 'lease' in this.#role ? this.#role.lease : undefined;
  }

  get lastTerm(): number {
    return this.#lastTerm;
  }

  /** Who leads, if it is not us: a key of ours that we gave up is nobody's. */
  get otherLeader(): Seen | undefined {
    return this.#leader?.address === this.#config.address ? undefined : this.#leader;
  }

  /** Whether the term is ours and the lease still good. */
  leads(now: number): boolean {
    return this.#role.kind === 'leader' && now < this.#role.lease.until;
  }

  /** Lays claim when nobody leads. */
  next(now: number): readonly Effect[] {
    if (this.#role.kind !== 'follower' || this.#leader !== undefined || now < this.#notBefore()) return [];
    return [this.#begin(0)];
  }

  /** The leader key is this, as of `revision`. */
  heard(leader: Seen | undefined, revision: number, now: number): readonly Effect[] {
    if (revision < this.#seenAt) return [];
    this.#seenAt = revision;
    this.#leader = leader;
    this.#lastTerm = Math.max(this.#lastTerm, leader?.term ?? 0);
    const term = 'term' in this.#role ? this.#role.term : undefined;
    // What is older than our own term says nothing about it.
    if (term !== undefined && revision > term && leader?.term !== term) return this.giveUp(now);
    if (this.#role.kind === 'follower') {
      this.#backoff.reset();
      this.#tryAt = Math.min(this.#tryAt, now);
    }
    return [];
  }

  /** The leader has not been heard of by etcd for a claim's time: whoever comes first takes its place. */
  looked(event: Extract<Event, { kind: 'leaseSeen' }>, now: number): readonly Effect[] {
    if (this.#role.kind !== 'follower' || this.#leader?.lease !== event.lease) return [];
    if (now < this.#standBackUntil || !hasRunOut(event, this.#config.leaseMs)) return [];
    return [this.#begin(this.#leader.term)];
  }

  granted(event: Extract<Event, { kind: 'granted' }>): readonly Effect[] {
    if (this.#role.kind !== 'granting') return [this.#revoke(event.lease)];
    const { lease: id, ttlMs, askedAt } = event;
    const { over } = this.#role;
    const lease = new Lease({ id, claimMs: this.#config.leaseMs, ttlMs, askedAt });
    this.#role = { kind: 'campaigning', over, lease, retryAt: undefined };
    return [this.#campaign(id, over)];
  }

  notGranted(now: number): void {
    if (this.#role.kind !== 'granting') return;
    this.#role = { kind: 'follower' };
    this.#tryAt = this.#backoff.after(now);
  }

  /** Whether that is news: our key stands. */
  won(event: Extract<Event, { kind: 'won' }>): boolean {
    if (this.#role.kind !== 'campaigning' || this.#role.lease.id !== event.lease) return false;
    const { lease } = this.#role;
    const { term } = event;
    this.#backoff.reset();
    this.#role = { kind: 'elect', lease, term, headIndex: event.head.index };
    this.#leader = { term, address: this.#config.address, lease: event.lease };
    this.#seenAt = Math.max(this.#seenAt, term);
    this.#lastTerm = Math.max(this.#lastTerm, term);
    return true;
  }

  /** Elected, and everything before our term is applied: now we lead. */
  caughtUp(applied: number): void {
    if (this.#role.kind !== 'elect' || applied < this.#role.headIndex) return;
    const { lease, term } = this.#role;
    this.#role = { kind: 'leader', lease, term };
  }

  lost(event: Extract<Event, { kind: 'lost' }>, now: number): readonly Effect[] {
    if (this.#role.kind !== 'campaigning' || this.#role.lease.id !== event.lease) return [];
    return [...this.giveUp(now), ...this.heard(event.leader, event.revision, now)];
  }

  campaignFailed(event: Extract<Event, { kind: 'campaignFailed' }>, now: number): readonly Effect[] {
    if (this.#role.kind !== 'campaigning' || this.#role.lease.id !== event.lease) return [];
    if (event.failure.code === 'gone') return this.giveUp(now);
    this.#role.retryAt = this.#backoff.after(now);
    return [];
  }

  keptAlive(event: Extract<Event, { kind: 'keptAlive' }>): void {
    if (this.lease?.id === event.lease) this.lease.renewed(event);
  }

  keepAliveFailed(event: Extract<Event, { kind: 'keepAliveFailed' }>, now: number): readonly Effect[] {
    if (this.lease?.id !== event.lease) return [];
    if (event.failure.code === 'gone') return this.giveUp(now);
    this.lease.renewAt = now + renewAgainMs;
    return [];
  }

  /** Gives up whatever claim there is. */
  giveUp(now: number): readonly Effect[] {
    const { lease } = this;
    if (lease === undefined) return [];
    this.#role = { kind: 'follower' };
    this.#tryAt = this.#backoff.after(now);
    return [this.#revoke(lease.id)];
  }

  /** The same, and the others go first. */
  handOver(now: number): readonly Effect[] {
    this.#standBackUntil = now + standBackMs;
    return this.giveUp(now);
  }

  revoked(lease: number): void {
    if (this.#givenUp?.lease === lease) this.#givenUp = undefined;
  }

  revokeFailed(event: Extract<Event, { kind: 'revokeFailed' }>, now: number): void {
    if (this.#givenUp?.lease !== event.lease) return;
    if (event.failure.sure) this.#givenUp = undefined;
    else this.#givenUp.retryAt = this.#givenUp.backoff.after(now);
  }

  /** @param may whether we could lay claim: only then it matters how the leader fares */
  expire(now: number, may: boolean): readonly Effect[] {
    const effects: Effect[] = [];
    if (this.#role.kind === 'follower' && this.#leader !== undefined && now >= this.#lookAt) {
      this.#lookAt = now + lookMs;
      if (may) effects.push({ kind: 'askLease', lease: this.#leader.lease, timeoutMs: lookPatienceMs });
    }
    if (this.#givenUp?.retryAt !== undefined && now >= this.#givenUp.retryAt) {
      const { lease, backoff } = this.#givenUp;
      this.#givenUp.retryAt = undefined;
      effects.push({ kind: 'revoke', lease, timeoutMs: backoff.patienceMs });
    }
    const { lease } = this;
    if (lease?.renewAt !== undefined && now >= lease.renewAt) {
      lease.renewAt = undefined;
      effects.push({ kind: 'keepAlive', lease: lease.id, timeoutMs: lease.patienceMs });
    }
    if (this.#role.kind === 'campaigning' && this.#role.retryAt !== undefined && now >= this.#role.retryAt) {
      this.#role.retryAt = undefined;
      effects.push(this.#campaign(this.#role.lease.id, this.#role.over));
    }
    return effects;
  }

  deadline(may: boolean): number {
    const at = [this.#givenUp?.retryAt, this.lease?.until, this.lease?.renewAt];
    if (this.#role.kind === 'follower' && may)
      at.push(this.#leader === undefined ? this.#notBefore() : this.#lookAt);
    if (this.#role.kind === 'campaigning') at.push(this.#role.retryAt);
    return Math.min(...at.filter((one) => one !== undefined));
  }

  #notBefore(): number {
    return Math.max(this.#tryAt, this.#standBackUntil);
  }

  #begin(over: number): Effect {
    this.#role = { kind: 'granting', over };
    return { kind: 'grant', ttlMs: ttlFor(this.#config.leaseMs), timeoutMs: this.#backoff.patienceMs };
  }

  #campaign(lease: number, over: number): Effect {
    return { kind: 'campaign', lease, over, timeoutMs: this.#backoff.patienceMs };
  }

  /** Until etcd has heard that a claim is given up, its key stands in the way: so it is told again, until it has. */
  #revoke(lease: number): Effect {
    this.#givenUp = { lease, retryAt: undefined, backoff: new Backoff() };
    return { kind: 'revoke', lease, timeoutMs: this.#givenUp.backoff.patienceMs };
  }
}
