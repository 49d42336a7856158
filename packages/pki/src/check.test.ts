/** What far servers would object to, found at home. */
import { X509Certificate } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { buildCertificate, type CertificatePlan, issuerOf } from './certificate.ts';
import { checkServerCertificate, expiry, type ServerCertificate } from './check.ts';
import { createCa, createCertificate } from './create.ts';
import { loadDer } from './der.ts';
import { createKeyPair, parseSigner } from './keys.ts';
import type { Maker } from './ports.ts';
import { systemMaker } from './system.ts';

const start = Date.UTC(2026, 0, 1);
const maker: Maker = { randomBytes: systemMaker.randomBytes, now: () => start };
const dayMs = 86_400_000;
const der = await loadDer();
const ca = await createCa({}, maker);
const good = await createCertificate({ kind: 'server', node: 'n1' }, ca, maker);

function problems(o: Partial<ServerCertificate> = {}): string[] {
  const found = checkServerCertificate({
    cert: good.certificate,
    ca: [ca.certificate],
    key: good.key,
    datacenter: 'dc1',
    node: 'n1',
    domain: 'consul',
    now: start + dayMs,
    ...o,
  });
  return found.map((problem) => problem.code);
}

/** A certificate of the CA (or of another issuer) with whatever is asked for. */
function made(plan: Partial<CertificatePlan>, by = ca): { cert: string; key: string } {
  const pair = createKeyPair(maker.randomBytes);
  const whole: CertificatePlan = {
    serial: maker.randomBytes(16),
    subject: [['commonName', 'server.dc1.consul']],
    notBefore: start,
    notAfter: start + 365 * dayMs,
    publicKey: pair.publicKey,
    isCa: false,
    extendedUses: ['serverAuth', 'clientAuth'],
    dnsNames: ['n1.server.dc1.consul', 'server.dc1.consul'],
    ipAddresses: [],
    uris: [],
    permittedDnsNames: [],
    ...plan,
  };
  const issuer = issuerOf(der, new X509Certificate(by.certificate));
  return { cert: buildCertificate(der, whole, parseSigner(by.key, 'the CA key'), issuer), key: pair.pem };
}

describe('check', () => {
  test('a certificate made for this server has no problems', () => {
    expect(problems()).toEqual([]);
  });

  test('one made without -node cannot be reached through gateways', async () => {
    const plain = await createCertificate({ kind: 'server' }, ca, maker);
    const found = checkServerCertificate({
      cert: plain.certificate,
      ca: [ca.certificate],
      key: plain.key,
      datacenter: 'dc1',
      node: 'n1',
      domain: 'consul',
      now: start,
    });
    expect(found.map((p) => p.code)).toEqual(['missing_node_name']);
    expect(found[0]!.text).toBe(
      'the certificate is not valid for n1.server.dc1.consul, by which servers abroad dial this one; ' +
        'it has DNS:server.dc1.consul, DNS:localhost, IP Address:127.0.0.1; ' +
        'create one with "tls cert create --server --dc dc1 --node n1 --domain consul"',
    );
  });

  test('one made for another datacenter lacks both names', () => {
    expect(problems({ datacenter: 'dc2' })).toEqual(['missing_node_name', 'missing_server_name']);
  });

  test('a wildcard stands for the node', () => {
    const wild = made({ dnsNames: ['*.server.dc1.consul', 'server.dc1.consul'] });
    expect(problems(wild)).toEqual([]);
  });

  test('a common name is no name: Go has not looked at it since 1.15', () => {
    expect(problems(made({ dnsNames: [], ipAddresses: ['127.0.0.1'] }))).toEqual([
      'missing_node_name',
      'missing_server_name',
    ]);
  });

  test('expired, and not yet valid', () => {
    expect(problems({ now: start + 366 * dayMs })).toEqual(['expired']);
    expect(problems({ now: start - 1_000 })).toEqual(['not_yet_valid']);
  });

  test('signed by another CA, though of the same name', async () => {
    const other = await createCa({ commonName: 'X' }, maker);
    const twin = await createCa({ commonName: 'X' }, maker);
    expect(problems({ ca: [other.certificate] })).toEqual(['not_signed_by_ca']);
    expect(problems({ ...made({}, twin), ca: [other.certificate] })).toEqual(['not_signed_by_ca']);
    expect(problems({ ...made({}, twin), ca: [other.certificate, twin.certificate] })).toEqual([]);
  });

  test('an intermediate in the file leads to the CA', () => {
    const pair = made({
      isCa: true,
      subject: [['commonName', 'Intermediate']],
      extendedUses: [],
      dnsNames: [],
    });
    const leaf = made({}, { certificate: pair.cert, key: pair.key });
    expect(problems({ cert: leaf.cert + pair.cert, key: leaf.key })).toEqual([]);
    expect(problems({ cert: leaf.cert, key: leaf.key })).toEqual(['not_signed_by_ca']);
  });

  test('a certificate that is no CA vouches for nothing', () => {
    const forged = made({ subject: [['commonName', 'Not a CA']] });
    const leaf = made({}, { certificate: forged.cert, key: forged.key });
    expect(problems({ cert: leaf.cert + forged.cert, key: leaf.key })).toEqual(['not_signed_by_ca']);
  });

  test('the key of another certificate, or none', () => {
    expect(problems({ key: made({}).key })).toEqual(['key_mismatch']);
    expect(problems({ key: 'nonsense' })).toEqual(['key_mismatch']);
  });

  test('extended key usage: a server needs both, none at all allows both', () => {
    expect(problems(made({ extendedUses: ['serverAuth'] }))).toEqual(['no_client_auth']);
    expect(problems(made({ extendedUses: ['clientAuth'] }))).toEqual(['no_server_auth']);
    expect(problems(made({ extendedUses: [] }))).toEqual([]);
  });

  test('expiry tells when a certificate begins and ceases to be valid', () => {
    expect(expiry(good.certificate)).toEqual({ notBefore: start, notAfter: start + 365 * dayMs });
    expect(() => expiry('nonsense')).toThrowError(expect.objectContaining({ code: 'bad_certificate' }));
  });
});
