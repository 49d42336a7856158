/**
 * create.ts: the certificate authority of a federation, and the certificates it gives out.
 *
 * One CA for all datacenters. A server's certificate carries two names: `server.<dc>.<domain>`, by which any server of
 * its datacenter is asked for, and `<node>.server.<dc>.<domain>`, by which gateways from abroad ask for this one.
 * Lives here: names, uses and lifetimes. Must not live here: DER, files, texts of the command line.
 * Sources: Consul command/tls/ca/create, command/tls/cert/create, tlsutil/generate.go.
 */
import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { serverSni } from '@fed/alpn-mux';
import { buildCertificate, type CertificatePlan, type ExtendedUse, issuerOf } from './certificate.ts';
import { loadDer } from './der.ts';
import { PkiError } from './errors.ts';
import { createKeyPair, parseSigner } from './keys.ts';
import { permits, permittedDnsNames } from './name-constraints.ts';
import type { Maker, RandomBytes } from './ports.ts';

export interface CaOptions {
  /** Default "consul". */
  readonly domain?: string;
  /** Default 1825. */
  readonly days?: number;
  /** Only names under the domain, localhost and the additional ones may be certified. */
  readonly nameConstraint?: boolean;
  readonly additionalNameConstraints?: readonly string[];
  /** Adds the URI `spiffe://<clusterId>.<domain>`. */
  readonly clusterId?: string;
  /** Default "Consul Agent CA <serial>". */
  readonly commonName?: string;
}

export type CertificateKind = 'server' | 'client' | 'cli';

export interface CertificateOptions {
  readonly kind: CertificateKind;
  /** Default "dc1". */
  readonly datacenter?: string;
  readonly domain?: string;
  /** Server only: adds `<node>.server.<dc>.<domain>`. '*' stands for every node of the datacenter. */
  readonly node?: string;
  /** Default 365. */
  readonly days?: number;
  /** Ignored for 'cli', as Consul does. */
  readonly additionalDnsNames?: readonly string[];
  readonly additionalIpAddresses?: readonly string[];
}

/** PEM texts. */
export interface Created {
  readonly certificate: string;
  readonly key: string;
}

const dayMs = 86_400_000;
/** Certificates write years with four digits. */
const daysMax = 365 * 7_900;

export async function createCa(o: CaOptions, maker: Maker): Promise<Created> {
  const der = await loadDer();
  const domain = o.domain ?? 'consul';
  const serial = createSerial(maker.randomBytes);
  const pair = createKeyPair(maker.randomBytes);
  const constraints = [...(o.additionalNameConstraints ?? []), domain, 'localhost'];
  const clusterId = o.clusterId ?? '';
  const plan: CertificatePlan = {
    serial,
    subject: [
      ['country', 'US'],
      ['province', 'CA'],
      ['locality', 'San Francisco'],
      ['street', '101 Second Street'],
      ['postalCode', '94105'],
      ['organization', 'HashiCorp Inc.'],
      ['commonName', o.commonName || `Consul Agent CA ${decimal(serial)}`],
    ],
    ...validity(maker.now(), o.days ?? 1825),
    publicKey: pair.publicKey,
    isCa: true,
    extendedUses: [],
    dnsNames: [],
    ipAddresses: [],
    uris: clusterId === '' ? [] : [`spiffe://${clusterId}.${domain}`],
    permittedDnsNames: o.nameConstraint === true ? constraints : [],
  };
  const signer = parseSigner(pair.pem, 'the new key');
  return { certificate: buildCertificate(der, plan, signer), key: pair.pem };
}

/** A certificate signed by `ca`. Throws PkiError; in particular when the CA could not vouch for what it would sign. */
export async function createCertificate(o: CertificateOptions, ca: Created, maker: Maker): Promise<Created> {
  const der = await loadDer();
  const authority = parseCa(ca.certificate);
  const signer = parseSigner(ca.key, 'the CA key');
  if (!authority.checkPrivateKey(signer.key))
    throw new PkiError(
      'key_mismatch',
      'the CA key does not belong to the CA certificate: pass the two that were created together',
    );
  const names = namesOf(o);
  const pair = createKeyPair(maker.randomBytes);
  const times = validity(maker.now(), o.days ?? 365);
  vouch(authority, names, times.notBefore, permittedDnsNames(der, authority));
  const plan: CertificatePlan = {
    serial: createSerial(maker.randomBytes),
    subject: [['commonName', names.commonName]],
    ...times,
    publicKey: pair.publicKey,
    isCa: false,
    extendedUses: usesOf[o.kind],
    dnsNames: names.dns,
    ipAddresses: names.ip,
    uris: [],
    permittedDnsNames: [],
  };
  return { certificate: buildCertificate(der, plan, signer, issuerOf(der, authority)), key: pair.pem };
}

/** A server needs both: it is dialled, and it dials. Without any, a certificate may be used for both. */
const usesOf: Record<CertificateKind, readonly ExtendedUse[]> = {
  server: ['serverAuth', 'clientAuth'],
  client: ['clientAuth', 'serverAuth'],
  cli: [],
};

interface Names {
  readonly commonName: string;
  readonly dns: readonly string[];
  readonly ip: readonly string[];
}

function namesOf(o: CertificateOptions): Names {
  const datacenter = o.datacenter ?? 'dc1';
  const domain = o.domain ?? 'consul';
  const dns = (o.additionalDnsNames ?? []).map((name) => name.trim()).filter((name) => name !== '');
  const ip = (o.additionalIpAddresses ?? [])
    .map((address) => address.trim())
    .filter((address) => address !== '');
  for (const address of ip)
    if (isIP(address) === 0) throw new PkiError('bad_name', `"${address}" is no IP address`);
  switch (o.kind) {
    case 'server': {
      const anyServer = serverSni({ datacenter, domain });
      const thisServer = o.node === undefined || o.node === '' ? [] : [`${o.node}.${anyServer}`];
      return {
        commonName: anyServer,
        dns: [...dns, ...thisServer, anyServer, 'localhost'],
        ip: [...ip, '127.0.0.1'],
      };
    }
    case 'client': {
      const name = `client.${datacenter}.${domain}`;
      return { commonName: name, dns: [...dns, name, 'localhost'], ip: [...ip, '127.0.0.1'] };
    }
    case 'cli': {
      const name = `cli.${datacenter}.${domain}`;
      return { commonName: name, dns: [name, 'localhost'], ip };
    }
  }
}

/** What peers will check when they meet the certificate is checked before it is made. */
function vouch(
  ca: X509Certificate,
  names: Names,
  at: number,
  permitted: readonly string[] | undefined,
): void {
  if (!ca.ca)
    throw new PkiError('not_a_ca', 'the CA certificate is not one of a CA: create one with "tls ca create"');
  if (at < ca.validFromDate.getTime() || at > ca.validToDate.getTime())
    throw new PkiError(
      'ca_refuses',
      `the CA is valid from ${ca.validFrom} to ${ca.validTo}: create a new one`,
    );
  const refused = permitted === undefined ? undefined : names.dns.find((name) => !permits(permitted, name));
  if (refused !== undefined)
    throw new PkiError(
      'ca_refuses',
      `the CA's name constraints (${permitted?.join(', ')}) exclude "${refused}": use its domain, or create a CA that permits it`,
    );
}

function parseCa(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new PkiError('bad_certificate', 'the CA file holds no certificate in PEM', { cause });
  }
}

function validity(now: number, days: number): { notBefore: number; notAfter: number } {
  if (!Number.isInteger(days) || days < 1 || days > daysMax)
    throw new PkiError(
      'bad_days',
      `a certificate cannot be valid for ${days} days: give a whole number from 1 to ${daysMax}`,
    );
  return { notBefore: now, notAfter: now + days * dayMs }; // from now on, not from a while ago: Consul does not back-date
}

/** Less than 2^128, and never zero. */
function createSerial(randomBytes: RandomBytes): Uint8Array {
  for (;;) {
    const serial = randomBytes(16);
    if (serial.some((byte) => byte !== 0)) return serial;
  }
}

function decimal(bytes: Uint8Array): string {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`).toString();
}
