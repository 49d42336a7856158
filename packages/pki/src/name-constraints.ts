/**
 * name-constraints.ts: which DNS names a CA may certify.
 *
 * Lives here: reading a CA's permitted names, and whether a name is under one of them. Must not live here: the rest of
 * a certificate.
 * Sources: RFC 5280 §4.2.1.10; Go crypto/x509 verify.go (matchDomainConstraint).
 */
import type { X509Certificate } from 'node:crypto';
import type { Der } from './der.ts';

const nameConstraintsOid = '2.5.29.30';

/** The DNS names the CA permits; undefined when it does not constrain them. */
export function permittedDnsNames(der: Der, ca: X509Certificate): readonly string[] | undefined {
  const [tbs] = der.children(der.parsed(ca.raw));
  const extensions =
    tbs === undefined ? undefined : der.children(tbs).find((field) => der.isExplicit(field, 3));
  for (const list of extensions === undefined ? [] : der.children(extensions))
    for (const extension of der.children(list)) {
      const parts = der.children(extension);
      if (parts[0] === undefined || der.oidOf(parts[0]) !== nameConstraintsOid) continue;
      const [permitted] = der.children(der.parsed(der.content(parts.at(-1)!)));
      if (permitted === undefined || !der.isExplicit(permitted, 0)) continue;
      const names = der.children(permitted).flatMap((subtree) => der.children(subtree).slice(0, 1));
      const dns = names.filter((name) => der.isExplicit(name, 2));
      return dns.map((name) => Buffer.from(der.content(name)).toString('latin1'));
    }
  return undefined;
}

/** A name is permitted by itself and by every domain it is in. */
export function permits(permitted: readonly string[], name: string): boolean {
  const lower = name.toLowerCase();
  return permitted.some((constraint) => {
    const domain = constraint.toLowerCase();
    return (
      domain === '' || lower === domain || lower.endsWith(domain.startsWith('.') ? domain : `.${domain}`)
    );
  });
}
