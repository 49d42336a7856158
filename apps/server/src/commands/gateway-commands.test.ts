import { expect, test } from 'vitest';
import { type DrainedGateway, whyNotDrain } from './gateway-commands.ts';

const gateway = (id: string, status = 'passing', meta = '1'): DrainedGateway => ({
  Service: { ID: id, Meta: { 'consul-wan-federation': meta } },
  Checks: [{ Status: 'passing' }, { Status: status }],
});
const row = (alive: number) => ({ members: { alive, failed: 0, left: 0 } }) as never;
const federation = { datacenter: 'dc2', datacenters: { dc1: row(1), dc2: row(1), dc3: row(2), dc4: row(0) } };

const cases: readonly (readonly [string, readonly DrainedGateway[], RegExp | undefined])[] = [
  ['one of two', [gateway('a'), gateway('b', 'warning')], undefined],
  [
    'the last',
    [gateway('a')],
    /'a' is the last healthy gateway of dc2: without it dc1, dc3 cannot reach dc2/,
  ],
  ['the last that is well', [gateway('a'), gateway('b', 'critical')], /the last healthy gateway/],
  ['the last that carries servers', [gateway('a'), gateway('b', 'passing', '')], /the last healthy gateway/],
  ['one that is critical already', [gateway('a', 'critical')], undefined],
  ['none of that name', [gateway('b')], /dc2 has no mesh gateway 'a'; known are: b/],
  ['none at all', [], /known are: none/],
];
for (const [which, gateways, expected] of cases)
  test(`draining ${which}: ${expected === undefined ? 'goes ahead' : 'is refused'}`, () => {
    const why = whyNotDrain('a', gateways, federation);
    if (expected === undefined) expect(why).toBeUndefined();
    else expect(why).toMatch(expected);
  });

test('draining the last gateway of a datacenter nobody knows harms nobody', () => {
  expect(
    whyNotDrain('a', [gateway('a')], { datacenter: 'dc2', datacenters: { dc2: row(1) } }),
  ).toBeUndefined();
});
