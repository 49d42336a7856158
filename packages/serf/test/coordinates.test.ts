import { describe, expect, test } from 'vitest';
import { CoordinateClient, distanceNs, originCoordinate } from '../src/core/coordinates.ts';
import type { Coordinate } from '../src/wire/ack-payload.ts';
import { type Json, vectorFile } from './go-json.ts';

const noChance = {
  below: (): number => {
    throw new Error('these vectors need no random direction');
  },
};

describe('coordinates', () => {
  for (const v of vectorFile('coordinates').vectors)
    test(`${v.name}: ${v.description}`, () => {
      if (v.kind === 'distance') {
        expect(distanceNs(coordinate(v.a), coordinate(v.b))).toBe(v.ns);
        return;
      }
      const client = new CoordinateClient(noChance, v.start ? coordinate(v.start) : originCoordinate);
      for (const o of v.observations) {
        const before = client.here;
        const result = client.observe(o.node, coordinate(o.coordinate), o.rttNs / 1e9);
        if (o.error !== undefined) {
          expect(['bad_rtt', 'incompatible', 'invalid']).toContain(result);
          expect(client.here).toBe(before);
          continue;
        }
        expect(result).toBe('moved');
        near(client.here, coordinate(o.after));
      }
      expect(client.resets).toBe(v.resets);
    });
});

function coordinate(c: Json): Coordinate {
  const number = (x: Json): number =>
    typeof x === 'number' ? x : Number(x.$float.replace('Inf', 'Infinity'));
  return {
    vec: c.Vec.map(number),
    error: number(c.Error),
    adjustment: number(c.Adjustment),
    height: number(c.Height),
  };
}

/** Within 1e-9 of each other: fused multiply-add may differ between machines. */
function near(a: Coordinate, b: Coordinate): void {
  const flat = (c: Coordinate): number[] => [...c.vec, c.error, c.adjustment, c.height];
  const expected = flat(b);
  for (const [i, x] of flat(a).entries()) {
    const y = expected[i] as number;
    expect(Math.abs(x - y)).toBeLessThanOrEqual(1e-9 * Math.max(Math.abs(x), Math.abs(y), 1e-12));
  }
}

/** The same walk every time; Knuth's MMIX generator. */
function seeded(seed: number): { below(n: number): number } {
  let state = BigInt(seed);
  return {
    below(n) {
      state = (state * 6_364_136_223_846_793_005n + 1_442_695_040_888_963_407n) & ((1n << 64n) - 1n);
      return Number((state >> 33n) % BigInt(n));
    },
  };
}

describe('a pool finds its shape', () => {
  /** Mean relative error of the estimates after `rounds` in which everybody measures one random other. */
  function meanError(nodes: number, rounds: number, rttSeconds: (i: number, j: number) => number): number {
    const rng = seeded(20_200_316);
    const clients = Array.from({ length: nodes }, () => new CoordinateClient(rng));
    for (let round = 0; round < rounds; round++)
      for (const [i, client] of clients.entries()) {
        const j = rng.below(nodes);
        if (j !== i) client.observe(`n${j}`, clients[j]!.here, rttSeconds(i, j));
      }
    let sum = 0;
    let pairs = 0;
    for (let i = 0; i < nodes; i++)
      for (let j = i + 1; j < nodes; j++, pairs++) {
        const real = rttSeconds(i, j);
        sum += Math.abs(distanceNs(clients[i]!.here, clients[j]!.here) / 1e9 - real) / real;
      }
    return sum / pairs;
  }

  test('on a line, 10 ms from one to the next', () =>
    expect(meanError(10, 2_000, (i, j) => Math.abs(i - j) * 0.01)).toBeLessThan(0.01));

  test('in two datacenters 100 ms apart', () =>
    expect(meanError(25, 1_000, (i, j) => (i < 12 === j < 12 ? 0.001 : 0.101))).toBeLessThan(0.05));

  test('on a circle of 100 ms around one who is twice as far from everybody, which only its height explains', () =>
    expect(
      meanError(25, 1_000, (i, j) =>
        i === 0 || j === 0 ? 0.2 : 0.2 * Math.abs(Math.sin((Math.PI * (i - j)) / 25)),
      ),
    ).toBeLessThan(0.05));
});
