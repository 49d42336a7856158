import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PenaltyBox, sourceOf } from './penalty-box.ts';

const settings = { perSecond: 1, burst: 3 };
const bad = '192.0.2.1';

function failing(box: PenaltyBox, host: string, times: number, now: number): void {
  for (let n = 0; n < times; n++) box.failed(host, now);
}

test('so many failures at once are nothing; with the next one an address is turned away', () => {
  const box = new PenaltyBox(settings);
  failing(box, bad, 2, 0);
  expect(box.admit(bad, 0)).toBe('onProbation');
  box.failed(bad, 0);
  box.settle(bad);
  expect([box.admit(bad, 0), box.admit(bad, 1)]).toEqual(['begins', 'turnedAway']);
  expect(box.admit('192.0.2.2', 0)).toBe('welcome');
});

test('it is let in again at the rate it is forgiven, and forgotten when all is forgiven', () => {
  const box = new PenaltyBox(settings);
  failing(box, bad, 30, 0);
  expect(box.admit(bad, 999)).toBe('begins');
  expect(box.admit(bad, 1_000)).toBe('onProbation');
  expect(box.admit(bad, 1_000)).toBe('turnedAway'); // the first one is not over yet
  box.failed(bad, 1_000);
  box.settle(bad);
  expect(box.admit(bad, 1_001)).toBe('turnedAway');
  expect(box.watched).toBe(1);
  expect(box.admit(bad, 5_000)).toBe('welcome');
  expect(box.watched).toBe(0);
  failing(box, bad, 3, 5_000);
  expect(box.admit(bad, 5_000)).toBe('begins');
});

test('on probation: whoever is let in counts no longer', () => {
  const box = new PenaltyBox(settings);
  failing(box, bad, 3, 0);
  for (let n = 0; n < 10; n++) {
    expect(box.admit(bad, 1_000)).toBe('onProbation');
    box.settle(bad);
  }
});

test('an address that a certified peer is connected from is never turned away, nor for ten minutes after', () => {
  const box = new PenaltyBox(settings);
  box.vouch(bad);
  box.vouch(bad);
  failing(box, bad, 100, 0);
  expect(box.admit(bad, 0)).toBe('welcome');
  box.release(bad, 0);
  expect(box.admit(bad, 0)).toBe('welcome');
  box.release(bad, 0);
  failing(box, bad, 100, 600_000);
  expect(box.admit(bad, 600_000)).toBe('welcome');
  failing(box, bad, 100, 600_001);
  expect(box.admit(bad, 600_001)).toBe('begins');
});

test('a certified peer that turned out to be bad speaks for nobody; others from there still do', () => {
  const box = new PenaltyBox(settings);
  box.vouch(bad);
  box.retract(bad);
  failing(box, bad, 3, 0);
  expect(box.admit(bad, 0)).toBe('begins');
  box.vouch(bad);
  box.vouch(bad);
  box.retract(bad);
  expect(box.admit(bad, 0)).toBe('welcome');
  box.release(bad, 0);
  failing(box, bad, 3, 0);
  expect(box.admit(bad, 0)).toBe('welcome');
});

test('nor one that the owner of the door vouches for', () => {
  const box = new PenaltyBox(settings, (host) => host === bad);
  failing(box, bad, 100, 0);
  expect(box.admit(bad, 0)).toBe('welcome');
});

test('of IPv6 all addresses of one network are one', () => {
  const box = new PenaltyBox(settings);
  for (const end of ['1', '2', 'a:b:c:d'])
    box.failed(`2001:db8:0:7:${end === '1' ? ':1' : end === '2' ? ':2' : end}`, 0);
  expect(box.admit('2001:DB8::7:0:0:0:9', 0)).toBe('begins');
  expect(box.admit('2001:db8:0:8::1', 0)).toBe('welcome');
});

test.each([
  ['192.0.2.1', '192.0.2.1'],
  ['::1', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['2001:0db8:0:7::1', '2001:db8:0:7::/64'],
  ['2001:db8::', '2001:db8:0:0::/64'],
  ['1:2:3:4:5:6:7:8', '1:2:3:4::/64'],
])('source of %s: %s', (host, source) => {
  expect(sourceOf(host)).toBe(source);
});

test('switched off: nobody is turned away, and nothing is remembered', () => {
  const box = new PenaltyBox({ perSecond: Number.POSITIVE_INFINITY, burst: 0 });
  failing(box, bad, 1_000, 0);
  expect([box.admit(bad, 0), box.watched]).toEqual(['welcome', 0]);
});

test('other settings begin with a clean slate', () => {
  const box = new PenaltyBox(settings);
  failing(box, bad, 100, 0);
  box.settings = { perSecond: 1, burst: 1 };
  expect(box.admit(bad, 0)).toBe('welcome');
  box.failed(bad, 0);
  expect(box.admit(bad, 0)).toBe('begins');
});

test('as many addresses as there are: memory is bounded, the oldest is forgotten', () => {
  const box = new PenaltyBox(settings);
  for (let n = 0; n < 10_000; n++) failing(box, `10.0.${n >> 8}.${n & 255}`, 3, 0);
  expect(box.watched).toBe(4_096);
  expect(box.admit('10.0.0.0', 0)).toBe('welcome');
  expect(box.admit('10.0.39.15', 0)).toBe('begins');
});

test('whatever happens, an address gets no more failures in than its burst and what it is forgiven', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 5_000 }), { maxLength: 200 }), (waits) => {
      const box = new PenaltyBox(settings);
      let now = 0;
      let failures = 0;
      for (const wait of waits) {
        now += wait;
        const admission = box.admit(bad, now);
        if (admission === 'begins' || admission === 'turnedAway') continue;
        box.failed(bad, now);
        if (admission === 'onProbation') box.settle(bad);
        failures++;
      }
      expect(failures).toBeLessThanOrEqual(settings.burst + (now / 1_000) * settings.perSecond + 1e-6);
    }),
  );
});
