import { describe, expect, test } from 'vitest';
import { type Circumstances, diagnose, type Hop } from './diagnosis.ts';

const local = { host: '10.2.0.100', port: 8443 };
const door = { host: '203.0.113.9', port: 443 };
const theirs = { host: '198.51.100.3', port: 8443 };

describe('diagnosis: one attempt names the hop', () => {
  const table: readonly (readonly [string, string, Hop, Partial<Circumstances>?])[] = [
    ['local', 'connect_refused', 'local_gateway'],
    ['local', 'connect_timeout', 'local_gateway'],
    ['local', 'connect_failed', 'local_gateway'],
    ['local', 'closed_before_tls', 'local_gateway_route'],
    ['local', 'closed_before_tls', 'remote_gateway', { remoteGateways: [theirs] }],
    ['local', 'closed_before_tls', 'remote_gateway', { remoteCritical: 1 }],
    ['local', 'tls_timeout', 'local_gateway'],
    ['local', 'tls_timeout', 'local_gateway_route', { leadsElsewhere: () => true }],
    ['local', 'tls_timeout', 'remote_gateway', { leadsElsewhere: () => true, remoteGateways: [theirs] }],
    ['local', 'silent', 'local_gateway'],
    ['local', 'silent', 'remote_gateway', { leadsElsewhere: () => true, remoteGateways: [theirs] }],
    ['local', 'lost', 'local_gateway'],
    ['door', 'lost', 'remote_gateway'],
    ['door', 'connect_refused', 'remote_gateway'],
    ['door', 'connect_timeout', 'remote_gateway'],
    ['door', 'tls_timeout', 'remote_gateway'],
    ['door', 'closed_before_tls', 'remote_server'],
    ['local', 'tls_failed', 'tls'],
    ['local', 'certificate_untrusted', 'certificate'],
    ['door', 'certificate_name', 'certificate'],
    ['local', 'alpn_refused', 'alpn'],
    ['local', 'aborted', 'unknown'],
    ['local', 'something_new', 'unknown'],
  ];
  for (const [where, code, hop, more] of table) {
    const known = more ? `, ${Object.keys(more).join(' and ')} known` : '';
    test(`diagnosis: ${code} through ${where}${known}: ${hop}`, () => {
      const gateway = where === 'local' ? local : door;
      const found = diagnose([{ gateway, code }], { ...circumstances, ...more });
      expect(found.hop).toBe(hop);
      expect(found.text).toMatch(/^dc1: /);
      expect(found.text).toContain(gateway.host);
      expect(found.text).toContain(code);
    });
  }
});

describe('diagnosis: several attempts', () => {
  test('diagnosis: the one that came furthest tells most, and all are listed', () => {
    const attempts = [
      { gateway: local, code: 'connect_refused' },
      { gateway: door, code: 'certificate_name' },
      { gateway: door, code: 'closed_before_tls' },
    ];
    const { hop, text } = diagnose(attempts, circumstances);
    expect(hop).toBe('certificate');
    expect(text).toContain(
      'tried: 10.2.0.100:8443 connect_refused, 203.0.113.9:443 certificate_name, 203.0.113.9:443 closed_before_tls',
    );
  });

  test('diagnosis: a remote gateway is named by the addresses it published', () => {
    const attempts = [{ gateway: local, code: 'closed_before_tls' }];
    expect(diagnose(attempts, { ...circumstances, remoteGateways: [theirs] }).text).toContain(
      '198.51.100.3:8443',
    );
  });

  test('diagnosis: no attempt means no gateway was known, and why', () => {
    const { hop, text } = diagnose([], circumstances);
    expect(hop).toBe('no_gateway_known');
    expect(text).toBe('dc1: no gateway is known: nothing is configured');
  });
});

// ---- fixtures ----

const circumstances: Circumstances = {
  datacenter: 'dc1',
  isLocal: (gateway) => gateway.host === local.host,
  remoteGateways: [],
  remoteCritical: 0,
  leadsElsewhere: () => false,
  whyNone: 'nothing is configured',
};
