import { describe, expect, test } from 'vitest';
import { filtersOf, queryTimeoutMs } from './outgoing-query.ts';

describe('default query timeout: gossip interval * 16 * ceil(log10(members + 1))', () => {
  for (const [members, lanMs, wanMs] of [
    [1, 3_200, 8_000],
    [9, 3_200, 8_000],
    [10, 6_400, 16_000],
    [99, 6_400, 16_000],
    [100, 9_600, 24_000],
  ] as const)
    test(`${members} members wait ${lanMs} ms on a LAN, ${wanMs} ms on a WAN`, () => {
      const at = (gossipIntervalMs: number): number =>
        queryTimeoutMs({ gossipIntervalMs, queryTimeoutMult: 16, members });
      expect([at(200), at(500)]).toEqual([lanMs, wanMs]);
    });
});

test('filters: names first, then one per tag; none when nobody is left out', () => {
  expect(filtersOf({ filterNodes: ['a'], filterTags: { role: '^web' } })).toEqual([
    { kind: 'nodes', names: ['a'] },
    { kind: 'tag', tag: 'role', expression: '^web' },
  ]);
  expect(filtersOf({ filterNodes: [] })).toEqual([]);
});
