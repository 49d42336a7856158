import type { Candidate, SerfEvent, SerfMember } from '@fed/serf';
import { describe, expect, test } from 'vitest';
import { serverTags } from '../tags.ts';
import { lanAdmission, watchForTwins } from './admission.ts';
import { LanServers } from './servers.ts';

const own = '11111111-1111-1111-1111-111111111111';
const other = '22222222-2222-2222-2222-222222222222';
const vsn = { pMin: 1, pMax: 5, pCur: 2, dMin: 2, dMax: 5, dCur: 4 };

function tags(o: { readonly dc?: string; readonly id?: string; readonly shared?: number } = {}) {
  return serverTags({
    datacenter: o.dc ?? 'dc1',
    nodeId: o.id ?? other,
    serverPort: 8300,
    build: '1.9.8:',
    tls: true,
    acls: false,
    ...(o.shared === undefined ? {} : { shared: { servers: o.shared } }),
  });
}
const member = (name: string, over: Partial<SerfMember> = {}): SerfMember => ({
  name,
  host: '10.0.0.2',
  port: 8301,
  addr: Buffer.from([10, 0, 0, 2]),
  tags: tags(),
  status: 'alive',
  vsn,
  ...over,
});
const candidate = (name: string, over: Partial<Candidate> = {}): Candidate => ({
  ...member(name),
  status: 'none',
  ...over,
});

function admission(type: 'embedded' | 'etcd', members: readonly SerfMember[] = []) {
  const found: string[] = [];
  const admit = lanAdmission({
    config: { datacenter: 'dc1', nodeName: 'n1', engine: { type } as never },
    nodeId: own,
    members: () => members,
    foundAlone: (name, why) => found.push(`${name}: ${why}`),
  });
  return { admit, found };
}

describe('the pool of a datacenter', () => {
  test('is for one datacenter, in the original’s words', () => {
    const { admit } = admission('etcd');
    expect(admit(candidate('n2', { tags: tags({ dc: 'dc2' }) }))).toBe(
      `Member 'n2' part of wrong datacenter 'dc2'`,
    );
    expect(admit(candidate('n2', { tags: {} }))).toBe(`Member 'n2' part of wrong datacenter ''`);
  });

  test('has every machine once', () => {
    const { admit } = admission('etcd', [
      member('n3'),
      member('n4', { tags: tags({ id: 'gone' }), status: 'failed' }),
    ]);
    expect(admit(candidate('n2', { tags: tags({ id: own, shared: 3 }) }))).toBe(
      `Member 'n2' has conflicting node ID '${own}' with this agent's ID`,
    );
    expect(admit(candidate('n2', { tags: tags({ id: other, shared: 3 }) }))).toBe(
      `Member 'n2' has conflicting node ID '${other}' with member 'n3'`,
    );
    // A machine that failed under one name may come back under another.
    expect(admit(candidate('n2', { tags: tags({ id: 'gone', shared: 3 }) }))).toBeUndefined();
    expect(admit(candidate('n2', { status: 'left', tags: tags({ id: own }) }))).toBeUndefined();
  });

  test('takes servers that share its log, and agents that are no servers', () => {
    const { admit, found } = admission('etcd');
    expect(admit(candidate('n2', { tags: tags({ shared: 3 }) }))).toBeUndefined();
    expect(admit(candidate('c1', { tags: { dc: 'dc1', role: 'node', id: 'x' } }))).toBeUndefined();
    expect(found).toEqual([]);
  });

  for (const [engine, words] of [
    [
      'embedded',
      /'n2' is a second server of dc1, and this one keeps the log for itself: several servers need one etcd cluster/,
    ],
    ['etcd', /'n2' is a server of dc1 that does not share its log: set the same engine/],
  ] as const)
    test(`of a server with the engine ${engine} takes no server with a log of its own, and says so once`, () => {
      const { admit, found } = admission(engine);
      for (let i = 0; i < 3; i++) expect(admit(candidate('n2'))).toMatch(words);
      expect(admit(candidate('n1', { tags: tags({ id: own }) }))).toBeUndefined();
      expect(found).toEqual([expect.stringMatching(words)]);
    });
});

test('two servers with a log each that meet in the WAN pool only are named once', () => {
  const members: SerfMember[] = [];
  const found: string[] = [];
  const hear = watchForTwins(
    () => members,
    (datacenter, names) => found.push(`${datacenter}: ${names.join(' ')}`),
  );
  const join = (name: string, of: Record<string, string>): void => {
    const joined = member(name, { tags: of });
    members.push(joined);
    hear({ kind: 'member-join', members: [joined] });
  };
  join('n1.dc1', tags());
  join('n1.dc2', tags({ dc: 'dc2' }));
  join('n2.dc2', tags({ dc: 'dc2', shared: 2 }));
  expect(found).toEqual([]);
  join('n3.dc2', tags({ dc: 'dc2' }));
  join('n4.dc2', tags({ dc: 'dc2' }));
  expect(found).toEqual(['dc2: n1.dc2 n3.dc2']);
});

describe('the servers of a datacenter', () => {
  const world = () => {
    let now = 1_000;
    const servers = new LanServers(() => now);
    const tell = (kind: SerfEvent['kind'], row: SerfMember): void => {
      now += 1_000;
      servers.follow({ kind, members: [row] } as SerfEvent);
    };
    return { servers, tell };
  };

  test('are found by the address the log knows them by; who failed is one, who left is not', () => {
    const { servers, tell } = world();
    tell('member-join', member('n2'));
    tell('member-join', member('n1', { host: '10.0.0.1' }));
    tell('member-join', member('c1', { tags: { dc: 'dc1', role: 'node' } }));
    expect(servers.all().map((s) => `${s.name} ${s.address} ${s.status} ${s.sinceMs}`)).toEqual([
      'n1 10.0.0.1:8300 alive 3000',
      'n2 10.0.0.2:8300 alive 2000',
    ]);
    tell('member-update', member('n2'));
    expect(servers.at('10.0.0.2:8300')?.sinceMs).toBe(2000);
    tell('member-failed', member('n2', { status: 'failed' }));
    expect([servers.at('10.0.0.2:8300')?.status, servers.at('10.0.0.2:8300')?.sinceMs]).toEqual([
      'failed',
      6000,
    ]);
    tell('member-leave', member('n2', { status: 'left' }));
    expect(servers.at('10.0.0.2:8300')).toBeUndefined();
  });

  test('a server that moved is found at its new address, and whoever has the old one is not lost', () => {
    const { servers, tell } = world();
    tell('member-join', member('n2'));
    tell('member-join', member('n3'));
    tell('member-update', member('n2', { host: '10.0.0.9' }));
    expect([servers.at('10.0.0.2:8300')?.name, servers.at('10.0.0.9:8300')?.name]).toEqual(['n3', 'n2']);
  });
});
