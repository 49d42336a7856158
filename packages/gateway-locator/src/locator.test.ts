import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { gateway, state } from '../test/rows.ts';
import { parseGatewayAddress, renderHostPort } from './address.ts';
import { createLocator, type Locator } from './locator.ts';

let now: number;
let locator: Locator;
beforeEach(() => {
  now = 0;
  locator = from('dc2');
});

describe('locator: what once led to the primary', () => {
  test('locator: is tried last when every list says otherwise, and forgotten after a day', () => {
    hearFallbacks('f1');
    tried('f1', 'dc1', undefined);
    hearFallbacks('wrong');
    expect(ways('dc1')).toBe('wrong:8443 f1:8443');
    expect(locator.explain('dc1').candidates.at(-1)?.sources).toEqual(['history']);
    hearFallbacks();
    expect(locator.explain('dc1').mode).toBe('history');
    now += 24 * 3_600_000;
    expect(ways('dc1')).toBe('');
  });

  test('locator: does not keep connections through a gateway that left the lists', () => {
    hearFallbacks('f1', 'f2');
    tried('f1', 'dc1', undefined);
    const changed: (readonly string[])[] = [];
    locator.onRoutes((datacenters) => changed.push(datacenters));
    hearFallbacks('f2');
    expect(changed).toEqual([['dc1']]);
  });

  test('locator: an own gateway that a dial has left through, and that is critical by then, is none either', () => {
    hearFallbacks('198.51.100.7');
    hearLocal(gateway({ address: '10.1.0.5' }));
    expect(ways('dc1')).toContain('10.1.0.5');
    hearLocal(gateway({ address: '10.1.0.5', checks: ['critical'] }));
    tried('10.1.0.5', 'dc1', undefined);
    expect(ways('dc1')).toBe('198.51.100.7:8443');
  });

  test('locator: own gateways are no history', () => {
    hearLocal(gateway({ address: 'l1' }));
    tried('l1', 'dc1', undefined);
    hearLocal();
    expect(ways('dc1')).toBe('');
  });
});

describe('locator: probes', () => {
  const probes = (): string =>
    locator
      .toProbe()
      .map(({ gateway: { host }, datacenter }) => `${host}>${datacenter}`)
      .join(' ');

  test('locator: doors of the primary are tried before they are needed, each by one', () => {
    hearFallbacks('f1', 'f2');
    expect(probes()).toBe('f1>dc1 f2>dc1');
    expect(probes()).toBe('');
    tried('f1', 'dc1', undefined);
    now += 9_000;
    expect(probes()).toBe('');
    now += 1_000; // nobody reported
    expect(probes()).toBe('f2>dc1');
    tried('f2', 'dc1', undefined);
    now += 5 * 60_000;
    expect(probes()).toBe('f1>dc1 f2>dc1');
  });

  test('locator: what failed is tried again once its rest is over, towards any datacenter', () => {
    hearStates(state('dc3', [gateway({ address: 'w3' })]));
    hearLocal(gateway({ address: 'l1' }), gateway({ address: 'l2' }));
    expect(probes()).toBe('l1>dc1 l2>dc1');
    for (const of of ['dc1', 'dc3']) for (const host of ['l1', 'l2']) tried(host, of, undefined);
    expect(probes()).toBe('');
    tried('l1', 'dc3', 'closed_before_tls');
    expect(probes()).toBe('');
    now += 1_000;
    expect(probes()).toBe('l1>dc3');
    expect(probes()).toBe('');
  });
});

describe('locator: three levels', () => {
  test('locator: knows nothing before it heard anything', () => {
    expect(ways('dc1')).toBe('');
    expect(locator.explain('dc1').mode).toBe('none');
  });

  test('locator: answers from fallback at once, without state or leader', () => {
    hearFallbacks('f1');
    expect(ways('dc1')).toBe('f1:8443');
    expect(locator.explain('dc1').mode).toBe('fallback');
    expect(ways('dc3')).toBe('');
  });

  test('locator: a stale record does not hide a correct fallback, nor the other way round', () => {
    hearFallbacks('f1');
    hearStates(state('dc1', [gateway({ address: '10.1.0.100', wan: { Address: 'p1', Port: 443 } })]));
    expect(ways('dc1')).toBe('f1:8443 p1:443');
  });

  test('locator: own gateways come first, on their LAN address', () => {
    hearStates(state('dc1', [gateway({ address: 'p1' })]));
    hearLocal(gateway({ address: '10.2.0.100', wan: { Address: 'w2', Port: 443 } }));
    expect(ways('dc1')).toBe('10.2.0.100:8443 p1:8443');
    expect(ways('dc3')).toBe('10.2.0.100:8443');
    expect(locator.explain('dc1').mode).toBe('local');
  });

  test('locator: until the catalog was heard our own record will do; then the catalog alone counts', () => {
    hearStates(state('DC2', [gateway({ address: 'old', wan: { Address: 'w2', Port: 443 } })]));
    expect(ways('dc3')).toBe('old:8443');
    hearLocal(gateway({ address: 'new' }));
    expect(ways('dc3')).toBe('new:8443');
    hearLocal();
    expect(ways('dc3')).toBe('');
  });

  test('locator: the primary dials the others through its own gateways', () => {
    locator = from('dc1');
    hearStates(
      state('dc1', [gateway({ address: '10.1.0.100' })]),
      state('dc2', [gateway({ address: 'w2' })]),
    );
    expect(ways('dc2')).toBe('10.1.0.100:8443');
    expect(ways('dc1')).toBe('10.1.0.100:8443');
  });

  test('locator: a gateway that turns critical is gone with the next news', () => {
    hearLocal(gateway({ address: 'g' }));
    expect(ways('dc3')).toBe('g:8443');
    hearLocal(gateway({ address: 'g', checks: ['critical'] }));
    expect(ways('dc3')).toBe('');
  });

  test('locator: I6, lists and counters alone decide, not the order of the news', () => {
    const news = [
      () => hearFallbacks('f1', 'f2'),
      () => hearStates(state('dc1', [gateway({ address: 'p1' })]), state('dc2', [gateway({ address: 'o' })])),
      () => hearLocal(gateway({ address: 'l1' }), gateway({ address: 'l2' })),
      () => locator.hear({ kind: 'round', ok: false }),
      () => locator.hear({ kind: 'round', ok: false }),
    ];
    const answers = new Set<string>();
    fc.assert(
      fc.property(fc.shuffledSubarray(news, { minLength: news.length }), (order) => {
        locator = from('dc2');
        for (const tell of order) tell();
        answers.add([ways('dc1'), ways('dc3')].join(' | '));
      }),
    );
    expect(answers.size).toBe(1);
  });
});

describe('locator: replication rounds', () => {
  beforeEach(() => {
    hearFallbacks('f1');
    hearLocal(gateway({ address: 'l1' }));
  });
  const local = 'l1:8443 f1:8443';
  const direct = 'f1:8443 l1:8443';
  const table: readonly (readonly [string, readonly ('ok' | 'failed' | 'denied')[], string])[] = [
    ['none yet', [], local],
    ['good', ['ok'], local],
    ['two failures', ['failed', 'failed'], local],
    ['three failures', ['failed', 'failed', 'failed'], direct],
    ['three failures, then good', ['failed', 'failed', 'failed', 'ok'], local],
    ['failures with one good between', ['failed', 'failed', 'ok', 'failed', 'failed'], local],
    ['refused for lack of rights', ['denied', 'denied', 'denied', 'denied'], local],
  ];
  for (const [what, rounds, expected] of table) {
    test(`locator: rounds ${what}: ${expected}`, () => {
      for (const round of rounds) {
        locator.hear({ kind: 'round', ok: round === 'ok', transport: round === 'failed' });
      }
      expect(ways('dc1')).toBe(expected);
      expect(ways('dc3')).toBe('l1:8443');
    });
  }
});

describe('locator: learning', () => {
  beforeEach(() => {
    hearFallbacks('f1');
    hearLocal(gateway({ address: 'l1' }), gateway({ address: 'l2' }));
  });

  test('locator: a dead gateway moves behind the others, for every datacenter, but stays', () => {
    tried('l1', 'dc1', 'connect_refused');
    expect(ways('dc1')).toBe('l2:8443 f1:8443 l1:8443');
    expect(ways('dc3')).toBe('l2:8443 l1:8443');
  });

  test('locator: a gateway without a route moves back for that datacenter only', () => {
    tried('l1', 'dc1', 'closed_before_tls');
    expect(ways('dc1')).toBe('l2:8443 f1:8443 l1:8443');
    expect(ways('dc3')).toBe('l1:8443 l2:8443');
  });

  test('locator: when all own gateways are broken, the primary’s doors are first, on every server', () => {
    tried('l1', 'dc1', 'tls_timeout');
    tried('l2', 'dc1', 'connect_refused');
    expect(ways('dc1')).toBe('f1:8443 l2:8443 l1:8443');
  });

  test('locator: after its rest one caller tries the preferred gateway again, the others do not', () => {
    hearLocal(gateway({ address: 'l1' }));
    tried('l1', 'dc1', 'connect_refused');
    now = 1_000;
    expect(ways('dc1')).toBe('l1:8443 f1:8443');
    expect(ways('dc1')).toBe('f1:8443 l1:8443');
    tried('l1', 'dc1', undefined);
    expect(ways('dc1')).toBe('l1:8443 f1:8443');
  });

  test('locator: explaining hands out no trial', () => {
    hearLocal(gateway({ address: 'l1' }));
    tried('l1', 'dc1', 'connect_refused');
    now = 1_000;
    for (let n = 0; n < 3; n++) locator.explain('dc1');
    expect(ways('dc1')).toBe('l1:8443 f1:8443');
  });

  test('locator: a gateway that left the lists comes back without a past', () => {
    tried('l1', 'dc1', 'connect_refused');
    hearLocal(gateway({ address: 'l2' }));
    hearLocal(gateway({ address: 'l1' }), gateway({ address: 'l2' }));
    expect(ways('dc1')).toBe('l1:8443 l2:8443 f1:8443');
  });

  test('locator: equals take turns', () => {
    let dice = 0;
    locator = createLocator({
      datacenter: 'dc2',
      primary: 'dc1',
      clock: { now: () => now },
      rng: { below: (n) => dice++ % n },
    });
    hearLocal(gateway({ address: 'l1' }), gateway({ address: 'l2' }));
    const firsts = new Set(Array.from({ length: 4 }, () => ways('dc3').split(' ')[0]));
    expect(firsts.size).toBe(2);
  });
});

describe('locator: telling others', () => {
  let routes: string[];
  let reached: string[];
  beforeEach(() => {
    routes = [];
    reached = [];
    locator.onRoutes((datacenters) => routes.push(datacenters.join('+')));
    locator.onReachable((datacenter) => reached.push(datacenter));
  });

  test('locator: the first address towards the primary is told at once', () => {
    hearFallbacks('f1');
    expect(routes).toEqual(['dc1']);
  });

  test('locator: unchanged lists are not told again', () => {
    hearFallbacks('f1', 'f2');
    hearFallbacks('f2', 'f1', 'f2');
    hearStates();
    expect(routes).toEqual(['dc1']);
  });

  test('locator: own gateways concern every datacenter known or asked for', () => {
    hearStates(state('dc3', null));
    ways('dc9');
    hearLocal(gateway({ address: 'l1' }));
    hearLocal(gateway({ address: 'l2' }));
    expect(routes).toEqual(['dc1+dc3+dc9', 'dc1+dc3+dc9']);
  });

  test('locator: another datacenter’s own gateways concern only that one, though our way there is the same', () => {
    hearLocal(gateway({ address: 'l1' }));
    hearStates(state('dc3', [gateway({ address: 'r1' })]));
    hearStates(state('dc3', [gateway({ address: 'r2' })]));
    hearStates();
    expect(routes).toEqual(['dc1', 'dc3', 'dc3', 'dc3']);
  });

  test('locator: when the listener is disposed nothing is told any more', () => {
    const heard: string[] = [];
    locator.onRoutes(() => heard.push('x'))[Symbol.dispose]();
    hearFallbacks('f1');
    expect(heard).toEqual([]);
  });

  test('locator: the first success, and the first after a failure, is told', () => {
    hearLocal(gateway({ address: 'l1' }));
    tried('l1', 'dc1', undefined);
    tried('l1', 'dc1', undefined);
    tried('l1', 'dc1', 'aborted');
    tried('l1', 'dc1', undefined);
    expect(reached).toEqual(['dc1']);
    tried('l1', 'dc1', 'tls_timeout');
    tried('l1', 'dc1', undefined);
    tried('l1', 'dc3', undefined);
    expect(reached).toEqual(['dc1', 'dc1', 'dc3']);
  });
});

describe('locator: for people', () => {
  test('locator: explain says where each candidate comes from, how it stands, and what was learned', () => {
    hearFallbacks('p1');
    hearStates(state('dc1', [gateway({ address: 'p1' }), gateway({ address: 'p2' })]));
    hearLocal(gateway({ address: 'l1' }));
    tried('l1', 'dc1', 'tls_timeout', 2_500);
    now = 900;
    tried('p2', 'dc1', undefined, 40);
    now = 1_400;
    const { text, candidates, mode, remoteGateways } = locator.explain('dc1');
    expect(text.split('\n')).toEqual([
      'dc1: mode replicated',
      '  1. p1:8443 (primary_record, fallback): untried',
      '  2. p2:8443 (primary_record): good; led there 0.5 s ago',
      '  3. l1:8443 (local_catalog): resting; tls_timeout 1.4 s ago; tried last for another 0.1 s',
      '  it has published p1:8443, p2:8443',
    ]);
    expect(mode).toBe('replicated');
    expect(remoteGateways).toHaveLength(2);
    expect(candidates[2]).toMatchObject({ standing: 'resting', failure: { code: 'tls_timeout' } });
    expect(candidates[1]).toMatchObject({ tookMs: 40, okMsAgo: 500 });
  });

  const whys: readonly (readonly [string, string, () => void, RegExp])[] = [
    [
      'dc2',
      'nothing at all',
      () => {},
      /no federation state has been replicated yet; primary_gateways yield/,
    ],
    [
      'dc2',
      'states, but none of the primary',
      () => hearStates(state('dc3', null)),
      /primary has no federation state/,
    ],
    [
      'dc2',
      'a primary without gateways',
      () => hearStates(state('dc1', null)),
      /the primary has registered no mesh/,
    ],
    [
      'dc2',
      'a primary with critical gateways',
      () => hearStates(state('dc1', [gateway({ checks: ['critical'] }), gateway({ meta: null })])),
      /the primary has 2 mesh gateway\(s\), but 1 without consul-wan-federation=1, 1 critical;/,
    ],
    [
      'dc1',
      'own gateways that are unwilling',
      () => hearLocal(gateway({ meta: null })),
      /^dc3: no gateway is known: our own datacenter has 1 mesh gateway\(s\), but 1 without/,
    ],
    [
      'dc1',
      'no own gateways',
      () => hearFallbacks('f1'),
      /^dc3: .*our own datacenter has registered no mesh gateway$/,
    ],
  ];
  for (const [here, what, tell, expected] of whys) {
    test(`locator: in ${here}, with ${what}, it says why there is no way`, () => {
      locator = from(here);
      tell();
      const { hop, text } = locator.diagnose(here === 'dc2' ? 'dc1' : 'dc3', []);
      expect(hop).toBe('no_gateway_known');
      expect(text).toMatch(expected);
    });
  }

  test('locator: gateways told over gossip are a way at once, and a change of routes', () => {
    const changes: (readonly string[])[] = [];
    using _heard = locator.onRoutes((datacenters) => changes.push(datacenters));
    hearStates(state('dc1', [gateway({ address: 'old' })]));
    changes.length = 0;
    locator.hear({ kind: 'told', addresses: [parseGatewayAddress('new')] });
    expect(changes).toEqual([['dc1']]);
    expect(locator.explain('dc1').candidates.map((c) => c.sources)).toContainEqual(['gossip']);
    tried('old', 'dc1', 'connect_timeout');
    expect(ways('dc1')).toBe('new:8443 old:8443');
    locator.hear({ kind: 'told', addresses: [] });
    expect(ways('dc1')).toBe('old:8443');
  });

  test('locator: diagnose knows own gateways, published ones, and who leads elsewhere', () => {
    hearLocal(gateway({ address: 'l1' }));
    const silent = [{ gateway: parseGatewayAddress('l1'), code: 'tls_timeout' }];
    expect(locator.diagnose('dc3', silent).hop).toBe('local_gateway');
    tried('l1', 'dc1', undefined);
    expect(locator.diagnose('dc3', silent).hop).toBe('local_gateway_route');
    hearStates(state('dc3', [gateway({ address: 'r1' })]));
    expect(locator.diagnose('dc3', silent)).toMatchObject({
      hop: 'remote_gateway',
      text: expect.stringContaining('r1:8443'),
    });
    now = 60_001;
    expect(locator.diagnose('dc3', silent).hop).toBe('local_gateway');
    expect(
      locator.diagnose('dc1', [{ gateway: parseGatewayAddress('f9'), code: 'connect_refused' }]).hop,
    ).toBe('remote_gateway');
  });
});

// ---- fixtures ----

function from(datacenter: string): Locator {
  // the last of n keeps the shuffle's hands off: lists stay in the order of their addresses
  return createLocator({
    datacenter,
    primary: 'dc1',
    clock: { now: () => now },
    rng: { below: (n) => n - 1 },
  });
}
const ways = (datacenter: string) => locator.waysTo(datacenter).map(renderHostPort).join(' ');
const hearStates = (...states: ReturnType<typeof state>[]) => locator.hear({ kind: 'states', states });
const hearLocal = (...gateways: ReturnType<typeof gateway>[]) =>
  locator.hear({ kind: 'localGateways', gateways });
function hearFallbacks(...hosts: string[]): void {
  locator.hear({ kind: 'fallbacks', addresses: hosts.map((host) => parseGatewayAddress(host)) });
}
function tried(host: string, datacenter: string, code: string | undefined, tookMs = 1): void {
  const outcome = code === undefined ? { ok: true } : { ok: false, code };
  locator.hear({ kind: 'tried', gateway: parseGatewayAddress(host), datacenter, tookMs, ...outcome });
}
