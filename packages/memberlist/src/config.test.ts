import { expect, test } from 'vitest';
import { allowedNetworks } from './allowed-networks.ts';
import { checkConfig, lan, local, wan } from './config.ts';

test('config: the profiles are sound', () => {
  for (const profile of [lan, wan, local]) expect(checkConfig(profile)).toBe(profile);
});

test.each([
  ['protocolVersion', 0],
  ['protocolVersion', 6],
  ['probeIntervalMs', -1],
  ['probeTimeoutMs', Number.NaN],
  ['tcpTimeoutMs', Number.POSITIVE_INFINITY],
  ['indirectChecks', 1.5],
  ['retransmitMult', 0],
  ['suspicionMult', 0],
  ['awarenessMaxMultiplier', 0],
  ['handoffQueueDepth', 0],
  ['udpBufferBytes', 100],
  ['udpBufferBytes', 65_508],
] as const)('config: %s %d is refused, by name', (field, value) => {
  expect(() => checkConfig({ ...lan, [field]: value })).toThrow(
    expect.objectContaining({ code: 'bad_config', message: expect.stringContaining(field) as string }),
  );
});

test.each([1, 2, 4, 5])('config: protocol version %d is understood', (protocolVersion) => {
  expect(() => checkConfig({ ...lan, protocolVersion })).not.toThrow();
});

test('cidrsAllowed: exactly the addresses of the networks listed', () => {
  const v4 = allowedNetworks(['10.0.0.0/8', '192.0.2.1/32']);
  expect(['10.255.0.1', '192.0.2.1', '192.0.2.2', '11.0.0.1', '::1', 'no address'].map(v4)).toEqual([
    true,
    true,
    false,
    false,
    false,
    false,
  ]);
  const both = allowedNetworks(['127.0.0.0/8', '2001:db8::/32']);
  expect(['127.0.0.1', '2001:db8::7', '2001:db9::7'].map(both)).toEqual([true, true, false]);
  expect(['127.0.0.1', '::1'].map(allowedNetworks([]))).toEqual([false, false]);
});

test.each(['10.0.0.0', '10.0.0.0/33', 'x/8', '10.0.0.0/8/9', '::/129'])(
  'cidrsAllowed: %s is no network',
  (cidr) => {
    expect(() => allowedNetworks([cidr])).toThrow(expect.objectContaining({ code: 'bad_config' }));
  },
);
