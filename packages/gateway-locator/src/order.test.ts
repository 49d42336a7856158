import { describe, expect, test } from 'vitest';
import type { Standing } from './memory.ts';
import { type RankedWay, rank } from './order.ts';

describe('order', () => {
  const table: readonly (readonly [string, readonly RankedWay[], string])[] = [
    ['policy first', [way('b', 1), way('a', 0)], 'a b'],
    ['policy before an old failure', [way('b', 1), way('a', 0, 'due', 3)], 'a b'],
    ['what rests is last', [way('a', 0, 'resting', 1), way('b', 1)], 'b a'],
    ['the steadier of two', [way('a', 0, 'good', 1), way('b', 0, 'good', 0.2)], 'b a'],
    ['of those that rest, the least bad', [way('a', 0, 'resting', 3), way('b', 1, 'resting', 1)], 'b a'],
    [
      'of those that rest and are as bad, the preferred',
      [way('a', 1, 'resting', 1), way('b', 0, 'resting', 1)],
      'b a',
    ],
    ['untried as good as good', [way('a', 0, 'good'), way('b', 0, 'untried')], 'a b'],
    ['of equals the nearer by far', [way('a', 0, 'good', 0, 300), way('b', 0, 'good', 0, 30)], 'b a'],
    ['a little nearer is no reason', [way('a', 0, 'good', 0, 19), way('b', 0, 'good', 0, 2)], 'a b'],
    ['policy before distance', [way('b', 1, 'good', 0, 1), way('a', 0, 'good', 0, 900)], 'a b'],
    ['steadiness before distance', [way('a', 0, 'good', 0, 900), way('b', 0, 'good', 1, 1)], 'a b'],
    ['whom nobody has tried may be near', [way('b', 0, 'good', 0, 900), way('c', 0, 'untried')], 'c b'],
  ];
  for (const [rule, ways, expected] of table) {
    test(`order: ${rule}`, () => {
      expect(hosts(rank(ways, undefined))).toBe(expected);
      expect(hosts(rank([...ways].reverse(), undefined))).toBe(expected);
    });
  }

  test('order: equals are shuffled, and nothing else is', () => {
    const ways = [way('a', 0), way('b', 0), way('c', 1), way('d', 0, 'resting', 1)];
    const seen = new Set<string>();
    for (let seed = 0; seed < 24; seed++) seen.add(hosts(rank(ways, { below: (n) => (seed * 7 + 3) % n })));
    expect(seen).toEqual(new Set(['a b c d', 'b a c d']));
  });
});

// ---- fixtures ----

function way(
  host: string,
  tier: number,
  standing: Standing = 'untried',
  badness = 0,
  tookMs?: number,
): RankedWay {
  return {
    gateway: { host, port: 1 },
    sources: ['fallback'],
    tier,
    verdict: {
      standing,
      badness,
      okAt: undefined,
      failure: undefined,
      restsUntil: undefined,
      tookMs,
    },
  };
}

function hosts(ways: readonly RankedWay[]): string {
  return ways.map(({ gateway }) => gateway.host).join(' ');
}
