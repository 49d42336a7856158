/**
 * peer-identity.ts: what a peer's certificate says about it.
 *
 * Only subject alternative names count; a common name is never read, as in Go since 1.15. The names are facts, not
 * permission: a door accepts every peer of its CA, servers of other datacenters included, because gateways carry all
 * datacenters over one port.
 * Lives here: reading names off certificates, and the name check of a dialler. Must not live here: policy, sockets.
 */
import type { X509Certificate } from 'node:crypto';
import type { PeerCertificate } from 'node:tls';
import { checkServerIdentity } from 'node:tls';
import { parseServerSni } from './sni.ts';

export interface PeerIdentity {
  /** DNS names of the certificate, in its order. */
  readonly names: readonly string[];
  /** Set when one of the names is a server's of this domain; with the node if any of them tells it. */
  readonly server?: { readonly node?: string; readonly datacenter: string };
  /** SHA-256 of the certificate, upper-case hex pairs joined by colons. */
  readonly fingerprint: string;
  /** When the certificate ends, in Unix ms. */
  readonly expiresAtMs?: number;
}

/** DNS names of `subjectAltName` text as node and OpenSSL render it: `DNS:a, IP Address:127.0.0.1, DNS:"b,c"`. */
export function dnsNames(subjectAltName: string | undefined): readonly string[] {
  const names: string[] = [];
  // A value with a comma or quote of its own is rendered as a JSON string; splitting on commas would forge names.
  for (const [, kind, value] of (subjectAltName ?? '').matchAll(
    /([^:,]+):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/g,
  )) {
    if (kind === 'DNS' && value !== undefined && !value.startsWith('"')) names.push(value);
  }
  return names;
}

/**
 * Undefined if the peer showed no certificate. Taken from `getPeerX509Certificate()`, which reads what is asked for;
 * `getPeerCertificate()` writes out the whole certificate, which takes six times as long.
 */
export function peerIdentity(
  certificate: Pick<X509Certificate, 'subjectAltName' | 'fingerprint256' | 'validTo'> | undefined,
  domain: string,
): PeerIdentity | undefined {
  if (certificate === undefined) return undefined;
  const names = dnsNames(certificate.subjectAltName);
  const servers = names.flatMap((name) => parseServerSni(name, domain) ?? []);
  const server = servers.find((s) => s.node !== undefined) ?? servers[0];
  const expiresAtMs = Date.parse(certificate.validTo);
  return {
    names,
    fingerprint: certificate.fingerprint256,
    ...(server && { server }),
    ...(Number.isFinite(expiresAtMs) && { expiresAtMs }),
  };
}

/**
 * The check of a dialler: is this certificate for `name`? Undefined if it is, else the reason. Like Go and unlike
 * node's own check, a certificate without DNS names is for nobody, whatever its common name says.
 */
export function checkServerName(name: string, certificate: PeerCertificate): Error | undefined {
  if (dnsNames(certificate.subjectaltname).length > 0) return checkServerIdentity(name, certificate);
  const cause = new Error(`the certificate names no DNS host at all, so it is not for ${name}`);
  return Object.assign(cause, { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
}
