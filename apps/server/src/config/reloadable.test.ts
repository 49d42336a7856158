import { expect, test } from 'vitest';
import { resolveConfig } from './config.ts';
import { parseDocument } from './load.ts';
import { changesBetween } from './reloadable.ts';

const base = {
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

function configOf(over: Record<string, unknown>) {
  const parsed = parseDocument('f.json', { ...base, ...over }, []);
  if (parsed === undefined) throw new Error(`not accepted: ${JSON.stringify(over)}`);
  return resolveConfig(parsed).config;
}

const changes = (over: Record<string, unknown>) => changesBetween(configOf({}), configOf(over));

test.each([
  [{ log_level: 'debug' }, 'log_level'],
  [{ limits: { rpc_max_conns_per_client: 7 } }, 'limits.rpc_max_conns_per_client'],
  [{ limits: { rpc_handshake_timeout: '7s' } }, 'limits.rpc_handshake_timeout'],
  [{ limits: { rpc_failed_conns_rate: -1 } }, 'limits.rpc_failed_conns_rate, limits.rpc_failed_conns_burst'],
  [{ verify_outgoing: true }, 'verify_outgoing'],
  [{ verify_incoming: true }, 'verify_incoming'],
  [{ verify_server_datacenter: false }, 'verify_server_datacenter'],
  [{ ca_file: 'ca-2.pem' }, 'ca_file'],
  [{ primary_gateways: ['192.0.2.2:8443'] }, 'primary_gateways'],
  [{ acl: { default_policy: 'deny' } }, 'acl.default_policy'],
  [{ acl: { tokens: { agent: 'a', replication: 'r' } } }, 'acl.tokens.replication'],
])('reload: %j is taken over', (over, key) => {
  const { config, taken, waiting } = changes(over);
  expect(taken).toContain(key);
  expect(waiting).toEqual([]);
  expect(config).toEqual(configOf(over));
});

test.each([
  [{ node_name: 'other' }, 'node_name'],
  [{ ports: { server: 1 } }, 'ports.server'],
  [{ ports: { grpc: 1 } }, 'ports.grpc, addresses.grpc'],
  [{ node_meta: { a: 'b' } }, 'node_meta'],
  [{ acl: { enabled: true } }, 'acl.enabled'],
  [{ encrypt: 'pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s=' }, 'encrypt'],
  [{ gossip_wan: { probe_interval: '9s' } }, 'gossip_wan'],
])('reload: %j waits for a restart', (over, key) => {
  const { config, taken, waiting } = changes(over);
  expect(taken).toEqual([]);
  expect(waiting).toEqual([key]);
  expect(config).toEqual(configOf({}));
});

test('reload: of one file what can be is taken over, and the rest keeps its running value', () => {
  const { config, taken, waiting } = changes({ log_level: 'warn', node_meta: { a: 'b' }, domain: 'example' });
  expect([taken, waiting]).toEqual([['log_level'], ['domain', 'node_meta']]);
  expect(config).toEqual(configOf({ log_level: 'warn' }));
});

test('reload: a default that is written down is no change', () => {
  const { taken, waiting } = changes({ log_level: 'info', ports: { server: 8300 }, gossip_lan: {} });
  expect([taken, waiting]).toEqual([[], []]);
});
