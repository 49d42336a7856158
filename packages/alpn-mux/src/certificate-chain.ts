/**
 * certificate-chain.ts: a certificate with those that signed it, up to its root.
 *
 * Peers are sent the whole chain. Given the certificate alone, OpenSSL looks for the rest among the CAs, in each handshake anew,
 * signatures included, which is a tenth of what a handshake costs; given the chain, it sends that, byte for byte the same.
 * Lives here: finding it. Must not live here: whether it is good, which is for the peer to say.
 * Source: OpenSSL ssl/statem/statem_lib.c (ssl_add_cert_chain); SSL_MODE_NO_AUTO_CHAIN in SSL_CTX_set_mode(3).
 */
import { X509Certificate } from 'node:crypto';

/** Certificates of one chain; no real one is longer than four. */
const chainMax = 10;
const pemBlock = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** PEM. `cert` as it is if it brings a chain of its own, or none of `ca` has signed it; each of `ca` may hold several. */
export function withChain(cert: string, ca: readonly string[]): string {
  const [own, ...rest] = blocksOf(cert);
  if (own === undefined || rest.length > 0) return cert;
  const known = ca.flatMap(blocksOf).map((block) => new X509Certificate(block));
  const chain = [new X509Certificate(own)];
  for (;;) {
    const last = chain.at(-1) as X509Certificate;
    if (last.checkIssued(last) || chain.length === chainMax) break;
    const issuer = known.find((one) => last.checkIssued(one) && last.verify(one.publicKey));
    if (issuer === undefined) break;
    chain.push(issuer);
  }
  return chain.length === 1 ? cert : chain.map(String).join('');
}

/** Every certificate of a PEM text. */
export function blocksOf(pem: string): readonly string[] {
  return pem.match(pemBlock) ?? [];
}
