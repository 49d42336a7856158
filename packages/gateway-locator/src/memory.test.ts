import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Memory } from './memory.ts';

const a = { host: 'a', port: 1 };
const noChance = { below: () => 0 };

describe('memory', () => {
  test('memory: what was never tried has nothing against it', () => {
    expect(new Memory(noChance).verdict(a, 'dc2', 0)).toMatchObject({ standing: 'untried', badness: 0 });
  });

  test('memory: after a failure it rests, twice as long each time in a row, then it is due', () => {
    const memory = new Memory(noChance);
    let now = 0;
    for (const restMs of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      memory.failed(a, 'dc2', 'connect_refused', now);
      expect(memory.verdict(a, 'dc2', now + restMs - 1).standing).toBe('resting');
      expect(memory.verdict(a, 'dc2', now + restMs).standing).toBe('due');
      now += restMs;
    }
    memory.succeeded(a, 'dc2', 5, now);
    expect(memory.verdict(a, 'dc2', now)).toMatchObject({ standing: 'good', okAt: now, tookMs: 5 });
    memory.failed(a, 'dc2', 'connect_refused', now);
    expect(memory.verdict(a, 'dc2', now + 1_000).standing).toBe('due');
  });

  test('memory: chance shortens a rest by half at most', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e6 }), fc.integer({ min: 1, max: 9 }), (dice, failures) => {
        const memory = new Memory({ below: (n) => dice % n });
        for (let n = 0; n < failures; n++) memory.failed(a, 'dc2', 'connect_refused', 0);
        const fullMs = Math.min(30_000, 1_000 * 2 ** (failures - 1));
        const { restsUntil } = memory.verdict(a, 'dc2', 0);
        expect(restsUntil).toBeGreaterThanOrEqual(fullMs / 2);
        expect(restsUntil).toBeLessThanOrEqual(fullMs);
      }),
    );
  });

  const blames: readonly (readonly [string, 'gateway' | 'way', number])[] = [
    ['connect_refused', 'gateway', 1_000],
    ['connect_failed', 'gateway', 1_000],
    ['connect_timeout', 'gateway', 3_000],
    ['closed_before_tls', 'way', 1_000],
    ['tls_timeout', 'way', 3_000],
    ['tls_failed', 'way', 1_000],
    ['certificate_name', 'way', 1_000],
    ['certificate_untrusted', 'way', 1_000],
    ['alpn_refused', 'way', 1_000],
    ['something new', 'way', 1_000],
  ];
  for (const [code, whom, restMs] of blames) {
    test(`memory: ${code} speaks against the ${whom}, for ${restMs} ms at first`, () => {
      const memory = new Memory(noChance);
      memory.failed(a, 'dc2', code, 0);
      expect(memory.verdict(a, 'dc2', 0).restsUntil).toBe(restMs);
      expect(memory.verdict(a, 'dc3', 0).standing).toBe(whom === 'gateway' ? 'resting' : 'untried');
    });
  }

  test('memory: an aborted dial says nothing', () => {
    const memory = new Memory(noChance);
    memory.failed(a, 'dc2', 'aborted', 0);
    expect(memory.verdict(a, 'dc2', 0)).toMatchObject({ standing: 'untried', badness: 0 });
  });

  test('memory: a gateway that answers again is good again, though the way through it is not', () => {
    const memory = new Memory(noChance);
    memory.failed(a, 'dc2', 'connect_refused', 0);
    memory.failed(a, 'dc2', 'closed_before_tls', 1);
    expect(memory.verdict(a, 'dc3', 1).standing).toBe('untried');
    expect(memory.verdict(a, 'dc2', 1).standing).toBe('resting');
  });

  test('memory: a timeout weighs three refusals, and all fades by half every 30 s', () => {
    const memory = new Memory(noChance);
    memory.failed(a, 'dc2', 'connect_timeout', 0);
    memory.failed(a, 'dc2', 'closed_before_tls', 0);
    expect(memory.verdict(a, 'dc2', 0).badness).toBe(4);
    expect(memory.verdict(a, 'dc2', 30_000).badness).toBe(2);
    memory.succeeded(a, 'dc2', 1, 30_000);
    expect(memory.verdict(a, 'dc2', 60_000).badness).toBe(1);
  });

  test('memory: while one caller finds out, the others keep away; its report, or 10 s, ends that', () => {
    const memory = new Memory(noChance);
    memory.failed(a, 'dc2', 'connect_refused', 0);
    memory.beginTrial(a, 'dc2', 2_000);
    expect(memory.verdict(a, 'dc2', 2_001).standing).toBe('resting');
    expect(memory.verdict(a, 'dc2', 12_000).standing).toBe('due');
    memory.beginTrial(a, 'dc2', 12_000);
    memory.failed(a, 'dc2', 'aborted', 12_001);
    expect(memory.verdict(a, 'dc2', 12_001).standing).toBe('due');
    memory.beginTrial(a, 'dc2', 12_002);
    memory.succeeded(a, 'dc2', 1, 12_003);
    expect(memory.verdict(a, 'dc2', 12_003).standing).toBe('good');
  });

  test('memory: gateways that are in no list any more are forgotten, for every datacenter', () => {
    const memory = new Memory(noChance);
    memory.failed(a, 'dc2', 'closed_before_tls', 0);
    memory.failed(a, 'dc2', 'connect_refused', 0);
    memory.retain(new Set(['a:1']));
    expect(memory.verdict(a, 'dc2', 0).standing).toBe('resting');
    memory.retain(new Set(['b:1']));
    expect(memory.verdict(a, 'dc2', 0).standing).toBe('untried');
  });

  test('memory: marks are bounded; those longest untouched go', () => {
    const memory = new Memory(noChance);
    for (let n = 0; n < 10_000; n++) memory.failed({ host: `h${n}`, port: 1 }, 'dc2', 'connect_refused', 0);
    expect(memory.verdict({ host: 'h0', port: 1 }, 'dc2', 0).standing).toBe('untried');
    expect(memory.verdict({ host: 'h9999', port: 1 }, 'dc2', 0).standing).toBe('resting');
  });
});
