/**
 * authority.ts: the certificate authority of the mesh: one root in the primary, an intermediate for each secondary.
 *
 * Not the CA of `tls ca create`, which vouches for servers. This one vouches for services, under a trust domain,
 * `<cluster id>.consul`, that all datacenters of a federation share and that every certificate carries as a SPIFFE URI.
 * Lives here: what its certificates say. Must not live here: where keys are kept, who may ask, serial numbers.
 * Sources: Consul agent/connect/ca/provider_consul.go (generateCA, SignIntermediate), agent/connect/csr.go, parsing.go.
 */
import { createHash, X509Certificate } from 'node:crypto';
import { buildCertificate, issuerOf } from './certificate.ts';
import type { Created } from './create.ts';
import { loadDer } from './der.ts';
import { PkiError } from './errors.ts';
import { createKeyPair, parseSigner } from './keys.ts';
import type { Maker } from './ports.ts';
import { readRequest } from './request.ts';

export interface MeshRootOptions {
  /** A UUID. */
  readonly clusterId: string;
  /** A positive integer. */
  readonly serial: number | bigint;
  /** Default 3650. */
  readonly days?: number;
}

export interface IntermediateOptions {
  /** PEM. */
  readonly request: string;
  /** The only cluster whose authorities are given a certificate. */
  readonly clusterId: string;
  readonly serial: number | bigint;
  /** Default 365; never beyond the root's own end. */
  readonly days?: number;
}

/** What peers are told of a root, beside the certificate itself. */
export interface RootDescription {
  /** SHA-1 of the certificate: lower-case hex pairs joined by colons. */
  readonly id: string;
  /** The subject key id, written the same way. */
  readonly keyId: string;
  readonly serial: bigint;
  /** Unix ms. */
  readonly notBefore: number;
  readonly notAfter: number;
}

const dayMs = 86_400_000;
/** Intermediates are valid from a minute ago, for machines whose clocks lag. */
const clockDriftMs = 60_000;

/** Always `.consul`, whatever DNS domain the servers are configured with. */
export function trustDomainOf(clusterId: string): string {
  return `${clusterId}.consul`.toLowerCase();
}

/** A new key and its certificate. */
export async function createMeshRoot(o: MeshRootOptions, maker: Maker): Promise<Created> {
  const der = await loadDer();
  const pair = createKeyPair(maker.randomBytes);
  const unique = Buffer.from(maker.randomBytes(4)).toString('hex');
  const now = maker.now();
  const certificate = buildCertificate(
    der,
    {
      serial: bigEndian(o.serial),
      subject: [['commonName', `pri-${unique}.consul.ca.${o.clusterId.slice(0, 8)}.consul`]],
      notBefore: now,
      notAfter: now + (o.days ?? 3650) * dayMs,
      publicKey: pair.publicKey,
      isCa: true,
      extendedUses: [],
      dnsNames: [],
      ipAddresses: [],
      uris: [`spiffe://${trustDomainOf(o.clusterId)}`],
      permittedDnsNames: [],
    },
    parseSigner(pair.pem, 'the new key'),
  );
  return { certificate, key: pair.pem };
}

/**
 * An intermediate that may certify services and no other CA, for whoever holds the request's key. PEM. Throws PkiError:
 * `bad_request` for what is none, `ca_refuses` for one of another trust domain or when the root is past its time.
 */
export async function signIntermediate(o: IntermediateOptions, ca: Created, maker: Maker): Promise<string> {
  const der = await loadDer();
  const request = readRequest(o.request);
  const uri = `spiffe://${trustDomainOf(o.clusterId)}`;
  // One without any is given ours: some authorities cannot put a URI into their requests.
  if (request.uris.some((asked) => asked.toLowerCase() !== uri) || request.uris.length > 1)
    throw new PkiError(
      'ca_refuses',
      `the certificate request is for ${request.uris.join(', ')}, and this CA certifies ${uri} only`,
    );
  const root = new X509Certificate(ca.certificate);
  const notBefore = maker.now() - clockDriftMs;
  const rootEnds = root.validToDate.getTime();
  if (maker.now() >= rootEnds)
    throw new PkiError('ca_refuses', `the root of the mesh's CA expired on ${root.validTo}`);
  return buildCertificate(
    der,
    {
      serial: bigEndian(o.serial),
      subject: request.subject,
      notBefore,
      notAfter: Math.min(notBefore + (o.days ?? 365) * dayMs, rootEnds),
      publicKey: request.publicKey,
      isCa: true,
      pathLength: 0,
      extendedUses: [],
      dnsNames: [],
      ipAddresses: [],
      uris: [uri],
      permittedDnsNames: [],
    },
    parseSigner(ca.key, 'the key of the CA'),
    issuerOf(der, root),
  );
}

export function describeRoot(certificate: string): RootDescription {
  const root = new X509Certificate(certificate);
  const spki = root.publicKey.export({ type: 'spki', format: 'der' });
  return {
    id: pairs(createHash('sha1').update(root.raw).digest()),
    keyId: pairs(createHash('sha256').update(spki).digest()),
    serial: BigInt(`0x${root.serialNumber}`),
    notBefore: root.validFromDate.getTime(),
    notAfter: root.validToDate.getTime(),
  };
}

function pairs(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex').match(/../g)!.join(':');
}

function bigEndian(serial: number | bigint): Uint8Array {
  const hex = BigInt(serial).toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
}
