/**
 * Two datacenters of three servers and two gateways each, one federation: what a datacenter is when any of its servers may go.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EtcdCluster } from './cluster.ts';
import { type Answer, Datacenters, type Gateway, patienceMs, type Server } from './datacenters.ts';

let etcd: EtcdCluster;
let all: Datacenters;

beforeAll(async () => {
  etcd = await EtcdCluster.open(1);
  all = await Datacenters.prepare({
    datacenters: ['dc1', 'dc2'],
    serversEach: 3,
    gatewaysEach: 2,
    etcd: etcd.endpoints,
  });
  all.startAll();
  await all.until('the federation has formed', () => all.formed());
}, 2 * patienceMs);

afterAll(async () => {
  await all?.[Symbol.asyncDispose]();
  await etcd?.[Symbol.asyncDispose]();
});

const others = (datacenter: string, than: Server): readonly Server[] =>
  all.alive(datacenter).filter((server) => server !== than);
const service = (server: Server, name: string) =>
  all.get<readonly { readonly Node: string }[]>(server, `/v1/catalog/service/${name}`);

describe('a datacenter of three servers', () => {
  test('has one leader, and all know it; peers are all three', async () => {
    for (const datacenter of ['dc1', 'dc2']) {
      const leader = await all.leader(datacenter);
      for (const server of all.of(datacenter)) {
        expect(await all.get(server, '/v1/status/leader')).toBe(leader.address);
        expect([...(await all.get<string[]>(server, '/v1/status/peers'))].sort()).toEqual(
          all
            .of(datacenter)
            .map(({ address }) => address)
            .sort(),
        );
      }
    }
  });

  test('keeps its servers in the catalog as the original does', async () => {
    interface Row {
      readonly Node: {
        readonly Node: string;
        readonly Meta: object | null;
        readonly TaggedAddresses: object;
      };
      readonly Service: { readonly Meta: object; readonly Port: number };
      readonly Checks: readonly { readonly CheckID: string; readonly Status: string }[];
    }
    const [server] = all.of('dc1') as [Server];
    // What the leader knows of a member comes first; what only the server itself knows follows.
    const rows = await all.until('every server has written its own node', async () => {
      const found = await all.get<readonly Row[]>(server, '/v1/health/service/consul');
      return found.length === 3 && found.every(({ Node }) => Node.Meta !== null) && found;
    });
    expect(rows.map(({ Node }) => Node.Node).sort()).toEqual(['n1', 'n2', 'n3']);
    for (const { Node, Service, Checks } of rows) {
      expect(Node.Meta).toEqual({ 'consul-network-segment': '' });
      expect(Node.TaggedAddresses).toMatchObject({ lan: '127.0.0.1', wan: '127.0.0.1' });
      expect(Service.Meta).toMatchObject({ raft_version: '3', serf_protocol_current: '2' });
      expect(Checks.map(({ CheckID, Status }) => `${CheckID} ${Status}`)).toEqual(['serfHealth passing']);
    }
  });

  test('takes writes at any server, and answers with them at any', async () => {
    const leader = await all.leader('dc1');
    const [follower, third] = others('dc1', leader) as [Server, Server];
    await all.put(follower, '/v1/catalog/register', {
      Node: 'printer',
      Address: '10.0.0.99',
      Service: { Service: 'ipp', Port: 631 },
    });
    expect((await service(third, 'ipp')).map(({ Node }) => Node)).toEqual(['printer']);
    await all.put(follower, '/v1/agent/service/register', { Name: 'web', Port: 80, Check: { TTL: '600s' } });
    expect(Object.keys(await all.get<object>(follower, '/v1/agent/services'))).toContain('web');
    expect((await service(leader, 'web')).map(({ Node }) => Node)).toEqual([follower.name]);
    await all.put(follower, '/v1/agent/check/pass/service:web', {});
    expect(await all.get<unknown[]>(third, '/v1/health/service/web?passing')).toHaveLength(1);
  });

  test('answers stale reads itself, and says how old they may be', async () => {
    const leader = await all.leader('dc1');
    const [follower] = others('dc1', leader) as [Server];
    const fresh = await all.ask(follower, '/v1/catalog/nodes');
    expect([fresh.headers.get('x-consul-knownleader'), fresh.headers.get('x-consul-lastcontact')]).toEqual([
      'true',
      '0',
    ]);
    const stale = await all.ask(follower, '/v1/catalog/nodes?stale');
    expect(stale.headers.get('x-consul-knownleader')).toBe('true');
    expect(Number(stale.headers.get('x-consul-lastcontact'))).toBeGreaterThan(0);
    expect((await all.ask(follower, '/v1/catalog/nodes?consistent')).status).toBe(200);
  });

  test('has all of them behind its gateway', async () => {
    for (const { datacenter } of all.gateways) {
      const [beside] = all.of(datacenter) as [Server];
      const dump = (await all.ask(beside, '/v1/agent/xds/dump')).text;
      for (const { name } of all.of(datacenter))
        expect(dump).toContain(`${name}.server.${datacenter}.consul`);
    }
  });
});

/** What became of a question: 'ok', or why not. */
const outcome = (asked: Promise<Answer>): Promise<string> =>
  asked.then(({ status, text }) => (status === 200 ? 'ok' : `${status} ${text}`), String);
const bad = (outcomes: readonly string[]): readonly string[] => outcomes.filter((each) => each !== 'ok');
/** What no accident excuses: a budget used up on a busy machine is one, and a write may lose its connection half way. */
const inexcusable = (outcomes: readonly string[]): readonly string[] =>
  bad(outcomes).filter((each) => !/No cluster leader|deadline reached|session shutdown|EOF/.test(each));

/** Asks every 100 ms, without waiting for answers; then waits for all of them. */
async function steadily(times: number, ask: (i: number) => Promise<Answer>): Promise<readonly string[]> {
  const asked: Promise<string>[] = [];
  for (let i = 0; i < times; i++) {
    asked.push(outcome(ask(i)));
    await pause(100);
  }
  return await Promise.all(asked);
}

const register = (server: Server, node: string): Promise<Answer> =>
  all.ask(server, '/v1/catalog/register', { Node: node, Address: '10.0.1.1' });

describe('when the leader of the primary is killed', () => {
  test(
    'writes and reads go on, another leads and publishes, and dc2 reads dc1 all along',
    async () => {
      const killed = await all.leader('dc1');
      const [survivor] = others('dc1', killed) as [Server];
      const [abroad] = all.of('dc2') as [Server];
      const began = performance.now();
      await killed.child?.kill();
      const [written, read] = await Promise.all([
        steadily(40, (i) => register(survivor, `w${i}`)),
        steadily(40, () => all.ask(abroad, '/v1/catalog/nodes?dc=dc1')),
      ]);
      expect([inexcusable(written), inexcusable(read)]).toEqual([[], []]);
      expect([bad(written.slice(-10)), bad(read.slice(-10))]).toEqual([[], []]);
      const tookMs = Math.round(performance.now() - began);
      const done = (outcomes: readonly string[]): string => `${40 - bad(outcomes).length} of 40`;
      process.stdout.write(
        `  leader killed: ${done(written)} writes and ${done(read)} reads from dc2 done, in ${tookMs} ms\n`,
      );
      const nodes = await all.get<readonly { Node: string }[]>(survivor, '/v1/catalog/nodes');
      for (const [i, each] of written.entries())
        if (each === 'ok') expect(nodes.map(({ Node }) => Node)).toContain(`w${i}`);

      const next = await all.leader('dc1');
      expect(next).not.toBe(killed);
      await all.until('gossip’s check of the killed server is critical', async () => {
        const checks = await all.get<readonly { Status: string; CheckID: string }[]>(
          next,
          `/v1/health/node/${killed.name}`,
        );
        return checks.some(({ CheckID, Status }) => CheckID === 'serfHealth' && Status === 'critical');
      });
      expect(bad(await steadily(10, () => all.ask(abroad, '/v1/catalog/nodes?dc=dc1')))).toEqual([]);

      // What happens to a gateway now is published by the new leader, and heard in dc2.
      const gateway = all.gateways.find((g) => g.datacenter === 'dc1' && g.server !== killed.name) as Gateway;
      const left = all.gateways.some((g) => g.datacenter === 'dc1' && g.server === killed.name) ? 0 : 1;
      await all.until('one more is gone', async () => (await all.published(next, 'dc1')) === left + 1);
      await gateway.child?.kill();
      await all.until('dc1 says so', async () => (await all.published(next, 'dc1')) === left);
      all.startGateway(gateway);
      all.start(killed);
      await all.until('all is as before', () => all.formed());
    },
    3 * patienceMs,
  );
});

describe('when the leader of the primary is frozen', () => {
  test(
    'reads go on all along and writes as soon as another leads; thawed, it knows that it does not',
    async () => {
      const frozen = await all.leader('dc1');
      const [survivor] = others('dc1', frozen) as [Server];
      const [abroad] = all.of('dc2') as [Server];
      frozen.child?.signal('SIGSTOP');
      try {
        const reads = steadily(40, (i) => all.ask(i % 2 ? survivor : abroad, '/v1/catalog/nodes?dc=dc1'));
        await all.until('another leads', async () => {
          const told = await all.get<string>(survivor, '/v1/status/leader');
          return told !== '' && told !== frozen.address;
        });
        expect(bad(await steadily(10, (i) => register(survivor, `f${i}`)))).toEqual([]);
        const read = await reads;
        expect([inexcusable(read), bad(read.slice(-10))]).toEqual([[], []]);
      } finally {
        frozen.child?.signal('SIGCONT');
      }
      expect(await all.leader('dc1')).not.toBe(frozen);
      // What it answers now, it has from who leads.
      const nodes = await all.get<readonly { Node: string }[]>(frozen, '/v1/catalog/nodes?consistent');
      expect(nodes.map(({ Node }) => Node)).toContain('f9');
      await all.until('all is as before', () => all.formed());
    },
    2 * patienceMs,
  );
});

describe('when etcd is away', () => {
  test(
    'nobody leads; what is known is still read, and gateways go on; all else is refused in the original’s words',
    async () => {
      const [server] = all.of('dc1') as [Server];
      const [abroad] = all.of('dc2') as [Server];
      const [member] = etcd.members;
      await etcd.kill(member!);
      try {
        await all.until(
          'nobody leads',
          async () => (await all.get<string>(server, '/v1/status/leader')) === '',
        );
        const stale = await all.ask(server, '/v1/catalog/nodes?stale');
        expect([stale.status, stale.headers.get('x-consul-knownleader')]).toEqual([200, 'false']);
        expect(await outcome(all.ask(abroad, '/v1/catalog/nodes?stale&dc=dc1'))).toBe('ok');
        const [read, write] = await Promise.all([
          all.ask(server, '/v1/catalog/nodes'),
          register(server, 'nowhere'),
        ]);
        expect([read.status, write.status]).toEqual([500, 500]);
        expect(read.text + write.text).toMatch(/No cluster leader.*No cluster leader/s);
      } finally {
        etcd.start(member!);
      }
      await all.leader('dc1');
      expect(await outcome(register(server, 'again'))).toBe('ok');
      const nodes = await all.get<readonly { Node: string }[]>(abroad, '/v1/catalog/nodes?dc=dc1');
      expect(nodes.map(({ Node }) => Node)).toEqual(expect.arrayContaining(['again', 'w39', 'f9']));
      expect(nodes.map(({ Node }) => Node)).not.toContain('nowhere');
      await all.until('all is as before', () => all.formed());
    },
    2 * patienceMs,
  );
});

describe('when a server leaves', () => {
  test(
    'the leader hands over before it goes, writes go on, and the others take it out of the catalog',
    async () => {
      const leaving = await all.leader('dc2');
      const [survivor] = others('dc2', leaving) as [Server];
      const left = all.ask(leaving, '/v1/agent/leave', {});
      const outcomes: string[] = [];
      for (let i = 0; leaving.child?.running && i < 200; i++) {
        const { status, text } = await all.ask(survivor, '/v1/catalog/register', {
          Node: `x${i}`,
          Address: '10.0.2.1',
        });
        outcomes.push(status === 200 ? 'ok' : text);
        await pause(50);
      }
      expect((await left).status).toBe(200);
      expect(new Set(outcomes)).toEqual(new Set(['ok']));
      expect(await leaving.child?.exited).toBe(0);
      await all.until('its node is gone', async () => {
        const nodes = await all.get<readonly { Node: string }[]>(survivor, '/v1/catalog/nodes');
        return !nodes.some(({ Node }) => Node === leaving.name);
      });
      expect(await all.get<string[]>(survivor, '/v1/status/peers')).toHaveLength(2);
    },
    patienceMs,
  );
});
