/**
 * peer-memory.ts: certificates that were read before need not be read again.
 *
 * The same servers come again and again, and reading the names off a certificate costs more than everything else the door
 * does for one of them. What is kept depends on the certificate's bytes alone and is found by all of them, so it is never
 * outdated; whether the certificate is good is judged by TLS each time.
 * Lives here: which are kept. Must not live here: what a certificate says (peer-identity.ts).
 */
import type { X509Certificate } from 'node:crypto';
import { forgetOldest } from './forget-oldest.ts';
import { type PeerIdentity, peerIdentity } from './peer-identity.ts';
import { certificateIn } from './session-certificate.ts';

/** Certificates kept, the latest read: a large federation's servers. One has about 1 KiB. */
const keptMax = 256;
/** Larger ones are read each time, so that nobody fills our memory with certificates of megabytes. */
const certificateBytesMax = 4_096;

/** What is asked of a TLSSocket. */
export interface Certified {
  getSession(): Buffer | undefined;
  getPeerX509Certificate():
    | Pick<X509Certificate, 'raw' | 'subjectAltName' | 'fingerprint256' | 'validTo'>
    | undefined;
}

interface Kept {
  readonly certificate: Buffer;
  readonly identity: PeerIdentity;
}

export class PeerMemory {
  readonly #domain: string;
  /** By the ends of their certificates, which are signatures: two that end alike are as good as never met, and one is forgotten. */
  readonly #kept = new Map<string, Kept>();

  constructor(domain: string) {
    this.#domain = domain;
  }

  /** Whom its certificate names; undefined without one. The same object for the same certificate. */
  identityOf(peer: Certified): PeerIdentity | undefined {
    const session = peer.getSession();
    const shown = session && certificateIn(session);
    if (shown !== undefined) {
      const known = this.#kept.get(endOf(shown));
      if (known?.certificate.equals(shown)) return known.identity;
    }
    const certificate = peer.getPeerX509Certificate();
    const identity = peerIdentity(certificate, this.#domain);
    if (certificate === undefined || identity === undefined || certificate.raw.length > certificateBytesMax)
      return identity;
    this.#kept.set(endOf(certificate.raw), { certificate: certificate.raw, identity });
    forgetOldest(this.#kept, keptMax);
    return identity;
  }
}

function endOf(certificate: Buffer): string {
  return certificate.toString('latin1', Math.max(0, certificate.length - 16));
}
