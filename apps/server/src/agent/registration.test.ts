import { describe, expect, test } from 'vitest';
import { RegistrationError, readRegistration } from './registration.ts';

/** What `connect envoy -gateway=mesh -register -expose-servers` sends. */
const gateway = {
  Name: 'mesh-gateway',
  Kind: 'mesh-gateway',
  Address: '10.1.0.100',
  Port: 8443,
  Meta: { 'consul-wan-federation': '1' },
  TaggedAddresses: { lan: { Address: '10.1.0.100', Port: 8443 }, wan: { Address: '203.0.113.9', Port: 443 } },
  Proxy: { Config: { envoy_gateway_no_default_bind: true, envoy_gateway_bind_tagged_addresses: true } },
  Check: {
    Name: 'mesh-gateway listening',
    TCP: '10.1.0.100:8443',
    Interval: '10s',
    DeregisterCriticalServiceAfter: '6h',
  },
};

test('register: a gateway with its check, as the original’s launcher sends it', () => {
  const { service, checks } = readRegistration(gateway, 'n1');
  expect(service).toMatchObject({
    ID: 'mesh-gateway',
    Service: 'mesh-gateway',
    Kind: 'mesh-gateway',
    Address: '10.1.0.100',
    Port: 8443,
    Meta: { 'consul-wan-federation': '1' },
    TaggedAddresses: {
      lan: { Address: '10.1.0.100', Port: 8443 },
      wan: { Address: '203.0.113.9', Port: 443 },
      lan_ipv4: { Address: '10.1.0.100', Port: 8443 },
    },
    Proxy: { Config: { envoy_gateway_no_default_bind: true } },
  });
  expect(checks).toHaveLength(1);
  expect(checks[0]).toMatchObject({
    CheckID: 'service:mesh-gateway',
    Name: 'mesh-gateway listening',
    Node: 'n1',
    Status: 'critical',
    Type: 'tcp',
    ServiceID: 'mesh-gateway',
    Definition: { TCP: '10.1.0.100:8443', Interval: 10e9, DeregisterCriticalServiceAfter: 6 * 3600e9 },
  });
});

test('register: keys are taken in any spelling clients use', () => {
  const { service, checks } = readRegistration(
    {
      name: 'web',
      tagged_addresses: { lan: { address: '10.0.0.1', port: 80 } },
      checks: [{ ttl: '30s' }, { http: 'http://x/', interval: '5s' }],
    },
    'n1',
  );
  expect(service.TaggedAddresses).toEqual({ lan: { Address: '10.0.0.1', Port: 80 } });
  expect(checks.map((c) => c.CheckID)).toEqual(['service:web:1', 'service:web:2']);
});

test('register: a service is given up no sooner than a minute after its check turned critical', () => {
  const { checks } = readRegistration(
    { Name: 'web', Check: { TTL: '5s', DeregisterCriticalServiceAfter: '1s' } },
    'n1',
  );
  expect(checks[0]?.Definition.DeregisterCriticalServiceAfter).toBe(60e9);
});

describe('register: refused with the reason', () => {
  for (const [what, body, message] of [
    ['no name', {}, /Missing service name/],
    ['not an object', [], /must be a JSON object/],
    ['an unknown key', { Name: 'web', Prot: 1 }, /unknown service key 'Prot'/],
    ['an unknown check key', { Name: 'web', Check: { TPC: 'x' } }, /unknown check key 'TPC'/],
    ['a port out of range', { Name: 'web', Port: 70_000 }, /port must be an integer from 0 to 65535/],
    ['tags that are no list', { Name: 'web', Tags: 'a' }, /Tags must be a list/],
    [
      'a check of two kinds',
      { Name: 'web', Check: { TTL: '1s', TCP: 'x:1', Interval: '1s' } },
      /exactly one of TTL, TCP or HTTP/,
    ],
    ['a check without interval', { Name: 'web', Check: { TCP: 'x:1' } }, /Interval must be > 0/],
    [
      'an interval that is none',
      { Name: 'web', Check: { TCP: 'x:1', Interval: 'often' } },
      /'often' is not a duration/,
    ],
    [
      'reserved meta',
      { Name: 'web', Meta: { 'consul-x': '1' } },
      /Invalid Service Meta: .*reserved for internal use/,
    ],
    [
      'the federation meta on a plain service',
      { Name: 'web', Meta: { 'consul-wan-federation': '1' } },
      /reserved for internal use/,
    ],
    ['meta with an odd key', { Name: 'web', Meta: { 'a b': '1' } }, /invalid characters/],
    ['meta that is too long', { Name: 'web', Meta: { a: 'x'.repeat(513) } }, /limit: 512/],
  ] as const)
    test(what, () => {
      expect(() => readRegistration(body, 'n1')).toThrow(RegistrationError);
      expect(() => readRegistration(body, 'n1')).toThrow(message);
    });
});
