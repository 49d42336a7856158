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

test('register: a check with nothing in it is none', () =>
  expect(readRegistration({ Name: 'web', Check: {} }, 'n1').checks).toEqual([]));

test('register: a sidecar keeps all it says of what it stands for', () => {
  const { service } = readRegistration(
    {
      Kind: 'connect-proxy',
      Name: 'web-proxy',
      Port: 20000,
      Proxy: {
        DestinationServiceName: 'web',
        destination_service_id: 'web1',
        LocalServicePort: 80,
        Upstreams: [{ DestinationName: 'db', LocalBindPort: 9191, MeshGateway: { Mode: 'local' } }],
        Expose: { Paths: [{ Path: '/health', ListenerPort: 21500 }] },
      },
    },
    'n1',
  );
  expect(service.Proxy).toMatchObject({
    DestinationServiceName: 'web',
    DestinationServiceID: 'web1',
    LocalServicePort: 80,
    Upstreams: [
      { DestinationName: 'db', LocalBindPort: 9191, MeshGateway: { Mode: 'local' }, Datacenter: '' },
    ],
    Expose: { Checks: false, Paths: [{ Path: '/health', ListenerPort: 21500, Protocol: '' }] },
  });
});

describe('register: refused with the reason', () => {
  for (const [what, body, message] of [
    ['no name', {}, /Missing service name/],
    ['not an object', [], /cannot unmarshal array into Go value/],
    ['an unknown key', { Name: 'web', Prot: 1 }, /json: unknown field "Prot"/],
    ['an unknown check key', { Name: 'web', Check: { TPC: 'x' } }, /json: unknown field "TPC"/],
    ['a port out of range', { Name: 'web', Port: 70_000 }, /Port: it must be an integer from 0 to 65535/],
    ['no body', undefined, /Request decode failed: EOF/],
    [
      'a name that is no text',
      { Name: 1 },
      /cannot unmarshal number into Go struct field .Name of type string/,
    ],
    [
      'a tag that is no text',
      { Name: 'web', Tags: [1] },
      /cannot unmarshal number into Go struct field .Tags of type string/,
    ],
    ['a name without end', { Name: 'x'.repeat(256) }, /service name: it is too long/],
    ['a check of nothing', { Name: 'web', Check: { Name: 'c' } }, /TTL must be > 0 for TTL checks/],
    [
      'a check somebody else would have to run',
      { Name: 'web', Check: { Args: ['x'], Interval: '1s' } },
      /Args checks are not run here/,
    ],
    [
      'a status that is none',
      { Name: 'web', Check: { TTL: '1s', Status: 'well' } },
      /Status for checks must/,
    ],
    ['no weight while passing', { Name: 'web', Weights: { Passing: 0 } }, /Passing must be greater than 0/],
    ['an address of all interfaces', { Name: 'web', Address: '0.0.0.0' }, /Invalid service address/],
    ['the server’s own service', { Name: 'Consul' }, /the service of this server itself/],
    [
      'tags that are no list',
      { Name: 'web', Tags: 'a' },
      /cannot unmarshal string into Go struct field .Tags of type \[\]string/,
    ],
    [
      'a check of two kinds',
      { Name: 'web', Check: { TTL: '1s', TCP: 'x:1', Interval: '1s' } },
      /Interval and TTL cannot both be specified/,
    ],
    ['a check without interval', { Name: 'web', Check: { TCP: 'x:1' } }, /Interval must be > 0/],
    [
      'an interval that is none',
      { Name: 'web', Check: { TCP: 'x:1', Interval: 'often' } },
      /time: invalid duration "often"/,
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

for (const [body, text] of [
  [{ ...gateway, Port: 0 }, '1 error occurred:\n\t* Port must be non-zero for a mesh-gateway\n\n'],
  [
    { Name: 'p', Kind: 'connect-proxy' },
    '2 errors occurred:\n\t* Proxy.DestinationServiceName must be non-empty for Connect proxy services\n\t* Port must be set for a Connect proxy\n\n',
  ],
] as const)
  test(`register: a ${body.Kind} nobody could use is refused with all it lacks`, () => {
    expect(() => readRegistration(body, 'n1')).toThrow(new RegistrationError(text));
  });
