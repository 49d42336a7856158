/**
 * Two datacenters of three servers and a gateway each, one federation: what a datacenter is when any of its servers may go.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EtcdCluster } from './cluster.ts';
import { Datacenters, patienceMs, type Server } from './datacenters.ts';

let etcd: EtcdCluster;
let all: Datacenters;

beforeAll(async () => {
  etcd = await EtcdCluster.open(1);
  all = await Datacenters.prepare({ datacenters: ['dc1', 'dc2'], serversEach: 3, etcd: etcd.endpoints });
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
    const [server] = all.of('dc1') as [Server];
    const rows = await all.get<
      readonly {
        Node: { Node: string; Meta: object; TaggedAddresses: object };
        Service: { Meta: object; Port: number };
        Checks: { CheckID: string; Status: string }[];
      }[]
    >(server, '/v1/health/service/consul');
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

describe('when the leader of the primary is killed', () => {
  test(
    'writes and reads go on, another leads, publishes, and dc2 reads dc1 all along',
    async () => {
      const killed = await all.leader('dc1');
      const [survivor] = others('dc1', killed) as [Server];
      const [abroad] = all.of('dc2') as [Server];
      const before = await all.get<readonly { Datacenter: string; ModifyIndex: number }[]>(
        survivor,
        '/v1/internal/federation-states',
      );

      const writes: Promise<string>[] = [];
      const reads: Promise<string>[] = [];
      const outcome = (asked: Promise<{ readonly status: number; readonly text: string }>): Promise<string> =>
        asked.then(({ status, text }) => (status === 200 ? 'ok' : `${status} ${text}`), String);
      const began = performance.now();
      await killed.child?.kill();
      for (let i = 0; i < 40; i++) {
        const node = `w${i}`;
        writes.push(outcome(all.ask(survivor, '/v1/catalog/register', { Node: node, Address: '10.0.1.1' })));
        reads.push(outcome(all.ask(abroad, '/v1/catalog/nodes?dc=dc1')));
        await pause(100);
      }
      const written = await Promise.all(writes);
      const read = await Promise.all(reads);
      expect(written.filter((each) => each !== 'ok')).toEqual([]);
      expect(read.filter((each) => each !== 'ok')).toEqual([]);
      const nodes = await all.get<readonly { Node: string }[]>(survivor, '/v1/catalog/nodes');
      for (let i = 0; i < 40; i++) expect(nodes.map(({ Node }) => Node)).toContain(`w${i}`);

      const next = await all.leader('dc1');
      expect(next).not.toBe(killed);
      process.stdout.write(
        `  leader killed; all of 40 writes and 40 reads answered within ${Math.round(performance.now() - began)} ms\n`,
      );
      await all.until('gossip’s check of the killed server is critical', async () => {
        const checks = await all.get<readonly { Status: string; CheckID: string }[]>(
          next,
          `/v1/health/node/${killed.name}`,
        );
        return checks.some(({ CheckID, Status }) => CheckID === 'serfHealth' && Status === 'critical');
      });
      // A gateway that changes is published by the new leader.
      const [gateway] = all.gateways;
      await gateway?.child?.kill();
      await all.until('dc1 says that its gateway is gone', async () => {
        const states = await all.get<readonly { Datacenter: string; ModifyIndex: number }[]>(
          survivor,
          '/v1/internal/federation-states',
        );
        const of = (list: typeof states): number =>
          list.find(({ Datacenter }) => Datacenter === 'dc1')?.ModifyIndex ?? 0;
        return of(states) > of(before);
      });
      all.startGateway(gateway!);
      all.start(killed);
      await all.until('all is as before', () => all.formed());
    },
    3 * patienceMs,
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
