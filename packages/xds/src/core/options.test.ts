import { expect, test } from 'vitest';
import { parseOptions } from './options.ts';

test('nothing configured: the defaults', () => {
  expect(parseOptions(undefined)).toEqual({
    options: {
      noDefaultBind: false,
      bindTaggedAddresses: false,
      bindAddresses: new Map(),
      proxyProtocol: false,
      connectTimeoutMs: 5_000,
      dnsDiscovery: 'LOGICAL_DNS',
      keepaliveTimeSec: 0,
      keepaliveIntervalSec: 0,
      keepaliveProbes: 0,
    },
    notices: [],
  });
});

test.each([
  [true, true],
  ['true', true],
  ['1', true],
  [1, true],
  [1n, true],
  [new TextEncoder().encode('true'), true],
  ['', false],
  [0, false],
  ['f', false],
])('a switch: %s is %s', (value, on) => {
  expect(parseOptions({ envoy_gateway_no_default_bind: value }).options.noDefaultBind).toBe(on);
});

test.each([
  ['7000', 7_000],
  [7_000, 7_000],
  [7_000n, 7_000],
  [{ value: 7_000 }, 7_000],
  [0, 5_000],
  [-1, 5_000],
])('connect_timeout_ms: %s is %i', (value, ms) => {
  const { options, notices } = parseOptions({ connect_timeout_ms: value });
  expect([options.connectTimeoutMs, notices]).toEqual([ms, []]);
});

test('a value that cannot be read: a notice that names the key, and the default', () => {
  const { options, notices } = parseOptions({
    connect_timeout_ms: 'soon',
    envoy_gateway_bind_addresses: 'all',
  });
  expect(options.connectTimeoutMs).toBe(5_000);
  expect(options.bindAddresses.size).toBe(0);
  expect(notices.map((n) => n.code)).toEqual(['bad_option', 'bad_option']);
  expect(notices.map((n) => n.text).join()).toMatch(
    /connect_timeout_ms.*envoy_gateway_bind_addresses|envoy_gateway_bind_addresses.*connect_timeout_ms/,
  );
});

test('keys of bind addresses in any case; older spellings of every key', () => {
  const { options } = parseOptions({
    envoy_mesh_gateway_bind_addresses: { pub: { Address: '0.0.0.0', Port: '8443' } },
    envoy_dns_discovery_type: 'STRICT_DNS',
    xds_fetch_timeout_ms: 0,
  });
  expect(options.bindAddresses.get('pub')).toEqual({ host: '0.0.0.0', port: 8443 });
  expect(options).toMatchObject({ dnsDiscovery: 'STRICT_DNS', fetchTimeoutMs: 0 });
});
