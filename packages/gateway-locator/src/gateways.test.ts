import { describe, expect, test } from 'vitest';
import { gateway } from '../test/rows.ts';
import { renderHostPort } from './address.ts';
import { gatewayList, lanAddress, wanAddress } from './gateways.ts';

describe('gateways: healthy and willing', () => {
  const table: readonly (readonly [string, Parameters<typeof gateway>[0], boolean])[] = [
    ['meta "1"', {}, true],
    ['no meta', { meta: null }, false],
    ['meta "true"', { meta: 'true' }, false],
    ['meta "01"', { meta: '01' }, false],
    ['meta ""', { meta: '' }, false],
    ['no checks', { checks: [] }, true],
    ['a warning', { checks: ['passing', 'warning'] }, true],
    ['a critical check', { checks: ['passing', 'critical'] }, false],
    ['only a critical node check', { checks: ['critical'] }, false],
  ];
  for (const [what, sketch, kept] of table) {
    test(`gateways: with ${what} it is ${kept ? 'kept' : 'left out'}`, () => {
      expect(gatewayList([gateway(sketch)], lanAddress).addresses).toHaveLength(kept ? 1 : 0);
    });
  }

  test('gateways: what was left out is counted, by reason', () => {
    const rows = [
      gateway({ meta: null }),
      gateway({ checks: ['critical'] }),
      gateway({ port: 0 }),
      gateway({ node: 'not a host' }),
      gateway(),
    ];
    expect(gatewayList(rows, lanAddress)).toMatchObject({
      rows: 5,
      unwilling: 1,
      critical: 1,
      unaddressed: 2,
    });
    expect(gatewayList(null, lanAddress).rows).toBe(0);
  });

  test('gateways: the list is sorted, each address once', () => {
    const rows = ['10.1.0.12', '10.1.0.11', '10.1.0.12'].map((address) => gateway({ address }));
    expect(gatewayList(rows, lanAddress).addresses.map(renderHostPort)).toEqual([
      '10.1.0.11:8443',
      '10.1.0.12:8443',
    ]);
  });
});

describe('gateways: where to dial', () => {
  const wan = { Address: '203.0.113.9', Port: 443 };
  const table: readonly (readonly [string, Parameters<typeof gateway>[0], string, string])[] = [
    ['node only', {}, '10.1.0.9:8443', '10.1.0.9:8443'],
    ['service address', { address: '10.1.0.100' }, '10.1.0.100:8443', '10.1.0.100:8443'],
    ['wan address', { address: '10.1.0.100', wan }, '10.1.0.100:8443', '203.0.113.9:443'],
    ['wan address without port', { wan: { ...wan, Port: 0 } }, '10.1.0.9:8443', '203.0.113.9:8443'],
    [
      'service before node wan',
      { address: '10.1.0.100', nodeWan: '203.0.113.1' },
      '10.1.0.100:8443',
      '10.1.0.100:8443',
    ],
    ['node wan', { nodeWan: '203.0.113.1' }, '10.1.0.9:8443', '203.0.113.1:8443'],
    ['a name', { address: 'gw.example.com' }, 'gw.example.com:8443', 'gw.example.com:8443'],
  ];
  for (const [what, sketch, lan, abroad] of table) {
    test(`gateways: ${what}: at home ${lan}, from abroad ${abroad}`, () => {
      const row = gateway(sketch);
      expect(renderHostPort(lanAddress(row)!)).toBe(lan);
      expect(renderHostPort(wanAddress(row)!)).toBe(abroad);
    });
  }
});
