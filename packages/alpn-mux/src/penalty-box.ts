/**
 * penalty-box.ts: addresses whose connections come to nothing, again and again, are let in less often.
 *
 * A handshake that fails costs as much as one that does not, so a stranger with a wrong certificate can take the time of those
 * with a right one. Each address has a bucket of so many failures, which fills again slowly; while it is empty, whoever comes
 * from there is turned away before a byte is read. From an address that has failed lately no more are let in at once than may
 * fail. Whoever is mended at the other end is let in again within seconds.
 * An address is not a peer: behind a gateway's there are many, and one of them must not shut out the others. So an address that
 * a certified peer is connected from, or was a while ago, is never turned away; nor one the owner of the door vouches for. A
 * certified peer that breaks the rules of its protocol has failed, too, and speaks for nobody any more; where others have failed
 * before him, he has to prove himself first (standing.ts).
 * Lives here: that arithmetic, in bounded memory. Must not live here: sockets, what a failure is (door.ts).
 */
import { isIPv6 } from 'node:net';
import { forgetOldest } from './forget-oldest.ts';

export interface PenaltyBoxSettings {
  /** Failures a second that an address is forgiven. Infinity: nobody is ever turned away. */
  readonly perSecond: number;
  /** Failures that it may have at once. */
  readonly burst: number;
}

/**
 * `onProbation`: let in, and counted as one who may fail until `settle` is called, once in any case.
 * `begins`: turned away, and the first one since all was forgiven.
 */
export type Admission = 'welcome' | 'onProbation' | 'begins' | 'turnedAway';

/** A certified peer that comes back within this time after its last connection is no stranger. */
const vouchedMs = 600_000;
/** Addresses remembered as bad, and as good without a connection; the oldest is forgotten first. */
const badMax = 4_096;
const goodMax = 4_096;

interface Bucket {
  /** At `at`; less than one: turned away. */
  left: number;
  at: number;
  turning: boolean;
  /** On probation, and not settled. */
  pending: number;
}

export class PenaltyBox {
  #settings: PenaltyBoxSettings;
  readonly #vouchedFor: (host: string) => boolean;
  readonly #bad = new Map<string, Bucket>();
  /** Open connections of certified peers, by address; after the last one, until when it is remembered. */
  readonly #open = new Map<string, number>();
  readonly #good = new Map<string, number>();

  /** `vouchedFor`: asked for addresses that would be turned away only. */
  constructor(settings: PenaltyBoxSettings, vouchedFor: (host: string) => boolean = () => false) {
    this.#settings = settings;
    this.#vouchedFor = vouchedFor;
  }

  set settings(settings: PenaltyBoxSettings) {
    if (settings.perSecond === this.#settings.perSecond && settings.burst === this.#settings.burst) return;
    this.#settings = settings;
    this.#bad.clear();
  }

  /** Addresses with failures that are not forgiven yet. */
  get watched(): number {
    return this.#bad.size;
  }

  admit(host: string, now: number): Admission {
    if (this.#bad.size === 0) return 'welcome';
    const source = sourceOf(host);
    const bucket = this.#bad.get(source);
    if (bucket === undefined) return 'welcome';
    this.#fill(bucket, now);
    if (bucket.left >= this.#settings.burst || this.#isGood(source, host, now)) {
      this.#bad.delete(source);
      return 'welcome';
    }
    if (bucket.left - bucket.pending >= 1) {
      bucket.pending += 1;
      return 'onProbation';
    }
    if (bucket.turning) return 'turnedAway';
    bucket.turning = true;
    return 'begins';
  }

  failed(host: string, now: number): void {
    const { perSecond, burst } = this.#settings;
    if (perSecond === Number.POSITIVE_INFINITY) return;
    const source = sourceOf(host);
    const bucket = this.#bad.get(source) ?? { left: burst, at: now, turning: false, pending: 0 };
    this.#fill(bucket, now);
    bucket.left = Math.max(0, bucket.left - 1);
    this.#bad.delete(source);
    this.#bad.set(source, bucket); // the newest
    forgetOldest(this.#bad, badMax);
  }

  /** Somebody on probation is handed over, refused or gone. A failure is told apart. */
  settle(host: string): void {
    const bucket = this.#bad.get(sourceOf(host));
    if (bucket !== undefined) bucket.pending = Math.max(0, bucket.pending - 1);
  }

  /** A certified peer came in from there; `release` when it goes, or `retract` when it turns out to be bad. */
  vouch(host: string): void {
    const source = sourceOf(host);
    this.#open.set(source, (this.#open.get(source) ?? 0) + 1);
    this.#good.delete(source);
  }

  release(host: string, now: number): void {
    const source = sourceOf(host);
    if (this.#left(source) > 0) return;
    this.#good.delete(source);
    this.#good.set(source, now + vouchedMs);
    forgetOldest(this.#good, goodMax);
  }

  retract(host: string): void {
    this.#left(sourceOf(host));
  }

  /** How many certified peers are connected from there when one has gone. */
  #left(source: string): number {
    const left = (this.#open.get(source) ?? 1) - 1;
    if (left > 0) this.#open.set(source, left);
    else this.#open.delete(source);
    return left;
  }

  #fill(bucket: Bucket, now: number): void {
    const { perSecond, burst } = this.#settings;
    bucket.left = Math.min(burst, bucket.left + ((now - bucket.at) / 1_000) * perSecond);
    bucket.at = now;
  }

  #isGood(source: string, host: string, now: number): boolean {
    if (this.#open.has(source) || this.#vouchedFor(host)) return true;
    const until = this.#good.get(source);
    if (until === undefined) return false;
    if (until >= now) return true;
    this.#good.delete(source);
    return false;
  }
}

/** Whom an address stands for: of IPv6 the first 64 bits, for whoever has one address there has all of them. */
export function sourceOf(host: string): string {
  if (!host.includes(':') || !isIPv6(host)) return host;
  const [address = ''] = host.split('%');
  const [before = '', after] = address.split('::');
  const groups = before === '' ? [] : before.split(':');
  const behind = after === undefined || after === '' ? [] : after.split(':');
  const missing = after === undefined ? 0 : Math.max(0, 8 - groups.length - behind.length);
  const all = [...groups, ...Array<string>(missing).fill('0'), ...behind];
  return `${all
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, '').toLowerCase())
    .join(':')}::/64`;
}
