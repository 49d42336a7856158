import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decode, encode, WireError } from './codec.ts';
import { anyToJson, fromJson, type Json, toJson } from './json.ts';

const cluster = 'envoy.config.cluster.v3.Cluster';
const roundTrip = (type: string, json: Json): Json =>
  toJson(type, decode(type, encode(type, fromJson(type, json))));

describe('canonical JSON', () => {
  test.each([
    ['durations', cluster, { connectTimeout: '5s', dnsRefreshRate: '0.250s' }],
    ['a negative duration', cluster, { connectTimeout: '-1.500s' }],
    ['nanoseconds', cluster, { connectTimeout: '0.000000001s' }],
    [
      'wrappers are bare values, zero included',
      cluster,
      { outlierDetection: { maxEjectionPercent: 0, consecutive5xx: 7 } },
    ],
    ['enums are names', cluster, { lbPolicy: 'MAGLEV', dnsLookupFamily: 'V4_ONLY' }],
    ['a chosen oneof member at its default is kept', cluster, { type: 'STATIC' }],
    ['an empty message is kept', cluster, { outlierDetection: {} }],
    ['doubles', cluster, { commonLbConfig: { healthyPanicThreshold: { value: 1.5 } } }],
    [
      '64-bit integers are text',
      'envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit',
      { maxConnections: '9007199254740991' },
    ],
    [
      'Struct is plain JSON',
      'envoy.config.core.v3.Node',
      {
        metadata: { text: 'a', number: 1.5, yes: true, nothing: null, list: [1, ['b']], inner: { deep: {} } },
      },
    ],
    [
      'Any of a message',
      'envoy.config.listener.v3.Filter',
      {
        name: 'f',
        typedConfig: {
          '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
          cluster: '',
        },
      },
    ],
    [
      'Any of a type with JSON of its own',
      'envoy.config.listener.v3.Filter',
      { typedConfig: { '@type': 'type.googleapis.com/google.protobuf.Duration', value: '1s' } },
    ],
    [
      'maps',
      'envoy.service.discovery.v3.DeltaDiscoveryRequest',
      { initialResourceVersions: { b: '2', a: '1' } },
    ],
  ])('%s', (_what, type, json) => expect(roundTrip(type, json as Json)).toEqual(json));

  test('what equals its default is not on the wire, and a set empty oneof member is', () => {
    const bytes = encode(cluster, fromJson(cluster, { name: '', lbPolicy: 'ROUND_ROBIN', type: 'STATIC' }));
    expect(Buffer.from(bytes).toString('hex')).toBe('1000');
  });

  test('map entries are written in the order of their keys, whatever order they came in', () => {
    const type = 'envoy.service.discovery.v3.DeltaDiscoveryRequest';
    const one = encode(type, { initialResourceVersions: { b: '2', a: '1' } });
    const two = encode(type, { initialResourceVersions: { a: '1', b: '2' } });
    expect(one).toEqual(two);
  });

  test.each([
    ['an unknown field', { bogus: 1 }, 'unknown_field'],
    ['text for a number', { outlierDetection: { maxEjectionPercent: 'many' } }, 'wrong_type'],
    ['a fraction for an integer', { outlierDetection: { maxEjectionPercent: 1.5 } }, 'wrong_type'],
    ['a duration without unit', { connectTimeout: '5' }, 'wrong_type'],
    ['an unknown enum name', { type: 'MAGIC' }, 'wrong_type'],
    ['a list for an object', { outlierDetection: [] }, 'wrong_type'],
    ['an Any without a type', { transportSocket: { typedConfig: {} } }, 'wrong_type'],
    ['an Any of an unknown type', { transportSocket: { typedConfig: { '@type': 'a/b.C' } } }, 'unknown_type'],
  ])('%s is refused', (_what, json, code) => {
    expect(() => fromJson(cluster, json as Json)).toThrow(expect.objectContaining({ code }));
  });

  test('an Any of a type outside the bundle keeps its bytes', () => {
    expect(anyToJson('type.googleapis.com/x.Y', Uint8Array.of(1, 2))).toEqual({
      '@type': 'type.googleapis.com/x.Y',
      value: 'AQI=',
    });
  });
});

test('bytes of strangers: a message, or a WireError, and nothing else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        toJson(
          'envoy.service.discovery.v3.DeltaDiscoveryResponse',
          decode('envoy.service.discovery.v3.DeltaDiscoveryResponse', bytes),
        );
      } catch (error) {
        expect(error).toBeInstanceOf(WireError);
      }
    }),
    { numRuns: 500 },
  );
});

test('a Struct that nests without end is refused, not followed', () => {
  let inner: Json = {};
  for (let i = 0; i < 200; i++) inner = { a: inner };
  expect(() => fromJson('google.protobuf.Struct', inner)).toThrow(WireError);
});
