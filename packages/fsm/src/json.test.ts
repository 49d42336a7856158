/** What the HTTP API shows, letter by letter, against answers of a real server. */
import assert from 'node:assert/strict';
import { decode, Float, goTimeFromRfc3339 } from '@fed/msgpack';
import { describe, test } from 'vitest';
import { vector } from '../test/vector.ts';
import { goDuration, goJson } from './go-json.ts';
import {
  checkJson,
  checkServiceNodeJson,
  federationStateJson,
  nodeJson,
  serviceJson,
  serviceNodeJson,
} from './json.ts';
import { newCheck, newCheckServiceNode, newFederationState, newNode, newService } from './new-row.ts';
import { binaryKeys } from './row-shapes.ts';

// Answers of a Consul 1.9.8 server to /v1/internal/federation-states and …/mesh-gateways.
const recordedGateway =
  '{"Node":{"ID":"417674b8-34b5-29d3-39e4-d3403d5801cf","Node":"srv1","Address":"10.1.0.1","Datacenter":"dc1",' +
  '"TaggedAddresses":{"lan":"10.1.0.1","lan_ipv4":"10.1.0.1","wan":"10.1.0.1","wan_ipv4":"10.1.0.1"},"Meta":{"consul-network-segment":""},"CreateIndex":11,"ModifyIndex":13},' +
  '"Service":{"Kind":"mesh-gateway","ID":"mesh-gateway","Service":"mesh-gateway","Tags":null,"Address":"10.1.0.100",' +
  '"TaggedAddresses":{"lan":{"Address":"10.1.0.100","Port":8443},"lan_ipv4":{"Address":"10.1.0.100","Port":8443},"wan":{"Address":"10.1.0.100","Port":8443},"wan_ipv4":{"Address":"10.1.0.100","Port":8443}},' +
  '"Meta":{"consul-wan-federation":"1"},"Port":8443,"Weights":{"Passing":1,"Warning":1},"EnableTagOverride":false,"Proxy":{"MeshGateway":{},"Expose":{}},"Connect":{},"CreateIndex":15,"ModifyIndex":15},' +
  '"Checks":[{"Node":"srv1","CheckID":"serfHealth","Name":"Serf Health Status","Status":"passing","Notes":"","Output":"Agent alive and reachable","ServiceID":"","ServiceName":"","ServiceTags":null,"Type":"","Definition":{},"CreateIndex":11,"ModifyIndex":11},' +
  '{"Node":"srv1","CheckID":"service:mesh-gateway","Name":"Mesh Gateway Listening","Status":"passing","Notes":"","Output":"TCP connect 10.1.0.100:8443: Success","ServiceID":"mesh-gateway","ServiceName":"mesh-gateway","ServiceTags":null,"Type":"tcp","Definition":{},"CreateIndex":15,"ModifyIndex":17}]}';
const recordedState =
  '{"Datacenter":"dc1","UpdatedAt":"2026-11-23T03:57:35.363738067Z","PrimaryModifyIndex":12,"CreateIndex":12,"ModifyIndex":12}';

describe('recorded answers', () => {
  test('a gateway in a federation state shows nil tags as null', () => {
    const row = newCheckServiceNode(JSON.parse(recordedGateway));
    assert.equal(goJson(checkServiceNodeJson(row)), recordedGateway);
  });

  test('the same gateway in catalog and health shows nil tags as []', () => {
    const row = newCheckServiceNode(JSON.parse(recordedGateway));
    assert.equal(
      goJson(checkServiceNodeJson(row, { emptyLists: true })),
      recordedGateway.replaceAll('Tags":null', 'Tags":[]'),
    );
  });

  test('a federation state without gateways omits them and keeps nanoseconds', () => {
    const state = newFederationState({
      Datacenter: 'dc1',
      MeshGateways: [],
      UpdatedAt: goTimeFromRfc3339('2026-11-23T03:57:35.363738067Z'),
      PrimaryModifyIndex: 12,
      CreateIndex: 12,
      ModifyIndex: 12,
    });
    assert.equal(goJson(federationStateJson(state)), recordedState);
  });

  test('a federation state read off the wire shows its gateways, check definitions with durations as text', () => {
    const state = newFederationState(
      decode(Buffer.from(vector('federation-state-value.json').hex, 'hex'), { binaryKeys }),
    );
    const text = goJson(federationStateJson(state));
    assert.deepEqual(Object.keys(JSON.parse(text)), [
      'Datacenter',
      'MeshGateways',
      'UpdatedAt',
      'PrimaryModifyIndex',
      'CreateIndex',
      'ModifyIndex',
    ]);
    assert.match(
      text,
      /"Definition":\{"Interval":"10s","DeregisterCriticalServiceAfter":"6h0m0s","TCP":"10\.2\.0\.11:8443"\}/,
    );
    assert.match(
      text,
      /"Proxy":\{"Config":\{"envoy_mesh_gateway_no_default_bind":true\},"MeshGateway":\{\},"Expose":\{\}\}/,
    );
    assert.match(text, /"UpdatedAt":"2021-07-15T18:50:08\.123456789Z","PrimaryModifyIndex":57,/);
  });
});

describe('rows', () => {
  test('a plain service omits kind and tagged addresses, and shows nil weights, tags and meta as null', () => {
    assert.equal(
      goJson(serviceJson(newService({ ID: 'web1', Service: 'web', Port: 80 }))),
      '{"ID":"web1","Service":"web","Tags":null,"Address":"","Meta":null,"Port":80,"Weights":null,"EnableTagOverride":false,' +
        '"Proxy":{"MeshGateway":{},"Expose":{}},"Connect":{},"CreateIndex":0,"ModifyIndex":0}',
    );
  });

  test('a sidecar shows its destination, upstreams without ingress hosts, and exposed paths', () => {
    const service = newService({
      ID: 'p',
      Service: 'p',
      Kind: 'connect-proxy',
      Connect: { Native: true, SidecarService: null },
      Proxy: {
        DestinationServiceName: 'web',
        DestinationServiceID: 'web1',
        LocalServiceAddress: '127.0.0.1',
        LocalServicePort: 80,
        Config: { b: new Float(1), a: [2, null], '10': true, '9': 'x' },
        Upstreams: [
          {
            DestinationName: 'db',
            LocalBindPort: 5432,
            IngressHosts: ['hidden'],
            MeshGateway: { Mode: 'local' },
          },
        ],
        MeshGateway: { Mode: 'remote' },
        Expose: {
          Checks: true,
          Paths: [{ ListenerPort: 1, Path: '/h', LocalPathPort: 2, Protocol: 'http' }],
        },
      } as never,
    });
    const text = goJson(serviceJson(service));
    assert.match(
      text,
      /"Proxy":\{"DestinationServiceName":"web","DestinationServiceID":"web1","LocalServiceAddress":"127\.0\.0\.1","LocalServicePort":80,"Config":\{"10":true,"9":"x","a":\[2,null\],"b":1\},"Upstreams":\[\{"DestinationName":"db","Datacenter":"","LocalBindPort":5432,"MeshGateway":\{"Mode":"local"\}\}\],"MeshGateway":\{"Mode":"remote"\},"Expose":\{"Checks":true,"Paths":\[\{"ListenerPort":1,"Path":"\/h","LocalPathPort":2,"Protocol":"http"\}\]\}\},"Connect":\{"Native":true\}/,
    );
  });

  test('a check definition prints durations first and as text, TTL as nanoseconds, empty fields not at all', () => {
    const check = newCheck({
      Definition: {
        HTTP: 'http://x/',
        Header: { B: ['2'], A: ['1', '1b'] },
        Interval: 1_500_000_000,
        Timeout: 250_000_000,
        OutputMaxSize: 4096,
        TTL: 30_000_000_000n,
        ScriptArgs: ['a'],
      },
    });
    assert.match(
      goJson(checkJson(check)),
      /"Definition":\{"Interval":"1\.5s","OutputMaxSize":4096,"Timeout":"250ms","HTTP":"http:\/\/x\/","Header":\{"A":\["1","1b"\],"B":\["2"\]\},"ScriptArgs":\["a"\],"TTL":30000000000\}/,
    );
  });

  test('output that is no UTF-8 shows with replacement characters', () => {
    const check = newCheck({ Output: Uint8Array.of(0x61, 0xff, 0x62) });
    assert.match(goJson(checkJson(check)), /"Output":"a\ufffdb"/);
  });

  test('a catalog service row shows the node first and the service with its prefix', () => {
    const service = newService({ ID: 'web1', Service: 'web' });
    const text = goJson(
      serviceNodeJson({
        ...{
          Address: '10.0.0.1',
          Datacenter: 'dc1',
          ID: 'n-id',
          Node: 'n1',
          NodeMeta: null,
          TaggedAddresses: null,
        },
        ...{
          ServiceAddress: '',
          ServiceConnect: service.Connect,
          ServiceEnableTagOverride: false,
          ServiceID: 'web1',
        },
        ...{
          ServiceKind: '',
          ServiceMeta: { version: '1' },
          ServiceName: 'web',
          ServicePort: 80,
          ServiceTags: null,
        },
        ...{
          ServiceProxy: service.Proxy,
          ServiceTaggedAddresses: null,
          ServiceWeights: { Passing: 1, Warning: 1 },
        },
        ...{ CreateIndex: 10, ModifyIndex: 12 },
      }),
    );
    assert.equal(
      text,
      '{"ID":"n-id","Node":"n1","Address":"10.0.0.1","Datacenter":"dc1","TaggedAddresses":null,"NodeMeta":null,"ServiceKind":"","ServiceID":"web1",' +
        '"ServiceName":"web","ServiceTags":[],"ServiceAddress":"","ServiceWeights":{"Passing":1,"Warning":1},"ServiceMeta":{"version":"1"},"ServicePort":80,' +
        '"ServiceEnableTagOverride":false,"ServiceProxy":{"MeshGateway":{},"Expose":{}},"ServiceConnect":{},"CreateIndex":10,"ModifyIndex":12}',
    );
  });
});

describe('text', () => {
  test('?pretty indents by four spaces and leaves empty brackets closed', () => {
    assert.equal(
      goJson({ a: [1], b: [], c: {}, d: new Map([['k', 'v']]) }, { pretty: true }),
      '{\n    "a": [\n        1\n    ],\n    "b": [],\n    "c": {},\n    "d": {\n        "k": "v"\n    }\n}',
    );
  });

  test('characters that HTML gives a meaning are escaped, as are line separators and control characters', () => {
    assert.equal(
      goJson('<a href="x">&\u2028\n\b\f\u0001'),
      '"\\u003ca href=\\"x\\"\\u003e\\u0026\\u2028\\n\\u0008\\u000c\\u0001"',
    );
    assert.equal(goJson('C:\\\\new\\\\folder'), '"C:\\\\\\\\new\\\\\\\\folder"');
  });

  test('a backslash before b or f is text, not an escape', () => {
    assert.equal(goJson('\\b \\f'), '"\\\\b \\\\f"');
  });

  test('integers of 64 bits are exact', () => {
    assert.equal(goJson({ n: 18446744073709551615n }), '{"n":18446744073709551615}');
  });

  for (const [ns, text] of [
    [0, '0s'],
    [1, '1ns'],
    [1_100, '1.1µs'],
    [2_200_000, '2.2ms'],
    [10_000_000_000, '10s'],
    [90_000_000_000, '1m30s'],
    [21_600_000_000_000, '6h0m0s'],
    [245_100_000_000, '4m5.1s'],
    [-1_500_000_000, '-1.5s'],
    [9_223_372_036_854_775_807n, '2562047h47m16.854775807s'],
  ] as const)
    test(`duration ${ns} ns is ${text}`, () => assert.equal(goDuration(ns), text));
});

test('a node shows its ID first and its indexes last', () => {
  assert.equal(
    goJson(nodeJson(newNode({ Node: 'n', ID: 'i', Meta: {}, Address: '::1', Datacenter: 'd' }))),
    '{"ID":"i","Node":"n","Address":"::1","Datacenter":"d","TaggedAddresses":null,"Meta":{},"CreateIndex":0,"ModifyIndex":0}',
  );
});
