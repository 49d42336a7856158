/** The mesh's authority: what its certificates say, whom they verify for, and which requests it refuses. */
import { createHash, createPrivateKey, generateKeyPairSync, sign, X509Certificate } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { createMeshRoot, describeRoot, signIntermediate } from './authority.ts';
import { loadDer } from './der.ts';
import type { Maker } from './ports.ts';
import { systemMaker } from './system.ts';

const start = Date.UTC(2026, 0, 1);
const dayMs = 86_400_000;
const maker: Maker = { randomBytes: systemMaker.randomBytes, now: () => start };
const clusterId = '11111111-2222-3333-4444-555555555555';
const trustDomain = `${clusterId}.consul`;
const root = await createMeshRoot({ clusterId, serial: 7 }, maker);
const der = await loadDer();

const extensionRequest = '1.2.840.113549.1.9.14';
const ecdsaWithSha256 = '1.2.840.10045.4.3.2';
const keys = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const commonName = 'sec-abc.consul.ca.11111111.consul';

/** A request as Consul's secondary makes it: CN, one URI, basic constraints of a CA. */
function request(o: { uris?: readonly string[]; signedBy?: typeof keys.privateKey } = {}): string {
  const uris = (o.uris ?? [`spiffe://${trustDomain}`]).map((uri) => der.implicit(6, Buffer.from(uri)));
  const extension = (id: string, value: Uint8Array) => der.sequence(der.oid(id), der.octetString(value));
  const extensions = der.sequence(
    extension('2.5.29.19', der.encode(der.sequence(der.bool(true)))),
    ...(uris.length === 0 ? [] : [extension('2.5.29.17', der.encode(der.sequence(...uris)))]),
  );
  const info = der.sequence(
    der.integer(Buffer.of(0)),
    der.sequence(der.set(der.sequence(der.oid('2.5.4.3'), der.text(commonName)))),
    der.parsed(keys.publicKey.export({ type: 'spki', format: 'der' })),
    der.explicit(0, der.sequence(der.oid(extensionRequest), der.set(extensions))),
  );
  const signature = sign('sha256', der.encode(info), o.signedBy ?? keys.privateKey);
  const whole = der.sequence(info, der.sequence(der.oid(ecdsaWithSha256)), der.bitString(signature));
  const text = Buffer.from(der.encode(whole)).toString('base64');
  return `-----BEGIN CERTIFICATE REQUEST-----\n${text}\n-----END CERTIFICATE REQUEST-----\n`;
}

const signed = (pem: string, serial = 9): Promise<string> =>
  signIntermediate({ request: pem, clusterId, serial }, root, maker);

describe('the root', () => {
  const certificate = new X509Certificate(root.certificate);

  test('signs itself for ten years, and carries the trust domain as its only name', () => {
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.ca).toBe(true);
    expect(certificate.subjectAltName).toBe(`URI:spiffe://${trustDomain}`);
    expect(certificate.subject).toMatch(/^CN=pri-[0-9a-f]{8}\.consul\.ca\.11111111\.consul$/);
    expect(certificate.validToDate.getTime() - certificate.validFromDate.getTime()).toBe(3650 * dayMs);
    expect(root.certificate.endsWith('-----END CERTIFICATE-----\n')).toBe(true);
  });

  test('its key is P-256, in the form the original reads', () => {
    expect(root.key).toContain('BEGIN EC PRIVATE KEY');
    expect(createPrivateKey(root.key).asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' });
  });

  test('is described by fingerprint, key id and serial number', () => {
    const spki = certificate.publicKey.export({ type: 'spki', format: 'der' });
    expect(describeRoot(root.certificate)).toEqual({
      id: certificate.fingerprint.toLowerCase(),
      keyId: createHash('sha256').update(spki).digest('hex').match(/../g)?.join(':'),
      serial: 7n,
      notBefore: start,
      notAfter: start + 3650 * dayMs,
    });
  });
});

describe('an intermediate', () => {
  test("is signed by the root for the request's key and subject, for a year from a minute ago", async () => {
    const pem = await signed(request());
    const certificate = new X509Certificate(pem);
    const by = new X509Certificate(root.certificate);
    expect(certificate.verify(by.publicKey)).toBe(true);
    expect(certificate.checkIssued(by)).toBe(true);
    expect(certificate.ca).toBe(true);
    expect(certificate.subject).toBe(`CN=${commonName}`);
    expect(certificate.subjectAltName).toBe(`URI:spiffe://${trustDomain}`);
    expect(certificate.publicKey.equals(keys.publicKey)).toBe(true);
    expect(certificate.serialNumber).toBe('09');
    expect(certificate.validFromDate.getTime()).toBe(start - 60_000);
    expect(certificate.validToDate.getTime()).toBe(start - 60_000 + 365 * dayMs);
    // basicConstraints, critical: CA, and no CA below it
    expect(certificate.raw.toString('hex')).toContain('0603551d130101ff040830060101ff020100');
    // keyUsage, critical: digitalSignature, keyCertSign, cRLSign
    expect(certificate.raw.toString('hex')).toContain('0603551d0f0101ff040403020186');
  });

  test('never outlives the root', async () => {
    const short = await createMeshRoot({ clusterId, serial: 1, days: 30 }, maker);
    const pem = await signIntermediate({ request: request(), clusterId, serial: 2 }, short, maker);
    expect(new X509Certificate(pem).validToDate.getTime()).toBe(start + 30 * dayMs);
    const later = { ...maker, now: () => start + 31 * dayMs };
    await expect(
      signIntermediate({ request: request(), clusterId, serial: 3 }, short, later),
    ).rejects.toMatchObject({ code: 'ca_refuses' });
  });

  test('is given for our trust domain, whatever the case, and when the request names none', async () => {
    for (const uris of [[`spiffe://${trustDomain.toUpperCase()}`], []]) {
      const certificate = new X509Certificate(await signed(request({ uris })));
      expect(certificate.subjectAltName).toBe(`URI:spiffe://${trustDomain}`);
    }
  });

  test.each([
    ['another trust domain', ['spiffe://99999999-2222-3333-4444-555555555555.consul']],
    ['ours and another', [`spiffe://${trustDomain}`, 'spiffe://other.consul']],
    ['a service instead of an authority', [`spiffe://${trustDomain}/ns/default/dc/dc2/svc/web`]],
  ])('is refused for %s', async (_what, uris) => {
    await expect(signed(request({ uris }))).rejects.toMatchObject({ code: 'ca_refuses' });
  });

  test('is refused to who does not hold the key it would be for', async () => {
    const thief = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    await expect(signed(request({ signedBy: thief.privateKey }))).rejects.toMatchObject({
      code: 'bad_request',
      message: expect.stringContaining('signature'),
    });
  });

  test('is refused for what is no request, wherever it was cut off or spoilt', async () => {
    await expect(signed('')).rejects.toMatchObject({ code: 'bad_request' });
    await expect(signed(root.certificate)).rejects.toMatchObject({ code: 'bad_request' });
    const whole = Buffer.from(request().split('\n')[1]!, 'base64');
    const pem = (bytes: Uint8Array): string =>
      `-----BEGIN CERTIFICATE REQUEST-----\n${Buffer.from(bytes).toString('base64')}\n-----END CERTIFICATE REQUEST-----`;
    for (let end = 0; end < whole.length; end += 1)
      await expect(signed(pem(whole.subarray(0, end)))).rejects.toMatchObject({ code: 'bad_request' });
    for (let at = 0; at < whole.length; at += 1) {
      const spoilt = Buffer.from(whole);
      spoilt[at] = spoilt[at]! ^ 0x10;
      await expect(signed(pem(spoilt))).rejects.toMatchObject({ code: 'bad_request' });
    }
  });
});
