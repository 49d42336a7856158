/** consul.test.ts: one of our serfs in the WAN pool of a real Consul server, as a server of another datacenter. */
import { randomBytes, randomUUID } from 'node:crypto';
import { Keyring, openUdpTcpTransport } from '@fed/memberlist';
import { openSerf, type Serf } from '@fed/serf';
import { describe, expect, test } from 'vitest';
import { Journal } from '../lib/journal.ts';
import { until } from '../lib/until.ts';
import { ConsulServer, profile } from './server.ts';

/** News travels in a few gossip rounds of 100 ms; this is for a machine that has other things to do, too. */
const newsMs = 15_000;
/** A leave waits for its broadcasts and 3 s for each of Consul's pools. */
const leaveMs = 30_000;

describe.each([
  ['plain', undefined],
  ['encrypted', randomBytes(32).toString('base64')],
])('the WAN pool of Consul, %s', (_kind, key) => {
  test('we join it: both are alive with their tags, and Consul counts our datacenter; we leave, and have left', async () => {
    await using consul = await ConsulServer.open('dc1', key === undefined ? {} : { key });
    await using ours = await OurServer.open(key);
    const { joined } = await ours.serf.join([`127.0.0.1:${consul.wanPort}`], { ignoreOld: true });
    expect(joined).toBe(1);
    await agree(consul, ours);

    await ours.serf.leave();
    await until('Consul sees that we have left', leaveMs, async () => {
      const seen = await consul.wanMember('fed-1.dc2');
      return seen?.Status === 3;
    });
    expect(ours.kinds()).not.toContain('member-failed');
    expect(consul.child.log.join('\n')).not.toMatch(/EventMemberFailed: fed-1\.dc2/);
  });

  test('it joins us: both are alive with their tags; it leaves, and has left', async () => {
    await using consul = await ConsulServer.open('dc1', key === undefined ? {} : { key });
    await using ours = await OurServer.open(key);
    await consul.put(`/v1/agent/join/127.0.0.1:${ours.serf.local().port}?wan=1`);
    await agree(consul, ours);

    const left = ours.hearsOf('member-leave', 'consul.dc1', leaveMs);
    await consul.put('/v1/agent/leave');
    await left;
    expect(ours.serf.member('consul.dc1')?.status).toBe('left');
    expect(ours.kinds()).not.toContain('member-failed');
  });
});

/** Each side sees the other alive with all its tags; Consul takes us for a server, so it lists our datacenter. */
async function agree(consul: ConsulServer, ours: OurServer): Promise<void> {
  await ours.hearsOf('member-join', 'consul.dc1', newsMs);
  const there = ours.serf.member('consul.dc1');
  expect(there).toMatchObject({ status: 'alive', host: '127.0.0.1', port: consul.wanPort });
  expect({ ...there?.tags }).toMatchObject({
    role: 'consul',
    dc: 'dc1',
    port: String(consul.rpcPort),
    id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    build: expect.stringMatching(/^\d+\.\d+\.\d+/),
  });

  const here = await until('Consul sees us alive', newsMs, async () => {
    const seen = await consul.wanMember('fed-1.dc2');
    return seen?.Status === 1 && seen;
  });
  const { host, port, tags } = ours.serf.local();
  expect(here).toMatchObject({ Addr: host, Port: port });
  expect(here.Tags).toEqual({ ...tags });
  await until('Consul lists our datacenter', newsMs, async () => {
    const datacenters = (await consul.get('/v1/catalog/datacenters')) as readonly string[];
    return datacenters.includes('dc2');
  });
}

class OurServer implements AsyncDisposable {
  readonly serf: Serf;
  readonly #journal: Journal;

  private constructor(serf: Serf, journal: Journal) {
    this.serf = serf;
    this.#journal = journal;
  }

  /** "fed-1" of dc2, with the tags that make a member of the WAN pool a server. */
  static async open(key: string | undefined): Promise<OurServer> {
    const journal = new Journal('fed-1.dc2');
    const transport = await openUdpTcpTransport({ host: '127.0.0.1', port: 0 });
    const bytes = key === undefined ? undefined : Buffer.from(key, 'base64');
    const serf = await openSerf({
      name: 'fed-1.dc2',
      tags: {
        role: 'consul',
        dc: 'dc2',
        segment: '',
        id: randomUUID(),
        vsn: '2',
        vsn_min: '2',
        vsn_max: '3',
        raft_vsn: '3',
        build: '1.20.0:fed',
        port: '8300',
        acls: '0',
        ft_fs: '1',
        ft_si: '1',
      },
      transport,
      memberlist: profile,
      config: { leavePropagateDelayMs: 3_000, nameConflictResolution: false },
      ...(bytes === undefined ? {} : { keyring: new Keyring([bytes], bytes) }),
      onEvent: (event) => journal.tell({ event }),
    });
    return new OurServer(serf, journal);
  }

  kinds(): readonly string[] {
    return this.#journal.lines.map(({ event }) => (event as { readonly kind: string }).kind);
  }

  async hearsOf(kind: string, name: string, timeoutMs: number): Promise<void> {
    await this.#journal.heard(`${kind} of ${name}`, timeoutMs, ({ event }) => {
      const told = event as {
        readonly kind: string;
        readonly members?: readonly { readonly name: string }[];
      };
      return told.kind === kind && told.members?.some((member) => member.name === name) === true;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.serf[Symbol.asyncDispose]();
  }
}
