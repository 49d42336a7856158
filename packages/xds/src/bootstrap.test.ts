import { describe, expect, test } from 'vitest';
import { vector } from '../test/scenario.ts';
import { BootstrapError, type BootstrapOptions, bootstrapOf, parseXdsAddress } from './bootstrap.ts';
import type { JsonObject } from './wire/json.ts';

interface Case {
  id: string;
  args: string[];
  token: string;
  agent: { datacenter: string; xdsPorts?: { plaintext: number } };
  bootstrap: JsonObject & { stats_config: { stats_tags: JsonObject[] } };
}

describe('bootstrap', () => {
  for (const c of vector<{ cases: Case[] }>('bootstrap').cases)
    test(c.id, () => {
      const written = bootstrapOf(optionsOf(c));
      const tags = (written['stats_config'] as { stats_tags: JsonObject[] }).stats_tags;
      const fixed = tags.filter((t) => !('regex' in t));
      expect({
        ...written,
        stats_config: { ...(written['stats_config'] as JsonObject), stats_tags: fixed },
      }).toEqual(c.bootstrap);
    });
});

test('several xDS servers stand in one cluster, the first in front', () => {
  const written = bootstrapOf({
    ...basic,
    xds: { kind: 'tcp', host: '10.0.0.1', port: 8502 },
    xdsOthers: [
      { host: '10.0.0.2', port: 8502 },
      { host: '::1', port: 18_502 },
    ],
  });
  const { clusters } = written['static_resources'] as unknown as {
    clusters: readonly { load_assignment: { endpoints: readonly { lb_endpoints: unknown }[] } }[];
  };
  const lb_endpoints = clusters[0]!.load_assignment.endpoints[0]!.lb_endpoints;
  expect(lb_endpoints).toEqual(
    [
      ['10.0.0.1', 8502],
      ['10.0.0.2', 8502],
      ['::1', 18_502],
    ].map(([address, port_value]) => ({
      endpoint: { address: { socket_address: { address, port_value } } },
    })),
  );
});

test('the admin address, the log path, own tags and pasted JSON', () => {
  const written = bootstrapOf({
    ...basic,
    admin: { host: '127.0.0.1', port: 19_001 },
    adminAccessLogPath: '/var/log/admin',
    config: {
      envoy_stats_tags: ['env=prod', 'bare', 'consul.source.datacenter=mine'],
      envoy_extra_static_clusters_json: '{"name":"a"},{"name":"b"}',
      envoy_extra_static_listeners_json: '[{"name":"l"}]',
      envoy_extra_stats_sinks_json: '{"name":"s"}',
      envoy_stats_flush_interval: '10s',
    },
  });
  expect(written).toMatchObject({
    admin: {
      address: { socket_address: { port_value: 19_001 } },
      access_log: [{ typed_config: { path: '/var/log/admin' } }],
    },
    static_resources: {
      clusters: [{ name: 'local_agent' }, { name: 'a' }, { name: 'b' }],
      listeners: [{ name: 'l' }],
    },
    stats_sinks: [{ name: 's' }],
    stats_flush_interval: '10s',
  });
  const tags = (written['stats_config'] as { stats_tags: JsonObject[] }).stats_tags;
  expect(tags).toContainEqual({ tag_name: 'env', fixed_value: 'prod' });
  expect(tags).toContainEqual({ tag_name: 'bare', fixed_value: '1' });
  expect(tags.filter((t) => t['tag_name'] === 'consul.source.datacenter')).toEqual([
    { tag_name: 'consul.source.datacenter', fixed_value: 'mine' },
  ]);
});

test('pasted JSON that is none names its key', () => {
  const config = { envoy_extra_static_clusters_json: '{' };
  expect(() => bootstrapOf({ ...basic, config })).toThrow(BootstrapError);
  expect(() => bootstrapOf({ ...basic, config })).toThrow(/envoy_extra_static_clusters_json/);
});

const td = '11111111-2222-3333-4444-555555555555';
test.each([
  ['service', `web.default.dc1.internal.${td}.consul.`, 'web'],
  ['namespace', `web.default.dc1.internal.${td}.consul.`, 'default'],
  ['datacenter', `v2.web.default.dc1.internal.${td}.consul.`, 'dc1'],
  ['service_subset', `v2.web.default.dc1.internal.${td}.consul.`, 'v2'],
  ['service_subset', `web.default.dc1.internal.${td}.consul.`, undefined],
  ['custom_hash', `abc~web.default.dc1.internal.${td}.consul.`, 'abc'],
  ['routing_type', `web.default.dc1.internal.${td}.consul.`, 'internal'],
  ['trust_domain', `web.default.dc1.internal.${td}.consul.`, td],
  ['service', 'server.dc2.consul.', undefined],
])('consul.destination.%s of %s is %s', (part, name, value) => {
  const tags = (bootstrapOf(basic)['stats_config'] as { stats_tags: { tag_name: string; regex?: string }[] })
    .stats_tags;
  const { regex } = tags.find((t) => t.tag_name === `consul.destination.${part}`)!;
  const match = new RegExp(regex!).exec(`cluster.${name}upstream_cx_total`);
  expect(match?.[2]).toBe(value);
  if (match !== null) expect(match[1], 'the whole name is cut out').toBe(name);
});

test.each([
  ['127.0.0.1:8502', { address: { kind: 'tcp', host: '127.0.0.1', port: 8502 }, tls: false }],
  ['http://10.0.0.1:8502', { address: { kind: 'tcp', host: '10.0.0.1', port: 8502 }, tls: false }],
  ['https://[fd00::1]:8503', { address: { kind: 'tcp', host: 'fd00::1', port: 8503 }, tls: true }],
  ['unix:///run/a.sock', { address: { kind: 'unix', path: '/run/a.sock' }, tls: false }],
])('xDS address %s', (text, expected) => expect(parseXdsAddress(text)).toEqual(expected));

test.each(['8502', 'host', 'host:0', 'host:70000', 'ftp://h:1', 'unix://relative', 'fd00::1:8502'])(
  'xDS address %s is refused',
  (text) => expect(() => parseXdsAddress(text)).toThrow(expect.objectContaining({ code: 'bad_address' })),
);

const basic: BootstrapOptions = {
  nodeId: 'mesh-gateway',
  cluster: 'mesh-gateway',
  datacenter: 'dc1',
  xds: { kind: 'tcp', host: '127.0.0.1', port: 8502 },
  token: '',
};

/** What the launcher makes of its flags. */
function optionsOf(c: Case): BootstrapOptions {
  const flag = (name: string) => c.args.find((a) => a.startsWith(`-${name}=`))?.slice(name.length + 2);
  const { address, tls } = parseXdsAddress(flag('grpc-addr') ?? `127.0.0.1:${c.agent.xdsPorts?.plaintext}`);
  const ca = '-----BEGIN CERTIFICATE-----\n...\n-----END CERTIFICATE-----\n';
  const nodeName = flag('node-name');
  return {
    ...basic,
    datacenter: c.agent.datacenter,
    token: c.token,
    xds: tls && address.kind === 'tcp' ? { ...address, tls: { ca } } : address,
    ...(nodeName !== undefined ? { nodeName } : {}),
  };
}

test('TLS: a name that the certificate must have; the machine’s own authorities', () => {
  const named = bootstrapOf({
    ...basic,
    xds: { kind: 'tcp', host: '127.0.0.1', port: 8503, tls: { serverName: 'server.dc1.consul' } },
  });
  expect(named).toMatchObject({
    static_resources: {
      clusters: [
        {
          transport_socket: {
            typed_config: {
              sni: 'server.dc1.consul',
              common_tls_context: {
                validation_context: {
                  trusted_ca: { filename: '/etc/ssl/certs/ca-certificates.crt' },
                  match_typed_subject_alt_names: [
                    { san_type: 'DNS', matcher: { exact: 'server.dc1.consul' } },
                  ],
                },
              },
            },
          },
        },
      ],
    },
  });
});
