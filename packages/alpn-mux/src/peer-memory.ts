/**
 * peer-memory.ts: certificates that were read before need not be read again.
 *
 * The same servers come again and again, and reading the names off a certificate costs more than everything else the door
 * does for one of them. What is kept depends on the certificate's bytes alone, and its SHA-256 stands for those, so it is never
 * outdated; whether the certificate is good is judged by TLS each time.
 * Lives here: which are kept. Must not live here: what a certificate says (peer-identity.ts).
 */
import type { X509Certificate } from 'node:crypto';
import { forgetOldest } from './forget-oldest.ts';
import { type PeerIdentity, peerIdentity } from './peer-identity.ts';

/** Certificates kept, the latest read: a large federation's servers. One has about 1 KiB. */
const keptMax = 256;
/** Larger ones are read each time, so that nobody fills our memory with certificates of megabytes. */
const certificateBytesMax = 4_096;

export class PeerMemory {
  readonly #domain: string;
  readonly #kept = new Map<string, PeerIdentity>();

  constructor(domain: string) {
    this.#domain = domain;
  }

  /** Whom it names; undefined without one. The same object for the same certificate. */
  identityOf(
    certificate: Pick<X509Certificate, 'raw' | 'subjectAltName' | 'fingerprint256' | 'validTo'> | undefined,
  ): PeerIdentity | undefined {
    if (certificate === undefined) return undefined;
    const { fingerprint256 } = certificate;
    const known = this.#kept.get(fingerprint256);
    if (known !== undefined) return known;
    const identity = peerIdentity(certificate, this.#domain);
    if (identity === undefined || certificate.raw.length > certificateBytesMax) return identity;
    this.#kept.set(fingerprint256, identity);
    forgetOldest(this.#kept, keptMax);
    return identity;
  }
}
