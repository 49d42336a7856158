/**
 * check.ts: will other servers accept this certificate, and until when?
 *
 * A federation does not notice a wrong certificate when it starts, but when somebody far away dials through two
 * gateways and hangs up. So what the far side will check is checked here, at home, all of it at once.
 * Lives here: those checks. Must not live here: files, connections, making certificates.
 * Sources: Consul tlsutil/config.go (wrapALPNTLSClient: which name is verified; ClientAuth); Go crypto/x509 verify.go.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { serverSni } from '@fed/alpn-mux';
import { type ExtendedUse, extendedUseOid } from './certificate.ts';
import { certificatesIn } from './read-tls.ts';

export type CertificateProblemCode =
  | 'missing_node_name' // nobody can reach this server through gateways
  | 'missing_server_name' // other servers of the datacenter, and first joins from abroad, refuse it
  | 'expired'
  | 'not_yet_valid'
  | 'not_signed_by_ca'
  | 'key_mismatch'
  | 'no_server_auth' // refused when dialled
  | 'no_client_auth'; // refused when dialling

export interface CertificateProblem {
  readonly code: CertificateProblemCode;
  /** What is wrong, and what to do. */
  readonly text: string;
}

export interface ServerCertificate {
  /** PEM; intermediates may follow the leaf. */
  readonly cert: string;
  readonly ca: readonly string[];
  readonly key: string;
  readonly datacenter: string;
  readonly node: string;
  readonly domain: string;
  /** Unix ms. */
  readonly now: number;
}

/** Longest way from a certificate to its CA. */
const chainLengthMax = 10;
const anyUseOid = '2.5.29.37.0';

/** Everything that is wrong with a server's certificate; empty when nothing is. Throws PkiError if `cert` is none. */
export function checkServerCertificate(o: ServerCertificate): CertificateProblem[] {
  const chain = certificatesIn(o.cert, 'the server certificate');
  const leaf = chain[0]!;
  const problems: CertificateProblem[] = [];
  const add = (code: CertificateProblemCode, text: string): number => problems.push({ code, text });

  const anyServer = serverSni({ datacenter: o.datacenter, domain: o.domain });
  const thisServer = serverSni({ node: o.node, datacenter: o.datacenter, domain: o.domain });
  const create = `create one with "tls cert create --server --dc ${o.datacenter} --node ${o.node} --domain ${o.domain}"`;
  const has = `it has ${leaf.subjectAltName ?? 'no names at all'}`;
  if (!names(leaf, thisServer))
    add(
      'missing_node_name',
      `the certificate is not valid for ${thisServer}, by which servers abroad dial this one; ${has}; ${create}`,
    );
  if (!names(leaf, anyServer))
    add(
      'missing_server_name',
      `the certificate is not valid for ${anyServer}, by which any server here is dialled; ${has}; ${create}`,
    );

  const { notBefore, notAfter } = expiryOf(leaf);
  if (o.now > notAfter) add('expired', `the certificate expired on ${leaf.validTo}; ${create}`);
  if (o.now < notBefore)
    add(
      'not_yet_valid',
      `the certificate is valid from ${leaf.validFrom} on: compare this machine's clock with that of the one that created it`,
    );

  if (
    !isSignedBy(
      leaf,
      chain.slice(1),
      o.ca.map((pem) => new X509Certificate(pem)),
    )
  )
    add(
      'not_signed_by_ca',
      `the certificate, issued by ${oneLine(leaf.issuer)}, is not signed by the configured CA; ${create}, or configure its CA`,
    );
  if (!isKeyOf(leaf, o.key))
    add(
      'key_mismatch',
      'the private key does not belong to the certificate: configure the two that were created together',
    );

  if (!allows(leaf, 'serverAuth'))
    add('no_server_auth', `the certificate's extended key usage excludes TLS servers; ${create}`);
  if (!allows(leaf, 'clientAuth'))
    add(
      'no_client_auth',
      `the certificate's extended key usage excludes TLS clients, and servers dial each other; ${create}`,
    );
  return problems;
}

export interface Expiry {
  /** Unix ms, both. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** When a certificate (the first of `pem`) begins and ceases to be valid. Throws PkiError if it is none. */
export function expiry(pem: string): Expiry {
  return expiryOf(certificatesIn(pem, 'the text')[0]!);
}

function expiryOf(certificate: X509Certificate): Expiry {
  return { notBefore: certificate.validFromDate.getTime(), notAfter: certificate.validToDate.getTime() };
}

/** By subject alternative names alone, wildcards for one label included: the common name counts for nobody. */
function names(certificate: X509Certificate, name: string): boolean {
  return certificate.checkHost(name, { subject: 'never', partialWildcards: false }) !== undefined;
}

function isSignedBy(
  leaf: X509Certificate,
  intermediates: readonly X509Certificate[],
  cas: readonly X509Certificate[],
): boolean {
  let current = leaf;
  for (let length = 0; length < chainLengthMax; length += 1) {
    const below = current;
    if (cas.some((ca) => issued(ca, below))) return true;
    const above = intermediates.find((candidate) => candidate !== below && issued(candidate, below));
    if (above === undefined) return false;
    current = above;
  }
  return false;
}

function issued(ca: X509Certificate, certificate: X509Certificate): boolean {
  return ca.ca && certificate.checkIssued(ca) && certificate.verify(ca.publicKey);
}

function isKeyOf(certificate: X509Certificate, pem: string): boolean {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    return false; // no key at all is not its key either; readTls says more
  }
  return certificate.checkPrivateKey(key);
}

/** A certificate without the extension may be used for anything. */
function allows(certificate: X509Certificate, use: ExtendedUse): boolean {
  const uses: readonly string[] | undefined = certificate.keyUsage;
  return uses === undefined || uses.includes(extendedUseOid[use]) || uses.includes(anyUseOid);
}

function oneLine(distinguishedName: string): string {
  return distinguishedName.split('\n').join(', ');
}
