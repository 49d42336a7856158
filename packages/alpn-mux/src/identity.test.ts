import { X509Certificate } from 'node:crypto';
import { describe, expect, test, vi } from 'vitest';
import { identity, material, pem } from '../test/certificates.ts';
import { der } from '../test/der.ts';
import { checkServerName, dnsNames, peerIdentity } from './peer-identity.ts';
import { PeerMemory } from './peer-memory.ts';
import { TlsIdentity, TlsMaterialError } from './tls-identity.ts';

const certificate = (name: string) => new X509Certificate(pem(name));

describe('TLS identity', () => {
  test('a replacement counts up the generation and changes the context', () => {
    const tls = identity('n1-dc1');
    const before = tls.context;
    tls.replace(material('m1-dc2'));
    expect(tls.generation).toBe(2);
    expect(tls.context).not.toBe(before);
    expect(tls.material.cert).toBe(pem('m1-dc2'));
  });

  test('a watcher is told every replacement until it leaves, and none that was refused', () => {
    const tls = identity('n1-dc1');
    const told: string[] = [];
    const watch = tls.watch(({ cert }) => told.push(cert));
    tls.replace(material('m1-dc2'));
    expect(() => tls.replace({ ...material('n1-dc1'), ca: [] })).toThrow(TlsMaterialError);
    watch[Symbol.dispose]();
    tls.replace(material('n1-dc1'));
    expect(told).toEqual([pem('m1-dc2')]);
  });

  const good = material('n1-dc1');
  for (const [code, bad] of [
    ['ca_missing', { ...good, ca: [] }],
    ['ca_malformed', { ...good, ca: ['not PEM'] }],
    ['certificate_malformed', { ...good, cert: 'not PEM' }],
    ['key_malformed', { ...good, key: 'not PEM' }],
    ['key_mismatch', { ...good, key: pem('m1-dc2-key') }],
  ] as const) {
    test(`${code}: refused, and what worked stays in use (I6)`, () => {
      const tls = new TlsIdentity(good);
      const before = tls.context;
      expect(() => tls.replace(bad)).toThrow(expect.objectContaining({ code, name: 'TlsMaterialError' }));
      expect([tls.generation, tls.context, tls.material]).toEqual([1, before, good]);
      expect(() => new TlsIdentity(bad)).toThrow(TlsMaterialError);
    });
  }
});

describe('peer identity', () => {
  test('a server certificate tells node and datacenter, whichever name comes first', () => {
    expect(peerIdentity(certificate('n1-dc1'), 'consul')?.server).toEqual({ node: 'n1', datacenter: 'dc1' });
    expect(peerIdentity(certificate('nameless-dc1'), 'consul')?.server).toEqual({ datacenter: 'dc1' });
    expect(peerIdentity(certificate('m1-dc2'), 'consul.')?.server).toEqual({ node: 'm1', datacenter: 'dc2' });
  });
  test('no server name of this domain, no server', () => {
    expect(peerIdentity(certificate('cli-dc1'), 'consul')).toEqual({
      names: ['cli.dc1.consul', 'localhost'],
      fingerprint: expect.any(String),
      expiresAtMs: expect.any(Number),
    });
    expect(peerIdentity(certificate('n1-dc1'), 'example.org')?.server).toBeUndefined();
  });
  test('no certificate, no identity', () => {
    expect(peerIdentity(undefined, 'consul')).toBeUndefined();
  });
  test('a name is not forged by commas inside another value', () => {
    expect(dnsNames('DNS:a.consul, IP Address:127.0.0.1, DNS:b.consul')).toEqual(['a.consul', 'b.consul']);
    expect(dnsNames('URI:"http://x/, DNS:evil.consul", DNS:b.consul')).toEqual(['b.consul']);
    expect(dnsNames('DNS:"b.consul, DNS:evil.consul"')).toEqual([]);
    expect(dnsNames(undefined)).toEqual([]);
  });
});

describe('peers that were seen before', () => {
  /** A socket whose session has these bytes as the certificate, as OpenSSL writes it; `withSession: false`: none to be had. */
  const socket = (shown: ReturnType<typeof made> | X509Certificate | undefined, withSession = true) => {
    const getPeerX509Certificate = vi.fn(() => shown);
    const session =
      shown && Buffer.concat([der(0x02, Buffer.of(1)), der(0xa3, shown.raw), der(0xa4, Buffer.of(2))]);
    return {
      getSession: () => (withSession && session ? der(0x30, session) : undefined),
      getPeerX509Certificate,
    };
  };
  const made = (n: number, bytes = 600) => ({
    raw: Buffer.alloc(bytes, `${n};`),
    subjectAltName: `DNS:n${n}.server.dc1.consul`,
    fingerprint256: String(n),
    validTo: 'Nov 27 20:00:00 2026 GMT',
  });
  test('are known by their whole certificate, and read once', () => {
    const memory = new PeerMemory('consul');
    const first = memory.identityOf(socket(certificate('n1-dc1')));
    expect(first).toEqual(peerIdentity(certificate('n1-dc1'), 'consul'));
    const again = socket(certificate('n1-dc1'));
    expect(memory.identityOf(again)).toBe(first);
    expect(again.getPeerX509Certificate).not.toHaveBeenCalled();
    expect(memory.identityOf(socket(certificate('m1-dc2')))?.server?.node).toBe('m1');
    expect(memory.identityOf(socket(undefined))).toBeUndefined();
  });
  test('are read each time from a session that does not show them', () => {
    const memory = new PeerMemory('consul');
    for (let n = 0; n < 2; n++) {
      const peer = socket(certificate('n1-dc1'), false);
      expect(memory.identityOf(peer)?.server?.node).toBe('n1');
      expect(peer.getPeerX509Certificate).toHaveBeenCalledOnce();
    }
  });
  test('are forgotten when there are too many, the oldest first; a huge certificate is not kept', () => {
    const memory = new PeerMemory('consul');
    const [first, second] = [1, 2].map((n) => memory.identityOf(socket(made(n))));
    for (let n = 3; n <= 257; n++) memory.identityOf(socket(made(n)));
    expect(memory.identityOf(socket(made(2)))).toBe(second);
    expect(memory.identityOf(socket(made(1)))).not.toBe(first);
    expect(memory.identityOf(socket(made(1)))).toEqual(first);
    const huge = memory.identityOf(socket(made(300, 5_000)));
    expect(memory.identityOf(socket(made(300, 5_000)))).not.toBe(huge);
  });
});

describe('the name check of a dialler', () => {
  const codeOf = (name: string, cert: string) =>
    (checkServerName(name, certificate(cert).toLegacyObject()) as { code?: string } | undefined)?.code;
  test.each([
    ['n1.server.dc1.consul', 'n1-dc1', undefined],
    ['server.dc1.consul', 'n1-dc1', undefined],
    ['n1.server.dc1.consul', 'nameless-dc1', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['n7.server.dc1.consul', 'wildcard-dc1', undefined],
    ['a.b.server.dc1.consul', 'wildcard-dc1', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['n1.server.dc1.consul', 'm1-dc2', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['server.dc1.consul', 'cn-only', 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ])('%s against %s: %s', (name, cert, code) => expect(codeOf(name, cert)).toBe(code));
});
