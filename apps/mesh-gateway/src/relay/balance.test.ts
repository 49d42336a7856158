import { expect, test } from 'vitest';
import { type BalancePolicy, Balancer, ejectionBaseMs, ejectionMsMax, failuresToEject } from './balance.ts';
import type { RelayEndpoint, Rng } from './ports.ts';

const fromStart = { below: () => 0 };
const end = (name: string, o: Partial<RelayEndpoint> = {}): RelayEndpoint => ({
  host: name,
  port: 1,
  weight: 1,
  healthy: true,
  priority: 0,
  ...o,
});
/** What our own server configures. */
const ours: BalancePolicy = { panicPercent: 1, ejectionPercentMax: 50 };
const of = (
  endpoints: readonly RelayEndpoint[],
  o: Partial<BalancePolicy> = {},
  rng: Rng = fromStart,
): Balancer => new Balancer(endpoints, rng, { ...ours, ...o });
const picks = (b: Balancer, n: number, now = 0): string =>
  Array.from({ length: n }, () => b.pick(now)?.host ?? '-').join('');
function fail(b: Balancer, e: RelayEndpoint, now: number, times = failuresToEject): boolean {
  let ejected = false;
  for (let i = 0; i < times; i++) ejected = b.failed(e, now);
  return ejected;
}

test('balance: equal weights take turns', () => {
  expect(picks(of([end('a'), end('b'), end('c')]), 6)).toBe('abcabc');
});

test('balance: weights are kept exactly and interleaved, not bunched', () => {
  const b = of([end('a', { weight: 5 }), end('b'), end('c')]);
  expect(picks(b, 7)).toBe('aabacaa');
  expect(picks(b, 7)).toBe('aabacaa');
});

test('balance: the start is random per cluster', () => {
  const starts = [0, 1, 2].map(
    (n) =>
      of(
        [end('a', { weight: 3 }), end('b', { weight: 3 })],
        {},
        {
          below: (() => {
            const dice = [0, n];
            return () => dice.shift() as number;
          })(),
        },
      ).pick(0)?.host,
  );
  expect(starts).toEqual(['a', 'b', 'b']);
});

test('balance: unhealthy endpoints are left out while there is a healthy one', () => {
  expect(picks(of([end('a', { healthy: false }), end('b'), end('c')]), 4)).toBe('bcbc');
});

test('balance: with nobody fit everybody is tried, and an empty list gives nobody', () => {
  const ill = { healthy: false };
  expect(picks(of([end('a', ill), end('b', ill)]), 4)).toBe('abab');
  expect(of([]).pick(0)).toBeUndefined();
});

test('balance: an endpoint tried once is not tried again for the same connection', () => {
  const b = of([end('a'), end('b')]);
  expect(b.pick(0, new Set(['a:1']))?.host).toBe('b');
  expect(b.pick(0, new Set(['a:1', 'b:1']))).toBeUndefined();
});

test('balance: the healthy ones tried, an unhealthy one is still a try', () => {
  const b = of([end('a'), end('b', { healthy: false })]);
  expect(b.pick(0, new Set(['a:1']))?.host).toBe('b');
});

test('ejection: five failures in a row bench one of two for 30 s', () => {
  const [a, c] = [end('a'), end('c')];
  const b = of([a, c]);
  expect(fail(b, a, 0, failuresToEject - 1)).toBe(false);
  expect(b.failed(a, 0)).toBe(true);
  expect(picks(b, 3, ejectionBaseMs - 1)).toBe('ccc');
  expect([b.ejected(0), b.healthy(0)]).toEqual([1, 1]);
  expect(picks(b, 4, ejectionBaseMs)).toContain('a');
});

test('ejection: a success in between starts the count anew', () => {
  const [a, c] = [end('a'), end('c')];
  const b = of([a, c]);
  fail(b, a, 0, failuresToEject - 1);
  b.connected(a);
  expect(b.failed(a, 0)).toBe(false);
});

test('ejection: the only endpoint, and the last healthy one, stay', () => {
  const a = end('a');
  expect(fail(of([a]), a, 0)).toBe(false);
  const b = of([a, end('b', { healthy: false })]);
  expect(fail(b, a, 0)).toBe(false);
});

test('ejection: never more than half', () => {
  const [a, b, c] = [end('a'), end('b'), end('c')];
  const balancer = of([a, b, c]);
  expect([fail(balancer, a, 0), fail(balancer, b, 0)]).toEqual([true, false]);
});

test('ejection: each one in a row lasts longer, up to five minutes; good behaviour is credited', () => {
  const [a, c] = [end('a'), end('c')];
  const b = of([a, c]);
  let now = 0;
  const lengths: number[] = [];
  for (let i = 0; i < 12; i++) {
    fail(b, a, now);
    const from = now;
    while (b.ejected(now) === 1) now += ejectionBaseMs;
    lengths.push(now - from);
  }
  expect(lengths.slice(0, 3)).toEqual([30_000, 60_000, 90_000]);
  expect(lengths.at(-1)).toBe(ejectionMsMax);
  now += 100 * ejectionBaseMs;
  fail(b, a, now);
  expect([b.ejected(now + ejectionBaseMs - 1), b.ejected(now + ejectionBaseMs)]).toEqual([1, 0]);
});

test('update: endpoints that stay keep failures and ejection, whatever else changed', () => {
  const [a, c] = [end('a'), end('c')];
  const b = of([a, c]);
  fail(b, a, 0);
  b.update([end('d'), end('c', { weight: 2 }), end('a', { weight: 9 })]);
  expect(b.ejected(0)).toBe(1);
  expect(picks(b, 6, 1)).not.toContain('a');
  b.update([end('d')]);
  expect([b.size, picks(b, 2)]).toEqual([1, 'dd']);
  expect(b.failed(a, 0)).toBe(false); // gone: says nothing about anybody
});

test('ejection: none where the cluster does not ask for it', () => {
  const [a, c] = [end('a'), end('c')];
  const b = new Balancer([a, c], fromStart, { panicPercent: 1 });
  expect(fail(b, a, 0)).toBe(false);
});

test('panic: below the share configured the unhealthy play too', () => {
  const ill = { healthy: false };
  const endpoints = [end('a'), end('b', ill), end('c', ill)];
  expect(picks(of(endpoints, { panicPercent: 50 }), 3)).toBe('abc');
  expect(picks(of(endpoints, { panicPercent: 33 }), 3)).toBe('aaa');
});

test('priority: a higher number plays only when no lower one can, for this connection or at all', () => {
  const b = of([end('a'), end('b', { healthy: false }), end('z', { priority: 1 })]);
  expect(picks(b, 3)).toBe('aaa');
  expect(b.pick(0, new Set(['a:1']))?.host).toBe('z');
  expect(b.pick(0, new Set(['a:1', 'z:1']))?.host).toBe('b');
  expect(picks(of([end('a', { healthy: false }), end('z', { priority: 1 })]), 2)).toBe('zz');
});
