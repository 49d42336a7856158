/** What is counted, remembered and told of the federation, without a network. */
import { VirtualClock } from '@fed/tooling/virtual-clock';
import pino from 'pino';
import { beforeEach, describe, expect, test } from 'vitest';
import { UnansweredError } from '../abroad.ts';
import { federationText } from '../commands/federation-text.ts';
import { failedRequests } from '../log.ts';
import { Contacts, directionOf } from './contacts.ts';
import { Metrics, metricsJson, prometheusText } from './metrics.ts';
import { NameClaims } from './name-claims.ts';
import { Observed } from './observed.ts';
import { Troubles } from './troubles.ts';

describe('metrics', () => {
  test('as Prometheus reads them: a type per family, labels escaped, dots and dashes turned', () => {
    const metrics = new Metrics();
    metrics.count('rpc.cross-dc', { datacenter: 'dc2' });
    metrics.count('rpc.cross-dc', { datacenter: 'dc2' });
    metrics.count('rpc.cross-dc', { datacenter: 'a"b\\c\nd' });
    metrics.sample('leader.replication.federation-state.fetch', 3);
    metrics.sample('leader.replication.federation-state.fetch', 5);
    const levels = [{ name: 'locator.mode', value: 3, labels: { datacenter: 'dc1' } }];
    expect(prometheusText([...metrics.read(), ...levels], 'fed')).toBe(
      [
        '# TYPE fed_rpc_cross_dc counter',
        'fed_rpc_cross_dc{datacenter="dc2"} 2',
        'fed_rpc_cross_dc{datacenter="a\\"b\\\\c\\nd"} 1',
        '# TYPE fed_leader_replication_federation_state_fetch summary',
        'fed_leader_replication_federation_state_fetch_sum 8',
        'fed_leader_replication_federation_state_fetch_count 2',
        '# TYPE fed_metrics_overflow counter',
        'fed_metrics_overflow 0',
        '# TYPE fed_locator_mode gauge',
        'fed_locator_mode{datacenter="dc1"} 3',
        '',
      ].join('\n'),
    );
  });

  test('as the original’s JSON, with its prefix if somebody asks for it', () => {
    const metrics = new Metrics();
    metrics.count('rpc.request');
    metrics.sample('federation_state.list', 4);
    const wallMs = Date.UTC(2026, 0, 2, 3, 4, 5);
    expect(metricsJson([...metrics.read(), { name: 'x', value: 1 }], { prefix: 'consul', wallMs })).toEqual({
      Timestamp: '2026-01-02 03:04:05 +0000 UTC',
      Gauges: [{ Name: 'consul.x', Value: 1, Labels: {} }],
      Points: [],
      Counters: [
        { Name: 'consul.rpc.request', Count: 1, Sum: 1, Labels: {} },
        { Name: 'consul.metrics.overflow', Count: 0, Sum: 0, Labels: {} },
      ],
      Samples: [
        { Name: 'consul.federation_state.list', Count: 1, Sum: 4, Min: 4, Max: 4, Mean: 4, Labels: {} },
      ],
    });
  });

  test('labels that peers make up are bounded, and what is left out is counted', () => {
    const metrics = new Metrics();
    for (let n = 0; n < 5_000; n++) metrics.count('wanfed.dial', { gateway: `g${n}` });
    const all = metrics.read();
    expect(all.filter(({ name }) => name === 'wanfed.dial')).toHaveLength(4_096);
    expect(all.find(({ name }) => name === 'metrics.overflow')?.value).toBe(904);
  });
});

test('contacts: the directions are told apart', () => {
  let now = 0;
  const contacts = new Contacts(() => now);
  expect(directionOf(contacts.of('dc2'), 60_000)).toBe('none');
  contacts.reached('dc2');
  now = 1_000;
  expect(contacts.of('dc2').reachedMsAgo).toBe(1_000);
  expect(directionOf(contacts.of('dc2'), 60_000)).toBe('out');
  contacts.heard('dc2');
  expect(directionOf(contacts.of('dc2'), 60_000)).toBe('both');
  now = 60_500;
  expect(directionOf(contacts.of('dc2'), 60_000)).toBe('in');
});

test('troubles: told when they begin and when they end, and no more often', () => {
  let wallMs = 0;
  const told: string[] = [];
  const troubles = new Troubles({
    wallMs: () => wallMs,
    began: ({ text }) => told.push(`began ${text}`),
    ended: ({ subject }) => told.push(`over ${subject}`),
  });
  troubles.seen('primary_gateway_unresolved', 'gw', 'gw leads nowhere');
  wallMs = 5;
  troubles.seen('primary_gateway_unresolved', 'gw', 'gw leads nowhere');
  expect(troubles.list()).toMatchObject([{ subject: 'gw', sinceMs: 0, lastSeenMs: 5 }]);
  troubles.over('primary_gateway_unresolved', 'gw');
  troubles.over('primary_gateway_unresolved', 'gw');
  expect(told).toEqual(['began gw leads nowhere', 'over gw']);
  troubles.seen('foreign_writer', 'dc2', 'somebody writes');
  wallMs += 15 * 60_000 + 1;
  expect(troubles.list()).toEqual([]); // an event that was not seen again
  for (let n = 0; n < 100; n++) troubles.seen('foreign_write_refused', `dc${n}`, '');
  expect(troubles.list()).toHaveLength(64);
});

describe('bad input that can only be seen at run time is told once, and stands in the status', () => {
  let lines: { level: number; msg: string }[];
  let observed: Observed;
  const gateway = { host: '192.0.2.1', port: 8443 };
  const codes = () => observed.troubles.list().map(({ code, subject }) => `${code} ${subject}`);

  beforeEach(() => {
    lines = [];
    const log = pino({ base: null }, { write: (line: string) => lines.push(JSON.parse(line)) });
    observed = new Observed({
      datacenter: 'dc2',
      primary: 'dc1',
      world: { clock: new VirtualClock(), wallMs: () => 0 },
      log,
    });
  });

  test('an entry of primary_gateways that resolves to nothing', () => {
    const report = { entry: '"gw.example"', addresses: [], cause: new Error('ENOTFOUND gw.example') };
    observed.resolved(report);
    observed.resolved(report);
    expect(codes()).toEqual(['primary_gateway_unresolved "gw.example"']);
    expect(lines).toHaveLength(1);
    expect(lines[0]?.msg).toMatch(
      /"gw\.example" leads to no address \(ENOTFOUND gw\.example\); mend the name/,
    );
    observed.resolved({ entry: '"gw.example"', addresses: [gateway] });
    expect(codes()).toEqual([]);
  });

  test('a wrong service behind it', () => {
    const lesson = { gateway, datacenter: 'dc1', alpn: 'consul/rpc-multi', tookMs: 1 } as const;
    observed.dialled({ ...lesson, ok: false, code: 'tls_failed' });
    observed.dialled({ ...lesson, ok: false, code: 'tls_failed' });
    expect(codes()).toEqual(['primary_gateway_wrong 192.0.2.1:8443']);
    expect(lines).toHaveLength(2); // the way is broken, and it is to be mended
    observed.dialled({ ...lesson, ok: true });
    expect(codes()).toEqual([]);
    observed.dialled({ ...lesson, datacenter: 'dc3', ok: false, code: 'certificate_name' });
    expect(codes()).toEqual([]); // to others we go through our own gateways
  });

  test('a primary that is none, as its records or its refusal tell', () => {
    observed.published({
      kind: 'failed',
      stage: 'publish',
      failure: 'gate',
      waitMs: 1_000,
      error: new Error(
        'rpc error making call: No path to datacenter: dc1 is not the primary datacenter, dc0 is: set primary_datacenter = "dc0" in dc2',
      ),
    });
    expect(codes()).toEqual(['wrong_primary dc1']);
    expect(observed.troubles.list()[0]?.text).toMatch(/set primary_datacenter = "dc0" in dc2/);
  });

  test('somebody else’s hand in our record, or a hand that was slapped', () => {
    observed.published({ kind: 'foreign', gateways: ['mesh-gateway at 10.9.9.9:8443'] });
    observed.refusedWrite('dc3', ['dc9'], 'the federation state');
    expect(codes()).toEqual(['foreign_writer dc2', 'foreign_write_refused dc3']);
    expect(observed.troubles.list()[0]?.text).toMatch(/10\.9\.9\.9:8443.*another datacenter is called dc2/);
    expect(observed.troubles.list()[1]?.text).toMatch(
      /a server of dc9 wanted to write the federation state of dc3/,
    );
  });
});

describe('two datacenters of one name', () => {
  const clock = new VirtualClock();
  let told: string[];
  let ours: string[];
  let claims: NameClaims;
  beforeEach(() => {
    told = [];
    ours = ['n2'];
    claims = new NameClaims({
      datacenter: 'dc2',
      clock,
      ours: () => ours,
      seen: (name, text) => told.push(`${name}: ${text}`),
      over: (name) => told.push(`over ${name}`),
    });
  });
  const join = (name: string, dc: string, id: string): void =>
    claims.event({ kind: 'member-join', members: [{ name, tags: { dc, id } }] } as never);

  test('a member of our name that is not in our own pool, after a while', async () => {
    join('n2.dc2', 'dc2', 'a');
    join('n9.dc2', 'dc2', 'b');
    join('n7.dc2', 'dc2', 'c');
    ours.push('n7'); // heard of over the wide area first
    await clock.advance(30_000);
    expect(told).toHaveLength(1);
    expect(told[0]).toMatch(/^n9\.dc2: .* two datacenters are called dc2; give one of them another name$/);
    claims.event({ kind: 'member-leave', members: [{ name: 'n9.dc2', tags: {} }] } as never);
    expect(told[1]).toBe('over n9.dc2');
  });

  test('a name that changes hands and back; a server that was made anew is none', () => {
    join('n1.dc3', 'dc3', 'a');
    join('n1.dc3', 'dc3', 'b');
    expect(told).toEqual([]);
    join('n1.dc3', 'dc3', 'a');
    expect(told[0]).toMatch(/^n1\.dc3: two servers are called n1\.dc3 \(node ids b and a\)/);
  });
});

test('log: while a datacenter is away, ten lines a second tell of it, and our own bugs are told each', () => {
  const lines: { msg: string; level: number; hop?: string; suppressed?: number }[] = [];
  const log = pino({ base: null }, { write: (line: string) => lines.push(JSON.parse(line)) });
  let now = 0;
  const failed = failedRequests(log, () => now);
  const away = new UnansweredError({ datacenter: 'dc3', hop: 'remote_gateway' }, 'nobody answers');
  for (let n = 0; n < 1_000; n++) failed({ method: 'GET', path: '/v1/x', error: away });
  expect(lines).toHaveLength(10);
  failed({ method: 'GET', path: '/v1/x', error: new UnansweredError({ datacenter: 'dc2' }, 'no path') });
  for (let n = 0; n < 20; n++) failed({ method: 'GET', path: '/v1/x', error: new TypeError('a bug') });
  expect(lines.filter(({ level }) => level === 50)).toHaveLength(20);
  expect(lines).toHaveLength(31);
  now = 1_000;
  failed({ method: 'GET', path: '/v1/x', error: away });
  expect(lines.at(-1)).toMatchObject({
    hop: 'remote_gateway',
    suppressed: 990,
    msg: 'GET /v1/x: nobody answers',
  });
});

test('for people: a line per datacenter, and what is to be mended', () => {
  const row = {
    own: false,
    primary: true,
    mode: 'local',
    direction: 'both',
    reachedMsAgo: 1_500,
    heardMsAgo: 130_000,
    members: { alive: 2, failed: 1, left: 0 },
    servers: [],
    federationState: { gateways: 2, healthy: 1, ageMs: 7_300_000 },
    certificateDaysLeft: 364,
    tryingToMeet: false,
    route: {
      datacenter: 'dc1',
      mode: 'local',
      candidates: [
        { gateway: { host: '10.0.0.2', port: 8443 }, sources: [], standing: 'good', badness: 0.5 },
      ],
      remoteGateways: [],
      text: '',
    },
  } as const;
  const trouble = {
    code: 'wrong_primary',
    subject: 'dc1',
    text: 'mend it',
    sinceMs: 0,
    lastSeenMs: 0,
  } as const;
  const text = federationText({
    datacenter: 'dc2',
    primary: 'dc1',
    troubles: [trouble],
    datacenters: { dc1: row },
  });
  expect(text).toMatch(
    /dc1 \(primary\) +local +both +1\.5s ago +2m ago +2\/1 +1\/2 +2h +364d +10\.0\.0\.2:8443 good, score 0\.5/,
  );
  expect(text).toMatch(/To be mended:\n {2}\[wrong_primary\] mend it$/);
});
