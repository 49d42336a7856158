/** Names, lifetimes and refusals beyond what `consul tls` was recorded doing. */
import { createPublicKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { buildCertificate, type CertificatePlan } from './certificate.ts';
import { type CertificateOptions, type Created, createCa, createCertificate } from './create.ts';
import { loadDer } from './der.ts';
import { parseSigner } from './keys.ts';
import type { Maker } from './ports.ts';
import { systemMaker } from './system.ts';

const start = Date.UTC(2026, 0, 1);
const maker: Maker = { randomBytes: systemMaker.randomBytes, now: () => start };
const dayMs = 86_400_000;
const ca = await createCa({}, maker);

async function certificate(o: Partial<CertificateOptions> = {}, by: Created = ca): Promise<X509Certificate> {
  return new X509Certificate((await createCertificate({ kind: 'server', ...o }, by, maker)).certificate);
}

describe('create', () => {
  test('a certificate is valid from now on, for so many days', async () => {
    const { validFromDate, validToDate } = await certificate({ days: 30 });
    expect([validFromDate.getTime(), validToDate.getTime()]).toEqual([start, start + 30 * dayMs]);
  });

  test('from 2050 on, times are written as GeneralizedTime', async () => {
    const ever = await createCa({ days: 365 * 100 }, maker);
    expect(new X509Certificate(ever.certificate).validToDate.getUTCFullYear()).toBe(2125);
  });

  test("node '*' makes one certificate for every node of the datacenter", async () => {
    const { subjectAltName } = await certificate({ node: '*' });
    expect(subjectAltName).toBe(
      'DNS:*.server.dc1.consul, DNS:server.dc1.consul, DNS:localhost, IP Address:127.0.0.1',
    );
  });

  test('IPv6 addresses, long, short, and with IPv4 at their end', async () => {
    const additionalIpAddresses = ['::1', 'fe80::1:2', '2001:db8:0:0:0:0:0:5', '1::', '::ffff:1.2.3.4'];
    const { subjectAltName } = await certificate({ kind: 'cli', additionalIpAddresses });
    expect(subjectAltName?.split(', ').slice(2)).toEqual([
      'IP Address:0:0:0:0:0:0:0:1',
      'IP Address:FE80:0:0:0:0:0:1:2',
      'IP Address:2001:DB8:0:0:0:0:0:5',
      'IP Address:1:0:0:0:0:0:0:0',
      'IP Address:0:0:0:0:0:FFFF:102:304',
    ]);
  });

  test("a common name of one's own may use any letters", async () => {
    const own = await createCa({ commonName: 'Föderation' }, maker);
    expect(new X509Certificate(own.certificate).subject).toContain('CN=Föderation');
  });

  test('a private key out of range, or a serial of zero, is drawn again', async () => {
    const draws = {
      16: [Buffer.alloc(16), Buffer.alloc(16, 7)],
      32: [Buffer.alloc(32, 0xff), Buffer.alloc(32, 7)],
    };
    const unlucky: Maker = { ...maker, randomBytes: (size) => draws[size as 16 | 32].shift()! };
    const created = await createCa({}, unlucky);
    expect(new X509Certificate(created.certificate).serialNumber).toBe('07'.repeat(16));
    expect([draws[16].length, draws[32].length]).toEqual([0, 0]);
  });

  const keys: readonly [string, () => string][] = [
    [
      'P-384',
      () =>
        generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey.export({
          type: 'sec1',
          format: 'pem',
        }) as string,
    ],
    [
      'P-256 in PKCS #8',
      () =>
        generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
          type: 'pkcs8',
          format: 'pem',
        }) as string,
    ],
    [
      'Ed25519',
      () => generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    ],
  ];
  test.each(keys)("a CA key that is not the CA's (%s) signs nothing", async (_name, pem) => {
    const outcome = certificate({}, { certificate: ca.certificate, key: pem() });
    await expect(outcome).rejects.toMatchObject({ code: _name === 'Ed25519' ? 'bad_key' : 'key_mismatch' });
  });

  const authorities: readonly [string, string, () => KeyObject][] = [
    ['P-384', '06082a8648ce3d040303', () => generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey],
    ['P-521', '06082a8648ce3d040304', () => generateKeyPairSync('ec', { namedCurve: 'P-521' }).privateKey],
    [
      'RSA',
      '06092a864886f70d01010b0500',
      () => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
    ],
  ];
  test.each(authorities)(
    "a CA with a %s key of one's own signs by the algorithm of OID %s",
    async (_name, algorithm, makeKey) => {
      const key = makeKey().export({ type: 'pkcs8', format: 'pem' }) as string;
      const signer = parseSigner(key, 'the key');
      const plan: CertificatePlan = {
        serial: Buffer.of(1),
        subject: [['commonName', 'Own CA']],
        notBefore: start,
        notAfter: start + dayMs,
        publicKey: createPublicKey(signer.key),
        isCa: true,
        extendedUses: [],
        dnsNames: [],
        ipAddresses: [],
        uris: [],
        permittedDnsNames: [],
      };
      const own = { certificate: buildCertificate(await loadDer(), plan, signer), key };
      const signed = await certificate({}, own);
      expect(signed.verify(createPublicKey(signer.key))).toBe(true);
      expect(signed.checkIssued(new X509Certificate(own.certificate))).toBe(true);
      expect(signed.raw.toString('hex').split(algorithm).length).toBe(3); // once signed, once beside the signature
    },
  );

  const refusals: readonly [string, Partial<CertificateOptions>, string][] = [
    ['an address that is none', { additionalIpAddresses: ['10.0.0'] }, 'bad_name'],
    ['a name that no certificate can carry', { additionalDnsNames: ['größe.example'] }, 'bad_name'],
    ['no time at all', { days: 0 }, 'bad_days'],
    ['half a day', { days: 0.5 }, 'bad_days'],
    ['longer than years are written', { days: 4_000_000 }, 'bad_days'],
  ];
  test.each(refusals)('%s is refused', async (_name, o, code) => {
    await expect(certificate(o)).rejects.toMatchObject({ name: 'PkiError', code });
  });

  test('a certificate that is no CA signs nothing', async () => {
    const leaf = await createCertificate({ kind: 'server' }, ca, maker);
    await expect(certificate({}, leaf)).rejects.toMatchObject({ code: 'not_a_ca' });
  });

  test('an expired CA signs nothing', async () => {
    const old = await createCa({ days: 1 }, { ...maker, now: () => start - 2 * dayMs });
    await expect(certificate({}, old)).rejects.toMatchObject({ code: 'ca_refuses' });
  });

  test('name constraints: names under them are signed, others are not', async () => {
    const bound = await createCa({ nameConstraint: true, additionalNameConstraints: ['ui.corp'] }, maker);
    expect(
      (await certificate({ node: 'n1', additionalDnsNames: ['a.ui.corp'] }, bound)).subjectAltName,
    ).toContain('a.ui.corp');
    const stranger = certificate({ additionalDnsNames: ['evil.example'] }, bound);
    await expect(stranger).rejects.toMatchObject({ code: 'ca_refuses' });
    await expect(certificate({ domain: 'other' }, bound)).rejects.toMatchObject({ code: 'ca_refuses' });
    await expect(certificate({ additionalDnsNames: ['xui.corp'] }, bound)).rejects.toMatchObject({
      code: 'ca_refuses',
    });
  });

  test('what is no certificate, and what is no key, is named', async () => {
    await expect(certificate({}, { ...ca, certificate: 'nonsense' })).rejects.toMatchObject({
      code: 'bad_certificate',
    });
    await expect(certificate({}, { ...ca, key: 'nonsense' })).rejects.toMatchObject({ code: 'bad_key' });
  });
});
