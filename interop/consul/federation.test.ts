/**
 * federation.test.ts: real Consul datacenters and ours hold one federation, in either role, through our gateways.
 *
 * Each story: everybody meets, says the same, answers for everybody, and goes on so for 90 seconds (ten minutes with
 * FED_LONG=1) in which Consul's log holds no error; then each server in turn is killed, comes back, and is met again.
 */
import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { program } from '../lib/peers.ts';
import { type Kind, Mixed, type Site } from './mixed.ts';

/** Consul elects itself, retries its first join, and runs a gateway's first health check after up to 10 s. */
const formMs = 90_000;
const soakMs = process.env['FED_LONG'] === '1' ? 600_000 : 90_000;
/** A write has come to every datacenter; and all writes of a story have. */
const copiedMs = 45_000;
const mixedWritesMs = 240_000;
const lookEveryMs = 1_000;
/** Longer than Consul waits between two writes of its own record, 5 s. */
const restMs = 7_000;
const marginMs = 60_000;

interface Member {
  readonly Name: string;
  readonly Status: number;
}
interface Check {
  readonly CheckID: string;
  readonly Status: string;
}
interface FederationState {
  readonly Datacenter: string;
  readonly UpdatedAt: string;
  readonly PrimaryModifyIndex: number;
  readonly MeshGateways?: readonly {
    readonly Service: { readonly Address: string; readonly Port: number };
    readonly Checks: readonly Check[];
  }[];
}
interface Roots {
  readonly ActiveRootID: string;
  readonly TrustDomain: string;
  readonly Roots: readonly { readonly ID: string; readonly RootCert: string; readonly Active: boolean }[];
}

/** The original's command, asking the server of this datacenter. What it says on either channel. */
function consulCli(at: Site, cwd: string, args: readonly string[]): string {
  const [verb, ...rest] = args;
  const run = spawnSync(
    program('FED_PEER_CONSUL'),
    ['config', verb as string, `-http-addr=${at.http}`, ...rest],
    { cwd, encoding: 'utf8' },
  );
  return run.stdout + run.stderr;
}

/** When an entry was written differs from datacenter to datacenter. */
function without(entry: Record<string, unknown>): Record<string, unknown> {
  const { CreateIndex: _c, ModifyIndex: _m, ...rest } = entry;
  return rest;
}

const stories: readonly (readonly [name: string, kinds: readonly Kind[]])[] = [
  ['our secondary on a Consul primary', ['consul', 'ours']],
  ['a Consul secondary on our primary', ['ours', 'consul']],
  ['three datacenters: our primary, one secondary of each kind', ['ours', 'consul', 'ours']],
  ['three datacenters: a Consul primary, one secondary of each kind', ['consul', 'ours', 'consul']],
];

describe.each(stories)('%s', (_name, kinds) => {
  let mixed: Mixed;
  let formedAtLine: ReadonlyMap<Site, number>;

  beforeAll(async () => {
    mixed = await Mixed.start(kinds);
    await mixed.until('the federation has formed', formMs, () => formed(mixed));
    formedAtLine = new Map(mixed.sites.map((site) => [site, mixed.log(site).length]));
  }, formMs + marginMs);

  afterAll(async () => {
    await mixed?.[Symbol.asyncDispose]();
  }, marginMs);

  test('catalog and health of each datacenter are the same, whoever is asked for them', async () => {
    for (const of of mixed.sites) {
      const answers = new Map<string, unknown>();
      for (const asked of mixed.sites)
        for (const [question, read] of questions(of)) {
          const answer = read(await mixed.get(asked, `${question}dc=${of.datacenter}`));
          const known = answers.get(question);
          if (known === undefined) answers.set(question, answer);
          else expect(answer, `${asked.datacenter} asked for ${question} of ${of.datacenter}`).toEqual(known);
        }
      expect(answers.get('/v1/catalog/nodes?')).toEqual([`${of.node} of ${of.datacenter}`]);
      expect(answers.get('/v1/health/service/mesh-gateway?passing=1&')).toEqual([of.node]);
    }
  });

  test('a question for a datacenter nobody knows is refused by either in the same words', async () => {
    for (const asked of mixed.sites)
      await expect(mixed.get(asked, '/v1/catalog/nodes?dc=dc9')).rejects.toThrow(
        /500 .*No path to datacenter/,
      );
  });

  test('servers, their health, events and gossip keys of each datacenter, whoever is asked', async () => {
    type Servers = { readonly Servers: readonly { readonly Node: string; readonly Leader: boolean }[] };
    type Event = { readonly ID: string; readonly Payload: string | null };
    type Ring = { readonly WAN: boolean; readonly Datacenter: string; readonly Keys: object };
    for (const asked of mixed.sites) {
      for (const of of mixed.sites) {
        const story = `${asked.datacenter} asked about ${of.datacenter}`;
        const { Servers } = await mixed.get<Servers>(
          asked,
          `/v1/operator/raft/configuration?dc=${of.datacenter}`,
        );
        expect(Servers, story).toMatchObject([{ Node: of.node, Leader: true }]);
        expect(
          await mixed.get(asked, `/v1/operator/autopilot/health?dc=${of.datacenter}`),
          story,
        ).toMatchObject({ Healthy: true, Servers: [{ Name: of.node, SerfStatus: 'alive' }] });
        const name = `from-${asked.datacenter}`;
        const fired = await fetch(`${asked.http}/v1/event/fire/${name}?dc=${of.datacenter}`, {
          method: 'PUT',
          body: story,
        });
        const { ID } = (await fired.json()) as Event;
        const heard = await mixed.get<readonly Event[]>(of, `/v1/event/list?name=${name}`);
        expect(heard, story).toMatchObject([{ ID, Payload: Buffer.from(story).toString('base64') }]);
      }
      const rings = await mixed.get<readonly Ring[]>(asked, '/v1/operator/keyring');
      const wanted = ['WAN', ...mixed.sites.map(({ datacenter }) => datacenter)];
      expect(rings.map((ring) => (ring.WAN ? 'WAN' : ring.Datacenter)).sort()).toEqual(wanted.sort());
      expect(new Set(rings.map(({ Keys }) => Object.keys(Keys).join())).size).toBe(1);
    }
  });

  test(
    'config entries written at any datacenter are the primary’s, and come to be the same everywhere',
    async () => {
      const [primary] = mixed.sites as [Site, ...Site[]];
      for (const at of mixed.sites) {
        const service = `of-${at.datacenter}`;
        const cli = (...args: string[]): string => consulCli(at, mixed.folder, args);
        await writeFile(
          join(mixed.folder, 'entry.hcl'),
          `
        Kind = "service-resolver"
        Name = "${service}"
        DefaultSubset = "v1"
        ConnectTimeout = "15s"
        Subsets = {
          v1 = { Filter = "Service.Meta.version == v1" }
          v2 = { Filter = "Service.Meta.version == v2", OnlyPassing = true }
        }
        Failover = { "*" = { Datacenters = ["dc2"] } }`,
        );
        expect(cli('write', 'entry.hcl')).toMatch(`Config entry written: service-resolver/${service}`);
        await writeFile(
          join(mixed.folder, 'entry.json'),
          JSON.stringify({
            Kind: 'proxy-defaults',
            Name: 'global',
            Config: { whole: 5, part: 0.5, list: [1, 'two'], by: at.datacenter },
          }),
        );
        expect(cli('write', 'entry.json')).toMatch('Config entry written: proxy-defaults/global');
        expect(cli('write', '-cas', '-modify-index=1', 'entry.json')).toMatch(/not updated: proxy-defaults/);
        // Of all of its kind: Consul logs an error when it is asked for one it does not have yet.
        const shown = async (site: Site, kind: string, name: string) => {
          const all = await mixed.get<readonly Record<string, unknown>[]>(site, `/v1/config/${kind}`);
          return without(all.find(({ Name }) => Name === name) ?? {});
        };
        const truth = await shown(primary, 'service-resolver', service);
        expect(truth).toMatchObject({ ConnectTimeout: '15s', DefaultSubset: 'v1' });
        for (const site of mixed.sites)
          await mixed.until(`${site.datacenter} has what ${at.datacenter} wrote`, copiedMs, async () => {
            const [resolver, proxy] = await Promise.all([
              shown(site, 'service-resolver', service),
              shown(site, 'proxy-defaults', 'global'),
            ]);
            expect(resolver).toEqual(truth);
            expect(proxy).toMatchObject({
              Config: { whole: 5, part: 0.5, list: [1, 'two'], by: at.datacenter },
            });
            return true;
          });
        await mixed.until(`${at.datacenter} reads its own`, copiedMs, async () =>
          cli('read', '-kind=service-resolver', `-name=${service}`).includes('"ConnectTimeout": "15s"'),
        );
        expect(cli('list', '-kind=service-resolver').split('\n')).toContain(service);
        expect(cli('delete', '-kind=service-resolver', `-name=${service}`)).toMatch('Config entry deleted');
        for (const site of mixed.sites)
          await mixed.until(`${site.datacenter} has it no more`, copiedMs, async () => {
            const left = await mixed.get<readonly { Name: string }[]>(site, '/v1/config/service-resolver');
            return left.every(({ Name }) => Name !== service);
          });
      }
    },
    mixedWritesMs,
  );

  test('the mesh has one root and one trust domain, those of the primary', async () => {
    const [primary, ...secondaries] = mixed.sites as [Site, ...Site[]];
    const truth = await mixed.get<Roots>(primary, '/v1/connect/ca/roots');
    expect(truth.TrustDomain).toMatch(/^[0-9a-f-]{36}\.consul$/);
    for (const site of secondaries) {
      const seen = await mixed.get<Roots>(site, '/v1/connect/ca/roots');
      expect([seen.ActiveRootID, seen.TrustDomain]).toEqual([truth.ActiveRootID, truth.TrustDomain]);
      expect(seen.Roots.map((root) => root.RootCert)).toEqual(truth.Roots.map((root) => root.RootCert));
    }
  });

  if (kinds.slice(1).includes('consul'))
    test('a Consul secondary certifies services under the root of the primary', async () => {
      const [primary, ...secondaries] = mixed.sites as [Site, ...Site[]];
      const { Roots, TrustDomain } = await mixed.get<Roots>(primary, '/v1/connect/ca/roots');
      const root = new X509Certificate(Roots.find((one) => one.Active)?.RootCert as string);
      for (const site of secondaries.filter(({ kind }) => kind === 'consul')) {
        const { CertPEM } = await mixed.get<{ readonly CertPEM: string }>(
          site,
          '/v1/agent/connect/ca/leaf/web',
        );
        const chain = CertPEM.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
        const [leaf, intermediate] = chain.map((pem) => new X509Certificate(pem));
        expect(leaf?.subjectAltName).toContain(
          `spiffe://${TrustDomain}/ns/default/dc/${site.datacenter}/svc/web`,
        );
        expect(intermediate?.ca).toBe(true);
        expect(leaf?.verify(intermediate?.publicKey as X509Certificate['publicKey'])).toBe(true);
        expect(intermediate?.verify(root.publicKey)).toBe(true);
        expect(intermediate?.checkIssued(root)).toBe(true);
      }
    });

  test(
    `for ${soakMs / 1000} s everybody is alive, everybody answers, and nobody writes what has not changed`,
    async () => {
      const before = await statesAtRest(mixed);
      const end = performance.now() + soakMs;
      while (performance.now() < end) {
        expect(await formed(mixed)).toBe(true);
        for (const asked of mixed.sites)
          for (const of of mixed.sites)
            expect(
              await mixed.get(asked, `/v1/health/service/consul?passing=1&dc=${of.datacenter}`),
            ).toHaveLength(1);
        await pause(lookEveryMs);
      }
      for (const site of mixed.sites) expect(await statesOf(mixed, site)).toEqual(before);
    },
    soakMs + marginMs,
  );

  test('Consul has logged no error since the federation formed', () => {
    for (const site of mixed.sites.filter(({ kind }) => kind === 'consul')) {
      const since = mixed.log(site).slice(formedAtLine.get(site));
      const errors = since.filter((line) => /\[ERR(OR)?\]/.test(line));
      expect(errors.filter((line) => !ordinary.some((pattern) => pattern.test(line)))).toEqual([]);
    }
  });

  test(
    'whichever server is killed and comes back, the federation forms again',
    async () => {
      for (const site of mixed.sites) {
        const roots = await mixed.get<Roots>(mixed.sites[0] as Site, '/v1/connect/ca/roots');
        await mixed.killServer(site);
        mixed.startServer(site);
        await mixed.until(`${site.datacenter} is met again`, formMs, () => formed(mixed));
        const now = await mixed.get<Roots>(mixed.sites[0] as Site, '/v1/connect/ca/roots');
        expect(now).toEqual(roots);
      }
    },
    kinds.length * (formMs + 10_000),
  );
});

/** Errors that an all-Consul federation logs in its ordinary life. */
const ordinary: readonly RegExp[] = [
  // A packet connection nobody has used for two minutes is closed by either side, and Consul reports its end.
  /failed to ingest RPC/,
  // Our own question for a datacenter that does not exist.
  /Request error: .*dc=dc9 .*No path to datacenter/,
];

/** What is asked of every datacenter, and what of the answer must not depend on who was asked. */
function questions(of: Site): readonly (readonly [string, (answer: unknown) => unknown])[] {
  type Row = Readonly<Record<string, unknown>>;
  const rows = (answer: unknown): readonly Row[] => answer as readonly Row[];
  const nodes = (answer: unknown) => rows(answer).map((row) => (row['Node'] as Row)['Node']);
  const checks = (answer: unknown) =>
    rows(answer)
      .map((row) => `${row['Node']} ${row['CheckID']} ${row['Status']}`)
      .sort();
  return [
    ['/v1/catalog/nodes?', (answer) => rows(answer).map((row) => `${row['Node']} of ${row['Datacenter']}`)],
    ['/v1/catalog/services?', (answer) => answer],
    [
      '/v1/catalog/service/mesh-gateway?',
      (answer) => rows(answer).map((row) => [row['Node'], row['ServiceAddress'], row['ServicePort']]),
    ],
    [`/v1/catalog/node/${of.node}?`, (answer) => Object.keys((answer as Row)['Services'] as object).sort()],
    ['/v1/health/service/consul?', nodes],
    ['/v1/health/service/mesh-gateway?passing=1&', nodes],
    [`/v1/health/node/${of.node}?`, checks],
    ['/v1/health/checks/mesh-gateway?', checks],
    ['/v1/health/state/passing?', checks],
    ['/v1/status/leader?', (answer) => answer],
    ['/v1/status/peers?', (answer) => answer],
  ];
}

/** Federation states as this datacenter holds them, without what each datacenter counts for itself. */
async function statesOf(mixed: Mixed, site: Site): Promise<readonly unknown[]> {
  const states = await mixed.get<readonly FederationState[]>(site, '/v1/internal/federation-states');
  return states.map(({ Datacenter, UpdatedAt, PrimaryModifyIndex, MeshGateways }) => ({
    Datacenter,
    UpdatedAt,
    PrimaryModifyIndex,
    gateways: (MeshGateways ?? []).map(({ Service, Checks }) => ({
      address: `${Service.Address}:${Service.Port}`,
      checks: Checks.map(({ CheckID, Status }) => `${CheckID} ${Status}`).sort(),
    })),
  }));
}

/**
 * When nobody has anything left to publish. Consul lays proxy-defaults over its gateways' rows and so publishes its record
 * again after they were written, up to 5 s later: what an earlier story wrote may still be under way.
 */
async function statesAtRest(mixed: Mixed): Promise<readonly unknown[]> {
  const primary = mixed.sites[0] as Site;
  let states = await statesOf(mixed, primary);
  let since = performance.now();
  await mixed.until('the records rest', marginMs / 2, async () => {
    const now = await statesOf(mixed, primary);
    if (JSON.stringify(now) !== JSON.stringify(states)) since = performance.now();
    states = now;
    return performance.now() - since > restMs;
  });
  return states;
}

/** Everybody sees everybody alive, all hold the same states with one passing gateway each, and the mesh has its root. */
async function formed(mixed: Mixed): Promise<boolean> {
  const names = mixed.sites.map(({ node, datacenter }) => `${node}.${datacenter}`).sort();
  const truth = JSON.stringify(await statesOf(mixed, mixed.sites[0] as Site));
  for (const site of mixed.sites) {
    const members = await mixed.get<readonly Member[]>(site, '/v1/agent/members?wan=1');
    const alive = members.filter(({ Status }) => Status === 1).map(({ Name }) => Name);
    if (String(alive.sort()) !== String(names)) return false;
    if (JSON.stringify(await statesOf(mixed, site)) !== truth) return false;
    const states = await mixed.get<readonly FederationState[]>(site, '/v1/internal/federation-states');
    const passing = states.filter(
      ({ MeshGateways }) =>
        MeshGateways?.length === 1 && MeshGateways[0]?.Checks.every(({ Status }) => Status === 'passing'),
    );
    if (passing.length !== names.length) return false;
    const { Roots } = await mixed.get<Roots>(site, '/v1/connect/ca/roots');
    if (Roots.length !== 1) return false;
    for (const of of mixed.sites) await mixed.get(site, `/v1/catalog/nodes?dc=${of.datacenter}`);
  }
  return true;
}
