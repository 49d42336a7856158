import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { alpn, alpnPreference, isAlpn } from './alpn.ts';
import { datacenterSni, parseServerSni, querySni, serverSni, serviceSni } from './sni.ts';
import { splitWanName, wanName } from './wan-name.ts';

interface Names {
  trustDomain: string;
  servers: { dc: string; node: string; domain: string; sni: string }[];
  datacenters: { dc: string; partition: string; sni: string }[];
  services: {
    service?: string;
    query?: string;
    subset?: string;
    namespace?: string;
    partition?: string;
    dc: string;
    sni: string;
  }[];
}
const file = new URL('../test/vectors/sni-names.json', import.meta.url);
const names = JSON.parse(readFileSync(file, 'utf8')) as Names;
const { trustDomain } = names;

describe('SNI of servers', () => {
  for (const { dc, node, domain, sni } of names.servers) {
    test(`node "${node}" of ${dc} in "${domain}" is ${sni}`, () => {
      expect(serverSni({ node, datacenter: dc, domain })).toBe(sni);
    });
  }

  test('a name reads back as what it was made of', () => {
    const label = fc.stringMatching(/^[a-zA-Z0-9-]{1,20}$/);
    fc.assert(
      fc.property(fc.option(label, { nil: undefined }), label, (node, datacenter) => {
        const o = node === undefined ? { datacenter } : { node, datacenter };
        expect(parseServerSni(serverSni({ ...o, domain: 'consul' }), 'consul.')).toEqual(o);
      }),
    );
  });

  test('a certificate wildcard reads as any server', () => {
    expect(parseServerSni('*.server.dc1.consul', 'consul')).toEqual({ datacenter: 'dc1' });
  });

  test('fixed parts are matched whatever their letter case', () => {
    expect(parseServerSni('N1.Server.DC1.Consul', 'consul')).toEqual({ node: 'N1', datacenter: 'DC1' });
  });

  test.each([
    'dc1.consul',
    'server.consul',
    'xserver.dc1.consul',
    'n1.client.dc1.consul',
    'server.dc1.consul.',
    '',
  ])('"%s" is no server of the domain', (sni) => expect(parseServerSni(sni, 'consul')).toBeUndefined());

  test('an empty datacenter or a name over 255 bytes is refused, not emitted', () => {
    expect(() => serverSni({ datacenter: '', domain: 'consul' })).toThrow(
      expect.objectContaining({ code: 'sni_empty_label' }),
    );
    expect(() => serverSni({ node: 'n'.repeat(240), datacenter: 'dc1', domain: 'consul' })).toThrow(
      expect.objectContaining({ code: 'sni_too_long' }),
    );
  });
});

describe('SNI of services', () => {
  for (const { dc, partition, sni } of names.datacenters) {
    test(`all services of ${dc}, partition "${partition}": ${sni}`, () => {
      expect(datacenterSni({ datacenter: dc, partition, trustDomain })).toBe(sni);
    });
  }
  for (const { service, query, dc: datacenter, sni, ...rest } of names.services) {
    test(`${query ? `query ${query}` : `service ${service}`}: ${sni}`, () => {
      expect(
        query === undefined
          ? serviceSni({ service: service as string, datacenter, trustDomain, ...rest })
          : querySni({ query, datacenter, trustDomain }),
      ).toBe(sni);
    });
  }
});

describe('ALPN', () => {
  test('the names are those of the wire', () => {
    expect(alpnPreference).toEqual([
      'consul/rpc-single',
      'consul/raft',
      'consul/rpc-multi',
      'consul/rpc-snapshot',
      'consul/rpc-gossip',
      'consul/rpc-grpc',
      'consul/wan-gossip/packet',
      'consul/wan-gossip/stream',
    ]);
    expect(new Set(alpnPreference)).toEqual(new Set(Object.values(alpn)));
  });
  test('anything else is none of ours', () => {
    expect([isAlpn('consul/rpc-multi'), isAlpn('h2'), isAlpn(''), isAlpn(false)]).toEqual([
      true,
      false,
      false,
      false,
    ]);
  });
});

describe('WAN name', () => {
  test('node and datacenter are joined by the only dot', () => {
    expect(wanName('n1', 'dc1')).toBe('n1.dc1');
    expect(splitWanName('n1.dc1')).toEqual({ node: 'n1', datacenter: 'dc1' });
  });
  test.each(['n1', 'a.b.dc1', '.dc1', 'n1.', '', '.'])('"%s" is not split', (name) =>
    expect(splitWanName(name)).toBeUndefined(),
  );
  test('a name that could not be split again is not made', () => {
    expect(() => wanName('a.b', 'dc1')).toThrow(RangeError);
    expect(() => wanName('', 'dc1')).toThrow(RangeError);
    expect(() => wanName('n1', 'd.c')).toThrow(RangeError);
  });
});
