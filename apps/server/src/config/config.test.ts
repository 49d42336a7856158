import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ConfigError, resolveConfig } from './config.ts';
import { loadFiles, parseDocument } from './load.ts';
import type { FileConfig } from './schema.ts';

const good = {
  datacenter: 'dc2',
  primary_datacenter: 'dc1',
  primary_gateways: ['192.0.2.1:8443'],
  node_name: 'n2',
  data_dir: '/var/lib/fed',
  ca_file: 'ca.pem',
  cert_file: 'cert.pem',
  key_file: 'key.pem',
  connect: { enabled: true, enable_mesh_gateway_wan_federation: true },
};

const etcd = { type: 'etcd', endpoints: ['https://10.0.0.1:2379', '10.0.0.2:2379'] };

function resolve(over: Record<string, unknown> = {}): ReturnType<typeof resolveConfig> {
  const problems: string[] = [];
  const parsed = parseDocument('f.json', { ...good, ...over }, problems);
  if (parsed === undefined) throw new ConfigError(problems);
  return resolveConfig(parsed);
}

test('config: a secondary with gateways is complete, and the defaults are the original’s', () => {
  const { config, warnings } = resolve();
  expect(warnings).toEqual([]);
  expect(config).toMatchObject({
    datacenter: 'dc2',
    primary: 'dc1',
    domain: 'consul',
    serverPort: 8300,
    lanPort: 8301,
    wanPort: 8302,
    http: { host: '127.0.0.1', port: 8500 },
    grpc: { host: '127.0.0.1', port: 8502 },
    grpcTls: { host: '127.0.0.1', port: -1, verifyIncoming: false },
    handshakeTimeoutMs: 5000,
    connsPerClientMax: 100,
    queryTimeDefaultMs: 300_000,
  });
});

test('config: several servers share an etcd cluster and find each other', () => {
  const { config, warnings } = resolve({
    bootstrap_expect: 3,
    engine: { ...etcd, user: 'fed', password: 'secret', lease: '3s' },
    retry_join: ['10.0.0.1', '10.0.0.2:9301'],
    retry_interval: '5s',
    retry_max: 4,
  });
  expect(warnings).toEqual([]);
  expect(config).toMatchObject({
    bootstrapExpect: 3,
    engine: { type: 'etcd', endpoints: etcd.endpoints, prefix: '/fed/dc2/', user: 'fed', leaseMs: 3000 },
    lan: { startJoin: [], retryJoin: ['10.0.0.1', '10.0.0.2:9301'], retryIntervalMs: 5000, retryMax: 4 },
  });
});

test('config: joining has little sense for a server that is its whole datacenter', () => {
  expect(resolve({ retry_join: ['10.0.0.1'] }).warnings).toEqual([
    expect.stringMatching(/start_join and retry_join find no second server while the engine is embedded/),
  ]);
});

describe('config: what is known to break is refused, naming the key', () => {
  const refusals: readonly (readonly [string, Record<string, unknown>, RegExp])[] = [
    ['an unknown key', { datacentre: 'dc2' }, /f\.json: invalid config key 'datacentre'/],
    [
      'an unknown key under connect',
      { connect: { enabled: true, enabel: true } },
      /f\.json: invalid config key 'connect\.enabel'/,
    ],
    ['a wrong type', { server: 'yes' }, /f\.json: 'server' must be of type boolean/],
    ['a wrong type deep inside', { ports: { http: 'x' } }, /f\.json: 'ports\.http' must be of type/],
    [
      'a duration that is none',
      { retry_interval_wan: '5 parsecs' },
      /'retry_interval_wan': "5 parsecs" is not a duration/,
    ],
    [
      'federation without connect',
      { connect: { enable_mesh_gateway_wan_federation: true } },
      /needs connect\.enabled = true/,
    ],
    [
      'no federation at all',
      { connect: { enabled: true } },
      /enable_mesh_gateway_wan_federation must be true/,
    ],
    ['a client', { server: false }, /server = false/],
    ['a dotted node name', { node_name: 'a.b' }, /node_name 'a\.b' may hold neither '\.' nor '\/'/],
    ['a slash in the node name', { node_name: 'a/b' }, /node_name 'a\/b'/],
    ['WAN join lists', { retry_join_wan: ['192.0.2.9'] }, /retry_join_wan cannot be used/],
    ['missing TLS material', { cert_file: undefined }, /cert_file is missing/],
    ['no WAN port', { ports: { serf_wan: -1 } }, /ports\.serf_wan = -1/],
    [
      'primary gateways in the primary',
      { primary_datacenter: 'dc2' },
      /primary_gateways is for secondary datacenters/,
    ],
    ['a datacenter with a dot', { datacenter: 'DC.1' }, /datacenter 'dc\.1'/],
    [
      'a gateway without a host',
      { primary_gateways: ['192.0.2.1:8443', ':8443'] },
      /primary_gateways: \[bad_host\] ":8443": the host must be a DNS name or an IP address/,
    ],
    [
      'a gateway with a port that is none',
      { primary_gateways: ['gw:99999'] },
      /primary_gateways: \[bad_port\]/,
    ],
    [
      'a cloud provider, whose secret stays unsaid',
      { primary_gateways: ['provider=aws secret_access_key=geheim'] },
      /primary_gateways: \[provider_unsupported\] "provider=aws secret_access_key=…"/,
    ],
    [
      'a file without a path',
      { primary_gateways: ['file:'] },
      /primary_gateways: \[empty\] .*write file:PATH/,
    ],
    ['a prefix that is no name', { telemetry: { metrics_prefix: '9 lives' } }, /'telemetry\.metrics_prefix'/],
    [
      'an interval below a second',
      { primary_gateways_interval: '0s' },
      /primary_gateways_interval must be at least 1s/,
    ],
    ['a gossip key of the wrong size', { encrypt: 'AAAA' }, /encrypt holds 3 bytes/],
    ['a gossip key that is not base64', { encrypt: '***' }, /encrypt is not base64/],
    [
      'several servers on the embedded engine',
      { bootstrap_expect: 3 },
      /bootstrap_expect is 3, but the embedded engine .* give all servers of the datacenter one etcd cluster/,
    ],
    ['an unknown engine', { engine: { type: 'raft' } }, /f\.json: 'engine\.type'/],
    ['etcd without members', { engine: { type: 'etcd', endpoints: [] } }, /engine\.endpoints is empty/],
    [
      'an etcd endpoint that is none',
      { engine: { type: 'etcd', endpoints: ['http://10.0.0.1'] } },
      /'http:\/\/10\.0\.0\.1' is not of the form http\(s\):\/\/host:port/,
    ],
    [
      'a prefix without an end',
      { engine: { ...etcd, prefix: '/fed' } },
      /engine\.prefix '\/fed' must end in/,
    ],
    [
      'half a certificate for etcd',
      { engine: { ...etcd, cert_file: 'c.pem' } },
      /engine\.cert_file and engine\.key_file/,
    ],
    [
      'a user of etcd without password',
      { engine: { ...etcd, user: 'fed' } },
      /engine\.user and engine\.password/,
    ],
    ['a lease too short', { engine: { ...etcd, lease: '100ms' } }, /engine\.lease must be at least 1s/],
    [
      'a misspelt key of the engine',
      { engine: { ...etcd, endpoint: 'x' } },
      /invalid config key 'engine\.endpoint'/,
    ],
    [
      'finding servers through a cloud',
      { retry_join: ['provider=aws'] },
      /retry_join: 'provider=aws': finding servers/,
    ],
    ['a retry too fast', { retry_interval: '10ms' }, /retry_interval must be at least 1s/],
    ['no data_dir', { data_dir: undefined }, /data_dir is missing/],
  ];
  for (const [what, over, message] of refusals)
    test(what, () => {
      let error: unknown;
      try {
        resolve(over);
      } catch (caught) {
        error = caught;
      }
      expect(error).toBeInstanceOf(ConfigError);
      expect((error as ConfigError).problems.join('\n')).toMatch(message);
    });
});

test('config: xDS over TLS has a port, an address and a rule of its own; verify_incoming does not speak of gateways', () => {
  const { config } = resolve({
    verify_incoming: true,
    client_addr: '192.0.2.7',
    ports: { grpc: -1, grpc_tls: 8503 },
    addresses: { grpc_tls: '192.0.2.8' },
  });
  expect([config.grpc, config.grpcTls]).toEqual([
    { host: '192.0.2.7', port: -1 },
    { host: '192.0.2.8', port: 8503, verifyIncoming: false },
  ]);
  expect(resolve({ tls: { grpc: { verify_incoming: true } } }).config.grpcTls.verifyIncoming).toBe(true);
  expect(resolve({ ports: { grpc: -1 } }).warnings.join()).toMatch(/no gateway can be configured/);
  expect(() => resolve({ addresses: { grpc: 'unix:///run/xds.sock' } })).toThrow(
    /addresses\.grpc: a unix socket/,
  );
});

test('config: a secondary without gateways is warned, not refused', () => {
  expect(resolve({ primary_gateways: [] }).warnings.join()).toMatch(/primary_gateways is empty/);
});

test('config: all problems are told at once', () => {
  expect(() => resolve({ node_name: 'a.b', data_dir: undefined })).toThrow(
    /node_name.*data_dir|data_dir.*node_name/,
  );
});

describe('files', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'fed-config-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const file = (name: string, content: string): string => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };

  test('files: later ones win for single values, lists join in order, flags come first', () => {
    const a = file(
      'a.json',
      JSON.stringify({ node_name: 'a', primary_gateways: ['file1:1'], ports: { http: 1 } }),
    );
    const b = file(
      'b.json',
      JSON.stringify({ node_name: 'b', primary_gateways: ['file2:1'], ports: { server: 2 } }),
    );
    const flags: FileConfig = { primary_gateways: ['flag:1'] };
    expect(loadFiles([a, b], flags)).toEqual({
      node_name: 'b',
      primary_gateways: ['flag:1', 'file1:1', 'file2:1'],
      ports: { http: 1, server: 2 },
    });
  });

  test('files: one that is missing or not JSON is named', () => {
    const broken = file('broken.json', '{');
    expect(() => loadFiles([broken])).toThrow(/broken\.json: not JSON/);
    expect(() => loadFiles([join(folder, 'none.json')])).toThrow(/none\.json: cannot be read \(ENOENT\)/);
  });
});
