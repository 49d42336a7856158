/**
 * certificate.ts: an X.509 certificate from its description.
 *
 * The order of everything is Go's, so that what we make differs from what `consul tls` makes only in numbers.
 * Lives here: TBSCertificate and its extensions. Must not live here: which names a server's certificate has.
 * Sources: RFC 5280; Go crypto/x509 (CreateCertificate, buildCertExtensions); Consul tlsutil/generate.go.
 */
import { createHash, type KeyObject, sign, type X509Certificate } from 'node:crypto';
import type { Asn1, Der } from './der.ts';
import { PkiError } from './errors.ts';
import { ipBytes } from './ip-bytes.ts';
import type { Signer } from './keys.ts';

export type ExtendedUse = 'serverAuth' | 'clientAuth';

export const extendedUseOid: Record<ExtendedUse, string> = {
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
};

const oid = {
  country: '2.5.4.6',
  province: '2.5.4.8',
  locality: '2.5.4.7',
  street: '2.5.4.9',
  postalCode: '2.5.4.17',
  organization: '2.5.4.10',
  commonName: '2.5.4.3',
  keyUsage: '2.5.29.15',
  extendedKeyUsage: '2.5.29.37',
  basicConstraints: '2.5.29.19',
  subjectKeyId: '2.5.29.14',
  authorityKeyId: '2.5.29.35',
  subjectAltName: '2.5.29.17',
  nameConstraints: '2.5.29.30',
} as const;

type NamePart = 'country' | 'province' | 'locality' | 'street' | 'postalCode' | 'organization' | 'commonName';

export interface CertificatePlan {
  /** Big endian, at most 20 bytes. */
  readonly serial: Uint8Array;
  /** Part by part, or as it stands in somebody's request: one DER Name. */
  readonly subject: readonly (readonly [NamePart, string])[] | Uint8Array;
  /** Unix ms; the encoding keeps whole seconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly publicKey: KeyObject;
  readonly isCa: boolean;
  /** How many CAs may stand below this one; absent: any number. */
  readonly pathLength?: number;
  readonly extendedUses: readonly ExtendedUse[];
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly uris: readonly string[];
  /** Empty: no constraints. */
  readonly permittedDnsNames: readonly string[];
}

/** Who signs: the CA's subject and key id as they stand in its certificate. Absent: the certificate signs itself. */
export interface Issuer {
  readonly subject: Uint8Array;
  readonly keyId: Uint8Array;
}

export function buildCertificate(der: Der, plan: CertificatePlan, signer: Signer, issuer?: Issuer): string {
  const spki = plan.publicKey.export({ type: 'spki', format: 'der' });
  const keyId = createHash('sha256').update(spki).digest(); // of the whole SubjectPublicKeyInfo: 32 bytes, not RFC 5280's 20
  const subject = plan.subject instanceof Uint8Array ? der.parsed(plan.subject) : nameOf(der, plan.subject);
  const algorithm = der.sequence(der.oid(signer.oid), ...(signer.nullParameters ? [der.null()] : []));
  const tbs = der.sequence(
    der.explicit(0, der.integer(Buffer.of(2))), // version 3
    der.integer(plan.serial),
    algorithm,
    issuer === undefined ? subject : der.parsed(issuer.subject),
    der.sequence(der.time(plan.notBefore), der.time(plan.notAfter)),
    subject,
    der.parsed(spki),
    der.explicit(3, der.sequence(...extensionsOf(der, plan, keyId, issuer?.keyId ?? keyId))),
  );
  const signature = sign(signer.digest, der.encode(tbs), signer.key);
  return pemOf(der.encode(der.sequence(tbs, algorithm, der.bitString(signature))));
}

/** The CA's subject and key id, from its certificate. Throws PkiError `bad_certificate`. */
export function issuerOf(der: Der, ca: X509Certificate): Issuer {
  const [tbs] = der.children(der.parsed(ca.raw));
  const fields = tbs === undefined ? [] : der.children(tbs); // version, serial, algorithm, issuer, validity, subject, …
  const subject = fields[5];
  const extensions = fields.find((field) => der.isExplicit(field, 3));
  for (const list of extensions === undefined ? [] : der.children(extensions))
    for (const extension of der.children(list)) {
      const parts = der.children(extension);
      if (subject === undefined || parts[0] === undefined || der.oidOf(parts[0]) !== oid.subjectKeyId)
        continue;
      const wrapped = der.parsed(der.content(parts.at(-1)!)); // an OCTET STRING inside the extension's own
      return { subject: der.encode(subject), keyId: der.content(wrapped) };
    }
  throw new PkiError(
    'bad_certificate',
    'the CA certificate has no subject key id: create a CA with "tls ca create"',
  );
}

function nameOf(der: Der, parts: readonly (readonly [NamePart, string])[]): Asn1 {
  return der.sequence(
    ...parts.map(([part, value]) => der.set(der.sequence(der.oid(oid[part]), der.text(value)))),
  );
}

function extensionsOf(
  der: Der,
  plan: CertificatePlan,
  keyId: Uint8Array,
  authorityKeyId: Uint8Array,
): Asn1[] {
  const extension = (id: string, critical: boolean, value: Asn1): Asn1 =>
    der.sequence(der.oid(id), ...(critical ? [der.bool(true)] : []), der.octetString(der.encode(value)));
  // digitalSignature (bit 0) with keyCertSign and cRLSign (5, 6) for a CA, with keyEncipherment (2) for others
  const usage = plan.isCa ? der.bitString(Buffer.of(0x86), 1) : der.bitString(Buffer.of(0xa0), 5);
  const list = [extension(oid.keyUsage, true, usage)];
  if (plan.extendedUses.length > 0) {
    const uses = plan.extendedUses.map((use) => der.oid(extendedUseOid[use]));
    list.push(extension(oid.extendedKeyUsage, false, der.sequence(...uses)));
  }
  const below = plan.pathLength === undefined ? [] : [der.integer(Buffer.of(plan.pathLength))];
  list.push(
    extension(oid.basicConstraints, true, der.sequence(...(plan.isCa ? [der.bool(true), ...below] : []))),
  );
  list.push(extension(oid.subjectKeyId, false, der.octetString(keyId)));
  list.push(extension(oid.authorityKeyId, false, der.sequence(der.implicit(0, authorityKeyId))));
  const names = [
    ...plan.dnsNames.map((name) => der.implicit(2, ascii(name))),
    ...plan.ipAddresses.map((address) => der.implicit(7, ipBytes(address))),
    ...plan.uris.map((uri) => der.implicit(6, ascii(uri))),
  ];
  if (names.length > 0) list.push(extension(oid.subjectAltName, false, der.sequence(...names)));
  if (plan.permittedDnsNames.length > 0) {
    const permitted = plan.permittedDnsNames.map((name) => der.sequence(der.implicit(2, ascii(name))));
    list.push(extension(oid.nameConstraints, true, der.sequence(der.explicit(0, ...permitted))));
  }
  return list;
}

/** Names and URIs in certificates are IA5String: ASCII only. */
function ascii(name: string): Uint8Array {
  if (!/^[\x21-\x7e]+$/.test(name))
    throw new PkiError('bad_name', `"${name}" cannot stand in a certificate: use ASCII, without spaces`);
  return Buffer.from(name, 'latin1');
}

function pemOf(der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
