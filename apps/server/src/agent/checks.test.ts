import { newCheck } from '@fed/fsm';
import { settled, VirtualClock } from '@fed/tooling/virtual-clock';
import { expect, test } from 'vitest';
import { CheckRunner, type Verdict } from './checks.ts';

const passing: Verdict = { status: 'passing', output: 'TCP connect: Success' };
const critical: Verdict = { status: 'critical', output: 'connection refused' };

function world() {
  const clock = new VirtualClock();
  const told: string[] = [];
  const givenUp: string[] = [];
  let answer: Verdict = passing;
  let probes = 0;
  const runner = new CheckRunner({
    clock,
    probe: () => {
      probes++;
      return Promise.resolve(answer);
    },
    verdict: (check, verdict) => void told.push(`${check.CheckID} ${verdict.status}@${clock.now()}`),
    giveUp: (check) => {
      givenUp.push(`${check.ServiceID}@${clock.now()}`);
      runner.forget(check.CheckID);
    },
  });
  return {
    clock,
    told,
    givenUp,
    runner,
    probes: () => probes,
    answer: (verdict: Verdict): void => {
      answer = verdict;
    },
  };
}

const tcp = newCheck({
  CheckID: 'c',
  Node: 'n1',
  ServiceID: 'web',
  Status: 'critical',
  Type: 'tcp',
  Definition: { TCP: '127.0.0.1:1', Interval: 10e9, DeregisterCriticalServiceAfter: 60e9 },
});

test('checks: a check runs at once, then on its interval', async () => {
  const { runner, clock, probes } = world();
  runner.watch(tcp);
  await settled();
  expect(probes()).toBe(1);
  await clock.advance(30_000);
  expect(probes()).toBe(4);
});

test('checks: while its service may still be starting, a failed check is run again soon', async () => {
  const { runner, clock, probes, told, answer } = world();
  answer(critical);
  runner.watch(tcp);
  await clock.advance(450);
  expect(probes()).toBe(5);
  answer(passing);
  await clock.advance(100);
  expect(told).toEqual(['c critical@0', 'c passing@500']);
  answer(critical);
  await clock.advance(60_000);
  expect(probes()).toBe(12);
});

test('checks: only a changed status is told', async () => {
  const { runner, clock, told, answer } = world();
  runner.watch(tcp);
  await clock.advance(30_000);
  answer(critical);
  await clock.advance(20_000);
  answer(passing);
  await clock.advance(10_000);
  expect(told).toEqual(['c passing@0', 'c critical@40000', 'c passing@60000']);
});

test('checks: the first verdict is told also when it is the status it began with', async () => {
  const { runner, clock, told, answer } = world();
  answer(critical);
  runner.watch(tcp);
  await clock.advance(20_000);
  expect(told).toEqual(['c critical@0']);
});

test('checks: a service critical for too long is given up', async () => {
  const { runner, clock, givenUp, answer } = world();
  answer(critical);
  runner.watch(tcp);
  await clock.advance(300_000);
  expect(givenUp).toEqual(['web@60000']);
});

test('checks: a forgotten check does not run again', async () => {
  const { runner, clock, probes } = world();
  runner.watch(tcp);
  await settled();
  runner.forget('c');
  await clock.advance(60_000);
  expect(probes()).toBe(1);
  expect(clock.armed).toBe(0);
});

test('checks: a TTL check is critical when its service falls silent', async () => {
  const { runner, clock, told } = world();
  runner.watch(
    newCheck({
      CheckID: 't',
      Node: 'n1',
      ServiceID: 'web',
      Status: 'critical',
      Type: 'ttl',
      Definition: { TTL: 5e9 },
    }),
  );
  expect(runner.heard('t', { status: 'passing', output: '' })).toBe('heard');
  await clock.advance(4000);
  runner.heard('t', { status: 'passing', output: '' });
  await clock.advance(6000);
  expect(told).toEqual(['t passing@0', 't critical@9000']);
  expect(runner.heard('unknown', passing)).toBe('unknown');
});

test('checks: TTL expiry is told once, and keeps the last words', async () => {
  const { runner, clock } = world();
  runner.watch(
    newCheck({ CheckID: 't', Node: 'n1', Status: 'critical', Type: 'ttl', Definition: { TTL: 5e9 } }),
  );
  runner.heard('t', { status: 'passing', output: 'fine' });
  await clock.advance(16_000);
  expect(runner.latest('t')).toEqual({
    status: 'critical',
    output: 'TTL expired (last output before timeout follows): fine',
  });
});

test('checks: a changed output alone is seen here at once and told minutes later, once', async () => {
  const { runner, clock, told, answer } = world();
  runner.watch(tcp);
  await clock.advance(10_000);
  for (const output of ['one', 'two', 'three']) {
    answer({ status: 'passing', output });
    await clock.advance(10_000);
    expect(runner.latest('c')?.output).toBe(output);
  }
  expect(told).toEqual(['c passing@0']);
  await clock.advance(300_000);
  expect(told).toEqual(['c passing@0', 'c passing@320000']);
});

test('checks: only a TTL check hears from its service', () => {
  const { runner } = world();
  runner.watch(tcp);
  expect(runner.heard('c', passing)).toBe('no_ttl');
});
