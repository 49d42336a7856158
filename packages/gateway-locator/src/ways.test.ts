import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseGatewayAddress, renderHostPort } from './address.ts';
import { type Knowledge, waysTo } from './ways.ts';

const nothing: Sketch = { local: [], record: [], told: [], fallbacks: [] };
const data: Sketch = { local: ['l1', 'l2'], record: ['p1'], told: [], fallbacks: ['f1', 'p1'] };

// {primary, secondary} x {no data, only fallback, data}; leader or follower makes no difference any more (I6)
const table: readonly (readonly [string, string, Sketch, string])[] = [
  ['dc1', 'dc1', nothing, ''],
  ['dc1', 'dc2', nothing, ''],
  ['dc1', 'dc1', data, 'l1/0 l2/0'],
  ['dc1', 'dc2', data, 'l1/0 l2/0'],
  ['dc2', 'dc1', nothing, ''],
  ['dc2', 'dc3', nothing, ''],
  ['dc2', 'dc1', { ...nothing, fallbacks: ['f1'] }, 'f1/0'],
  ['dc2', 'dc3', { ...nothing, fallbacks: ['f1'] }, ''],
  ['dc2', 'dc1', { ...nothing, record: ['p1'] }, 'p1/0'],
  ['dc2', 'dc1', { ...nothing, record: ['p1'], fallbacks: ['f1'] }, 'p1/0 f1/0'],
  ['dc2', 'dc3', { ...nothing, record: ['p1'], fallbacks: ['f1'] }, ''],
  ['dc2', 'dc1', data, 'l1/0 l2/0 p1/1 f1/1'],
  ['dc2', 'dc1', { ...data, localBroken: true }, 'p1/0 f1/0 l1/1 l2/1'],
  ['dc2', 'dc1', { ...data, told: ['p9', 'p1'] }, 'l1/0 l2/0 p1/1 p9/1 f1/1'],
  ['dc2', 'dc1', { ...nothing, told: ['p9'] }, 'p9/0'],
  ['dc2', 'dc3', { ...nothing, told: ['p9'] }, ''],
  ['dc1', 'dc2', { ...nothing, told: ['p9'] }, ''],
  ['dc2', 'dc3', data, 'l1/0 l2/0'],
  ['dc2', 'dc1', { ...nothing, history: ['h1'] }, 'h1/0'],
  ['dc2', 'dc1', { ...data, history: ['h1', 'p1'] }, 'l1/0 l2/0 p1/1 f1/1 h1/2'],
  ['dc2', 'dc1', { ...data, history: ['h1'], localBroken: true }, 'p1/0 f1/0 l1/1 l2/1 h1/2'],
  ['dc2', 'dc3', { ...nothing, history: ['h1'] }, ''],
  ['dc2', 'dc3', { ...data, localBroken: true }, 'l1/0 l2/0'],
];

describe('ways', () => {
  for (const [here, to, known, expected] of table) {
    test(`ways: from ${here} to ${to}, knowing ${JSON.stringify(known)}: ${expected || 'none'}`, () => {
      const ways = waysTo(to, knowledge(here, known));
      const tiers = [...new Set(ways.map((way) => way.tier))];
      const shown = ways.map((way) => `${way.gateway.host}/${tiers.indexOf(way.tier)}`);
      expect(shown.join(' ')).toBe(expected);
    });
  }

  test('ways: an address known from several sources is one way that names them all', () => {
    const ways = waysTo(
      'dc1',
      knowledge('dc2', { local: ['x'], record: ['x', 'p'], told: [], fallbacks: ['x', 'p'] }),
    );
    expect(ways.map((way) => way.sources)).toEqual([
      ['local_catalog', 'primary_record', 'fallback'],
      ['primary_record', 'fallback'],
    ]);
  });

  test('ways: whatever is known, no address twice, and none that nobody named', () => {
    const hosts = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 4 });
    fc.assert(
      fc.property(hosts, hosts, hosts, hosts, fc.boolean(), (local, record, told, fallbacks, localBroken) => {
        const ways = waysTo('dc1', knowledge('dc2', { local, record, told, fallbacks, localBroken }));
        const found = ways.map((way) => way.gateway.host).sort();
        expect(found).toEqual([...new Set([...local, ...record, ...told, ...fallbacks])].sort());
        expect(ways.map((way) => renderHostPort(way.gateway)).length).toBe(new Set(found).size);
      }),
    );
  });
});

// ---- fixtures ----

interface Sketch {
  readonly local: readonly string[];
  readonly record: readonly string[];
  readonly told: readonly string[];
  readonly fallbacks: readonly string[];
  readonly history?: readonly string[];
  readonly localBroken?: boolean;
}

function knowledge(here: string, s: Sketch): Knowledge {
  const addresses = (hosts: readonly string[]) => hosts.map((host) => parseGatewayAddress(host));
  return {
    here,
    primary: 'dc1',
    local: { source: 'local_catalog', addresses: addresses(s.local) },
    primaryRecord: addresses(s.record),
    told: addresses(s.told),
    fallbacks: addresses(s.fallbacks),
    history: addresses(s.history ?? []),
    localBroken: s.localBroken ?? false,
  };
}
