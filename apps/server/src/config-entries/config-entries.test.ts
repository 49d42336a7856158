/** What users write as config entries: how it is read, what is filled in, and what is refused with which words. */
import { configEntryJson, goJson } from '@fed/fsm';
import { Float } from '@fed/msgpack';
import { describe, expect, test } from 'vitest';
import { decodeConfigEntry } from './decode.ts';
import { ConfigEntryError } from './errors.ts';
import { checkedConfigEntry } from './rules.ts';

const checked = (body: unknown) => checkedConfigEntry(decodeConfigEntry(body));
const said = (body: unknown) => checked(body).value;
const resolver = (rest: object) => ({ Kind: 'service-resolver', Name: 'web', ...rest });
const intentions = (...Sources: readonly object[]) => ({ Kind: 'service-intentions', Name: 'web', Sources });
const permission = (HTTP: object | null) => ({ Name: 'api', Permissions: [{ Action: 'allow', HTTP }] });

function refusal(body: unknown): string {
  try {
    checked(body);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigEntryError);
    return (error as Error).message;
  }
  throw new Error('was not refused');
}

describe('reading', () => {
  test('keys are taken in any case and with underscores; names a user chose are left alone', () => {
    const value = said({
      kind: 'service-resolver',
      name: 'web',
      default_subset: 'v1',
      ConnectTimeout: '1.5s',
      subsets: { v1: { filter: 'Service.Meta.the_version == v1', only_passing: true } },
    });
    expect(value).toMatchObject({
      Kind: 'service-resolver',
      Name: 'web',
      ConnectTimeout: 1_500_000_000,
      Subsets: { v1: { Filter: 'Service.Meta.the_version == v1', OnlyPassing: true } },
    });
  });

  test('the row is complete, and its keys stand as Go writes them', () => {
    const value = said({ Kind: 'service-defaults', Name: 'web', Protocol: 'HTTP' });
    expect(Object.keys(value)).toEqual([
      'CreateIndex',
      'Expose',
      'ExternalSNI',
      'Kind',
      'MeshGateway',
      'Meta',
      'Mode',
      'ModifyIndex',
      'Name',
      'Protocol',
      'TransparentProxy',
      'UpstreamConfig',
    ]);
    expect(value).toMatchObject({ Protocol: 'http', Expose: { Checks: false, Paths: null }, Meta: null });
  });

  test('what stands under Config is not looked into, and a number there is a float as in Go', () => {
    const Config = { local_connect_timeout_ms: 1000, handlers: [{ Any: true }], ratio: 0.5 };
    expect(said({ Kind: 'proxy-defaults', Name: 'global', Config })['Config']).toEqual({
      local_connect_timeout_ms: new Float(1000),
      handlers: [{ Any: true }],
      ratio: 0.5,
    });
  });

  test('one block stands for a list of one, and a text for a number', () => {
    const value = said({
      Kind: 'service-defaults',
      Name: 'web',
      Expose: [{ Paths: { Path: '/x', ListenerPort: '8080' } }],
    });
    expect(value['Expose']).toMatchObject({ Paths: [{ Path: '/x', ListenerPort: 8080 }] });
  });

  test('what the API shows can be written again, and says the same', () => {
    const once = checked(
      resolver({ ConnectTimeout: '5s', Subsets: { v1: { Filter: '' } }, LoadBalancer: { Policy: 'random' } }),
    );
    const shown = goJson(configEntryJson(once));
    expect(goJson(configEntryJson(checked(JSON.parse(shown))))).toBe(shown);
  });

  test('the mesh entry has its name by itself', () => {
    const entry = checked({ Kind: 'mesh', TransparentProxy: { MeshDestinationsOnly: true } });
    expect(entry).toMatchObject({ kind: 'mesh', name: 'mesh' });
    expect(goJson(configEntryJson(entry))).toBe(
      '{"Kind":"mesh","TransparentProxy":{"MeshDestinationsOnly":true},"CreateIndex":0,"ModifyIndex":0}',
    );
  });

  test.each<[string, unknown, RegExp]>([
    ['no map', [1], /the body is not a map/],
    ['no kind', { Name: 'web' }, /does not contain a kind\/Kind key/],
    ['a kind that is a number', { Kind: 3 }, /Kind value in payload is not a string/],
    [
      'a kind nobody knows',
      { Kind: 'service-resolvr' },
      /invalid config entry kind: service-resolvr \(what can be/,
    ],
    ['a kind an object inherits', { Kind: 'constructor' }, /invalid config entry kind: constructor/],
    ['a misspelt key', resolver({ Subsetz: {} }), /invalid config key "Subsetz"; known there are .*Subsets/],
    [
      'a misspelt key further below',
      resolver({ Subsets: { v1: { Filtr: '' } } }),
      /invalid config key "Subsets\[v1\]\.Filtr"; known there are Filter, OnlyPassing/,
    ],
    ['a namespace', resolver({ Namespace: 'team' }), /"Namespace": there are no namespaces here/],
    [
      'a duration that is none',
      resolver({ ConnectTimeout: 'soon' }),
      /'ConnectTimeout' must be a duration .* not "soon"/,
    ],
    ['text where a map should be', resolver({ Redirect: 'other' }), /'Redirect' is not a map/],
    [
      'a fraction for a port',
      { Kind: 'service-defaults', Name: 'w', TransparentProxy: { OutboundListenerPort: 1.5 } },
      /'TransparentProxy.OutboundListenerPort' must be an integer, not 1.5/,
    ],
    [
      'a word for a truth',
      resolver({ Subsets: { v1: { OnlyPassing: 'maybe' } } }),
      /must be true or false, not "maybe"/,
    ],
    ['a chasm', { Kind: 'proxy-defaults', Config: nested(40) }, /nests deeper than 32 levels/],
  ])('%s is refused by name', (_what, body, words) => {
    expect(refusal(body)).toMatch(words);
  });
});

describe('rules of a resolver', () => {
  const subsets = { Subsets: { v1: { Filter: 'Service.Meta.version == v1' } } };
  test.each<[string, object, RegExp]>([
    [
      'a default that is no subset',
      { ...subsets, DefaultSubset: 'v2' },
      /DefaultSubset "v2" is not a valid subset; Subsets has v1/,
    ],
    ['a name that is no DNS label', { Subsets: { V1: {} } }, /Subset "V1" is invalid: must be 63 characters/],
    [
      'a filter that is none',
      { Subsets: { v1: { Filter: 'a ==' } } },
      /Filter for subset "v1" is not a valid expression/,
    ],
    [
      'a filter by what is not there',
      { Subsets: { v1: { Filter: 'Service.Mta.v == 1' } } },
      /"Service.Mta" is not valid/,
    ],
    [
      'redirect and failover',
      { Redirect: { Service: 'x' }, Failover: { '*': { Service: 'y' } } },
      /cannot both be set/,
    ],
    ['an empty redirect', { Redirect: {} }, /Redirect is empty/],
    ['a subset of nobody', { Redirect: { ServiceSubset: 'v1' } }, /defined without Redirect.Service/],
    [
      'a subset of its own that is not there',
      { Redirect: { Service: 'web', ServiceSubset: 'v1' } },
      /not a valid subset of "web"/,
    ],
    [
      'a failover of no subset',
      { Failover: { v9: { Service: 'x' } } },
      /Bad Failover\["v9"\]: not a valid subset/,
    ],
    ['a failover to nothing', { Failover: { '*': {} } }, /one of Service, ServiceSubset/],
    [
      'a failover to a nameless datacenter',
      { Failover: { '*': { Datacenters: [''] } } },
      /found empty datacenter/,
    ],
    ['time that runs backwards', { ConnectTimeout: '-1s' }, /must be >= 0/],
    [
      'a policy nobody knows',
      { LoadBalancer: { Policy: 'best' } },
      /"best" is not supported; choose one of random, /,
    ],
    [
      'hashes where nothing hashes',
      { LoadBalancer: { Policy: 'random', HashPolicies: [{ SourceIP: true }] } },
      /non-hash-based Policy/,
    ],
    [
      'rings where there are none',
      { LoadBalancer: { RingHashConfig: {} } },
      /RingHashConfig specified for incompatible/,
    ],
    [
      'a hash of two things',
      { LoadBalancer: { Policy: 'maglev', HashPolicies: [{ SourceIP: true, Field: 'header' }] } },
      /cannot hash both/,
    ],
  ])('%s is refused', (_what, rest, words) => {
    expect(refusal(resolver(rest))).toMatch(words);
  });

  test('a whole one is taken', () => {
    const Failover = { v1: { Datacenters: ['dc2'] }, '*': { Service: 'other' } };
    expect(said(resolver({ ...subsets, DefaultSubset: 'v1', Failover }))['Failover']).toMatchObject({
      v1: { Datacenters: ['dc2'], Service: '' },
    });
  });
});

describe('rules of intentions', () => {
  test('sources come in the order in which they count, exact before wildcard', () => {
    const sources = said(intentions({ Name: '*', Action: 'deny' }, { Name: 'api', Action: 'allow' }))[
      'Sources'
    ];
    expect(sources).toMatchObject([
      { Name: 'api', Precedence: 9, Type: 'consul' },
      { Name: '*', Precedence: 8 },
    ]);
    const toAll = { ...intentions({ Name: 'api', Action: 'allow' }), Name: '*' };
    expect(said(toAll)['Sources']).toMatchObject([{ Precedence: 6 }]);
  });

  test.each<[string, object, RegExp]>([
    ['nobody', intentions(), /At least one source is required/],
    ['a nameless one', intentions({ Action: 'allow' }), /Sources\[0\].Name is required/],
    ['half a wildcard', intentions({ Name: 'a*', Action: 'allow' }), /cannot be used with partial values/],
    [
      'one twice',
      intentions({ Name: 'a', Action: 'allow' }, { Name: 'a', Action: 'deny' }),
      /defines "a" more than once/,
    ],
    ['no action', intentions({ Name: 'a' }), /Sources\[0\].Action must be set to 'allow' or 'deny'/],
    [
      'action and permissions',
      intentions({ ...permission({ Methods: ['GET'] }), Action: 'allow' }),
      /must be omitted if Permissions/,
    ],
    ['a permission of nothing', intentions(permission(null)), /HTTP is required/],
    ['an empty permission', intentions(permission({})), /should not be empty/],
    ['two paths', intentions(permission({ PathExact: '/a', PathPrefix: '/b' })), /at most one of PathExact/],
    ['a path that is none', intentions(permission({ PathExact: 'a' })), /PathExact doesn't start with/],
    ['a method that is none', intentions(permission({ Methods: ['FETCH'] })), /invalid method "FETCH"/],
    [
      'a header without a question',
      intentions(permission({ Header: [{ Name: 'x' }] })),
      /should only contain one of Present/,
    ],
  ])('%s is refused', (_what, body, words) => {
    expect(refusal(body)).toMatch(words);
  });

  test('methods are written large', () => {
    const [source] = said(intentions(permission({ Methods: ['get'] })))['Sources'] as readonly object[];
    expect(source).toMatchObject({ Permissions: [{ HTTP: { Methods: ['GET'] } }] });
  });
});

describe('other rules', () => {
  test.each<[string, object, RegExp]>([
    ['a wildcard service', { Kind: 'service-defaults', Name: '*' }, /proxy-defaults holds for all/],
    [
      'a name without end',
      { Kind: 'service-defaults', Name: 'x'.repeat(256) },
      /Name is too long \(limit: 255/,
    ],
    [
      'meta without end',
      { Kind: 'service-defaults', Name: 'w', Meta: { a: 'x'.repeat(513) } },
      /Meta value for key "a" exceeds/,
    ],
    [
      'an override of all',
      { Kind: 'service-defaults', Name: 'w', UpstreamConfig: { Overrides: [{ Name: '*' }] } },
      /Overrides\[0\].Name must be the name of a service/,
    ],
    [
      'defaults of one',
      { Kind: 'service-defaults', Name: 'w', UpstreamConfig: { Defaults: { Name: 'x' } } },
      /Defaults.Name must be empty/,
    ],
  ])('%s is refused', (_what, body, words) => {
    expect(refusal(body)).toMatch(words);
  });
});

function nested(depth: number): object {
  return depth === 0 ? {} : { a: nested(depth - 1) };
}
