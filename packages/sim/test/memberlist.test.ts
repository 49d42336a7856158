/**
 * memberlist.test.ts: whole stories of @fed/memberlist, production core and shell, on virtual time.
 */
import { type Hooks, Keyring, local, type Memberlist, type MemberlistConfig, wan } from '@fed/memberlist';
import { describe, expect, test } from 'vitest';
import { Cluster, disagreement } from '../src/index.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const text = (raw: Uint8Array): string => Buffer.from(raw).toString();

/** Members a, b, ... who all know each other. */
async function together(
  cluster: Cluster,
  names: readonly string[],
  hooks: Readonly<Record<string, Hooks>> = {},
): Promise<void> {
  for (const name of names) await cluster.start(name, hooks[name]);
  for (const name of names.slice(1))
    await cluster.clock.until(cluster.get(name).join([cluster.addressOf(names[0]!)]));
  await cluster.clock.run(60_000, () => disagreement(cluster.running) === undefined);
  expect(disagreement(cluster.running)).toBeUndefined();
}

function stateAt(cluster: Cluster, observer: string, name: string): string | undefined {
  return cluster.get(observer).member(name)?.state;
}

describe('joining', () => {
  test('a push/pull alone makes both know both', async () => {
    await using cluster = new Cluster({ seed: 1, config: { gossipIntervalMs: 0, probeIntervalMs: 0 } });
    await cluster.start('a');
    const b = await cluster.start('b');
    expect(await cluster.clock.until(b.join([cluster.addressOf('a')]))).toEqual({ joined: 1, errors: [] });
    await cluster.clock.run(100);
    expect(disagreement(cluster.running)).toBeUndefined();
  });

  test('sixteen encrypted members joined in a chain know each other within a second', async () => {
    await using cluster = new Cluster({ seed: 13, config: local, key: new Uint8Array(16).fill(7) });
    const names = Array.from({ length: 16 }, (_, i) => `n${i}`);
    for (const [i, name] of names.entries()) {
      await cluster.start(name);
      if (i > 0) await cluster.clock.until(cluster.get(name).join([cluster.addressOf(names[i - 1]!)]));
    }
    await cluster.clock.run(1_000, () => cluster.running.every((m) => m.members().length === 16));
    expect(cluster.running.map((m) => m.members().length)).toEqual(names.map(() => 16));
  });

  test('somebody who accepts and never answers costs tcpTimeoutMs', async () => {
    await using cluster = new Cluster({ seed: 2 });
    const a = await cluster.start('a');
    const mute = cluster.network.open({ host: '10.9.9.9', port: 7946 });
    mute.listen({ packet: () => {}, stream: () => {} });
    const before = cluster.clock.now();
    await expect(cluster.clock.until(a.join(['10.9.9.9:7946']))).rejects.toMatchObject({
      errors: [{ cause: { code: 'timeout' } }],
    });
    expect(cluster.clock.now() - before).toBeLessThan(2.1 * cluster.config.tcpTimeoutMs);
  });

  test('dead seeds are tried side by side', async () => {
    await using cluster = new Cluster({ seed: 3 });
    const a = await cluster.start('a');
    await cluster.start('b');
    cluster.network.partition([cluster.hostOf('a'), cluster.hostOf('b')]);
    const gone = Array.from({ length: 7 }, (_, i) => `10.8.0.${i + 1}:7946`);
    const before = cluster.clock.now();
    const { joined, errors } = await cluster.clock.until(a.join([...gone, cluster.addressOf('b')]));
    expect([joined, errors.length]).toEqual([1, 7]);
    expect(cluster.clock.now() - before).toBeLessThan(1.1 * cluster.config.tcpTimeoutMs);
  });

  test('calling off ends it at once', async () => {
    await using cluster = new Cluster({ seed: 4 });
    const a = await cluster.start('a');
    cluster.network.partition([cluster.hostOf('a')]);
    const off = new AbortController();
    const joining = a.join(['10.8.0.1:7946'], { signal: off.signal });
    cluster.clock.at(500, () => off.abort());
    await expect(cluster.clock.until(joining)).rejects.toMatchObject({ code: 'aborted' });
    expect(cluster.clock.now()).toBe(500);
  });

  test('a merge that is refused leaves both sides alone, and both were asked', async () => {
    await using cluster = new Cluster({ seed: 5 });
    const asked: string[] = [];
    const refuse = (name: string): Hooks => ({
      refuseMerge: (members) => {
        asked.push(`${name}: ${members.map((m) => m.name)}`);
        return 'no';
      },
    });
    await cluster.start('a', refuse('a'));
    const b = await cluster.start('b', refuse('b'));
    await expect(cluster.clock.until(b.join([cluster.addressOf('a')]))).rejects.toMatchObject({
      errors: [{ cause: { name: 'PeerError', code: 'refused' } }],
    });
    await cluster.clock.run(100);
    expect(asked.sort()).toEqual(['a: b', 'b: a']);
    expect(cluster.running.map((m) => m.members().length)).toEqual([1, 1]);
  });

  test('a veto on an alive keeps the member out while the join itself works', async () => {
    await using cluster = new Cluster({ seed: 6 });
    const a = await cluster.start('a', {
      refuseAlive: ({ name }) => (name === 'b' ? 'stranger' : undefined),
    });
    const b = await cluster.start('b');
    expect((await cluster.clock.until(b.join([cluster.addressOf('a')]))).joined).toBe(1);
    await cluster.clock.run(1_000);
    expect(a.member('b')).toBeUndefined();
    expect(b.member('a')?.state).toBe('alive');
    expect(a.stats().drops['alive_refused']).toBeGreaterThan(0);
  });

  test('a hook that throws breaks nothing; a check that throws refuses', async () => {
    await using cluster = new Cluster({ seed: 7 });
    const broken = (): never => {
      throw new Error('broken');
    };
    const a = await cluster.start('a', {
      changed: broken,
      localState: broken,
      ackPayload: broken,
      broadcasts: broken,
      refuseAlive: ({ name }) => (name === 'c' ? broken() : undefined),
    });
    for (const name of ['b', 'c']) {
      const member = await cluster.start(name);
      await cluster.clock.until(member.join([cluster.addressOf('a')]));
    }
    await cluster.clock.run(10_000);
    expect([a.member('b')?.state, a.member('c')]).toEqual(['alive', undefined]);
    expect(cluster.logged.get('hook_failed')).toBeGreaterThan(2);
  });

  test.each([
    ['none', 'one', undefined],
    ['one', 'none', undefined],
    ['another', 'one', undefined],
    ['the same', 'one', 'one'],
  ] as const)('labels: %s', async (kind, label, sameLabel) => {
    await using cluster = new Cluster({ seed: 8 });
    const labels: Record<string, readonly [string | undefined, string | undefined]> = {
      none: [undefined, label],
      one: [label, undefined],
      another: ['other', label],
      'the same': [label, sameLabel],
    };
    const [ofA, ofB] = labels[kind]!;
    await cluster.start('a', {}, ofA === undefined ? {} : { label: ofA });
    const b = await cluster.start('b', {}, ofB === undefined ? {} : { label: ofB });
    const joining = cluster.clock.until(b.join([cluster.addressOf('a')]));
    if (kind === 'the same') expect((await joining).joined).toBe(1);
    else await expect(joining).rejects.toMatchObject({ code: 'join_failed' });
    expect(b.members()).toHaveLength(kind === 'the same' ? 2 : 1);
  });

  test('networks that are not allowed stay out, also through a third member', async () => {
    await using cluster = new Cluster({ seed: 9 });
    // a and b are 10.0.0.1 and .2, c is 10.0.0.3: a does not take c.
    const a = await cluster.start('a', {}, { config: { cidrsAllowed: ['10.0.0.0/31', '10.0.0.2/32'] } });
    const b = await cluster.start('b');
    const c = await cluster.start('c');
    await cluster.clock.until(b.join([cluster.addressOf('a')]));
    await cluster.clock.until(c.join([cluster.addressOf('b')]));
    await cluster.clock.run(65_000);
    expect(
      [a, b, c].map((m) =>
        m
          .members()
          .map((o) => o.name)
          .sort(),
      ),
    ).toEqual([
      ['a', 'b'],
      ['a', 'b', 'c'],
      ['a', 'b', 'c'],
    ]);
  });

  test.each([
    [2, 1],
    [2, 3],
    [3, 2],
    [5, 2],
    [3, 1],
  ])('spoken protocol versions %d and %d go together', async (ofA, ofB) => {
    await using cluster = new Cluster({ seed: 10 });
    await cluster.start('a', {}, { config: { protocolVersion: ofA } });
    const b = await cluster.start('b', {}, { config: { protocolVersion: ofB } });
    await cluster.clock.until(b.join([cluster.addressOf('a')]));
    await cluster.clock.run(5_000);
    expect(disagreement(cluster.running)).toBeUndefined();
  });

  test('delegate versions that do not overlap are refused, by both', async () => {
    await using cluster = new Cluster({ seed: 11 });
    await cluster.start('a', {}, { delegateVersion: { min: 2, max: 3, cur: 3 } });
    const b = await cluster.start('b', {}, { delegateVersion: { min: 4, max: 5, cur: 5 } });
    await expect(cluster.clock.until(b.join([cluster.addressOf('a')]))).rejects.toMatchObject({
      errors: [{ cause: { code: 'incompatible' } }],
    });
    await cluster.clock.run(1_000);
    expect(cluster.running.map((m) => m.members().length)).toEqual([1, 1]);
  });

  test('a name that is taken is a conflict, told to the member who sees it', async () => {
    const conflicts: string[] = [];
    await using cluster = new Cluster({ seed: 12 });
    await together(cluster, ['a', 'b'], {
      a: { conflict: (existing, other) => conflicts.push(`${existing.name} ${existing.host} ${other.host}`) },
    });
    const impostor = await cluster.start('c', {}, { name: 'b' });
    await cluster.clock.until(impostor.join([cluster.addressOf('a')])).catch(() => {});
    await cluster.clock.run(1_000);
    expect(conflicts).toContain(`b ${cluster.hostOf('b')} ${cluster.hostOf('c')}`);
    expect(cluster.get('a').member('b')?.host).toBe(cluster.hostOf('b'));
  });
});

describe('failing', () => {
  test('a member that is killed is dead for all, and one that leaves is left', async () => {
    await using cluster = new Cluster({ seed: 20 });
    await together(cluster, ['a', 'b', 'c', 'd', 'e']);
    await cluster.clock.until(cluster.get('d').leave({ timeoutMs: 10_000 }));
    await cluster.kill('d');
    await cluster.kill('e');
    await cluster.clock.run(28_000);
    for (const name of ['a', 'b', 'c'])
      expect([stateAt(cluster, name, 'd'), stateAt(cluster, name, 'e')]).toEqual(['left', 'dead']);
  });

  test('one peer that cannot be reached directly is kept alive by the others', async () => {
    await using cluster = new Cluster({ seed: 21, config: { disableTcpPings: true } });
    await together(cluster, ['a', 'b', 'c']);
    cluster.network.cut(cluster.hostOf('a'), cluster.hostOf('b'), 'all');
    cluster.network.cut(cluster.hostOf('b'), cluster.hostOf('a'), 'all');
    const before = cluster.logged.get('suspect');
    await cluster.clock.run(60_000);
    expect(cluster.logged.get('suspect')).toBe(before);
    expect(cluster.violations).toEqual([]);
  });

  test('of two members whose packets do not get through, streams keep both alive, and it is said', async () => {
    await using cluster = new Cluster({ seed: 22 });
    await together(cluster, ['a', 'b']);
    cluster.network.cut(cluster.hostOf('a'), cluster.hostOf('b'), 'packets');
    cluster.network.cut(cluster.hostOf('b'), cluster.hostOf('a'), 'packets');
    await cluster.clock.run(60_000);
    expect(disagreement(cluster.running)).toBeUndefined();
    expect(cluster.logged.get('tcp_only')).toBeGreaterThan(10);
    expect(cluster.running.map((m) => m.healthScore())).toEqual([0, 0]);
  });

  test('without TCP pings they lose each other', async () => {
    await using cluster = new Cluster({ seed: 23, config: { disableTcpPings: true } });
    await together(cluster, ['a', 'b']);
    cluster.network.cut(cluster.hostOf('a'), cluster.hostOf('b'), 'packets');
    cluster.network.cut(cluster.hostOf('b'), cluster.hostOf('a'), 'packets');
    await cluster.clock.run(20_000);
    expect([stateAt(cluster, 'a', 'b'), stateAt(cluster, 'b', 'a')]).toEqual(['dead', 'dead']);
  });

  test('a member slower than its timeouts refutes and stays', async () => {
    await using cluster = new Cluster({ seed: 24, config: { disableTcpPings: true } });
    await together(cluster, ['a', 'b', 'c', 'd']);
    cluster.network.slow(cluster.hostOf('d'), 1_100);
    await cluster.clock.run(20_000);
    expect(cluster.get('d').local().incarnation).toBeGreaterThan(1);
    cluster.network.slow(cluster.hostOf('d'), 0);
    await cluster.clock.run(30_000);
    expect(disagreement(cluster.running)).toBeUndefined();
  });

  test('a divided cluster heals by itself while nobody has been given up', async () => {
    await using cluster = new Cluster({ seed: 25 });
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    await together(cluster, names);
    cluster.network.partition(names.slice(0, 3).map((name) => cluster.hostOf(name)));
    await cluster.clock.run(3_500);
    expect(disagreement(cluster.running)).toMatch(/suspect/);
    cluster.network.heal();
    await cluster.clock.run(60_000, () => disagreement(cluster.running) === undefined);
    expect(disagreement(cluster.running)).toBeUndefined();
    expect(cluster.violations).toEqual([]);
  });

  test('a cluster that fell into two is one again after a single sync', async () => {
    await using cluster = new Cluster({ seed: 25 });
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    await together(cluster, names);
    cluster.network.partition(names.slice(0, 3).map((name) => cluster.hostOf(name)));
    await cluster.clock.run(120_000, () => cluster.running.every((m) => m.members().length === 3));
    expect(
      cluster
        .get('a')
        .members()
        .map(({ name }) => name)
        .sort(),
    ).toEqual(['a', 'b', 'c']);
    cluster.network.heal();
    await cluster.clock.until(cluster.get('a').sync('d'));
    await cluster.clock.run(60_000, () => disagreement(cluster.running) === undefined);
    expect(disagreement(cluster.running)).toBeUndefined();
    expect(cluster.violations).toEqual([]);
  });

  test('sync brings back a dead member whose way has come back, at once', async () => {
    // No gossip to the dead, so nothing else could.
    await using cluster = new Cluster({ seed: 26, config: { gossipToTheDeadMs: 3_600_000, gossipNodes: 0 } });
    await together(cluster, ['a', 'b']);
    cluster.network.partition([cluster.hostOf('a')]);
    await cluster.clock.run(60_000);
    expect(stateAt(cluster, 'a', 'b')).toBe('dead');
    cluster.network.heal();
    await cluster.clock.until(cluster.get('a').sync('b'));
    expect([stateAt(cluster, 'a', 'b'), stateAt(cluster, 'b', 'a')]).toEqual(['alive', 'alive']);
    await expect(cluster.clock.until(cluster.get('a').sync('x'))).rejects.toMatchObject({
      code: 'unknown_member',
    });
  });

  test('who restarts under the same name refutes its own death', async () => {
    await using cluster = new Cluster({ seed: 27 });
    await together(cluster, ['a', 'b', 'c']);
    await cluster.kill('c');
    await cluster.clock.run(25_000);
    expect(stateAt(cluster, 'a', 'c')).toBe('dead');
    const c = await cluster.start('c');
    await cluster.clock.until(c.join([cluster.addressOf('a')]));
    await cluster.clock.run(5_000);
    expect(disagreement(cluster.running)).toBeUndefined();
    expect(c.local().incarnation).toBeGreaterThan(1);
  });

  test.each([
    ['kept for its old address', 0, 'dead'],
    ['free after deadNodeReclaimMs', 5_000, 'alive'],
  ] as const)("a dead member's name is %s", async (_, deadNodeReclaimMs, expected) => {
    await using cluster = new Cluster({
      seed: 28,
      config: { deadNodeReclaimMs, gossipToTheDeadMs: 600_000 },
    });
    await together(cluster, ['a', 'b']);
    await cluster.kill('b');
    await cluster.clock.run(40_000);
    expect(stateAt(cluster, 'a', 'b')).toBe('dead');
    const moved = await cluster.start('elsewhere', {}, { name: 'b' });
    await cluster.clock.until(moved.join([cluster.addressOf('a')])).catch(() => {});
    await cluster.clock.run(1_000);
    expect(stateAt(cluster, 'a', 'b')).toBe(expected);
    if (expected === 'alive') expect(cluster.get('a').member('b')?.host).toBe(cluster.hostOf('elsewhere'));
  });
});

describe('telling', () => {
  test('new meta reaches all', async () => {
    await using cluster = new Cluster({ seed: 30 });
    let meta = 'one';
    await together(cluster, ['a', 'b', 'c'], { c: { meta: () => bytes(meta) } });
    meta = 'two';
    await cluster.clock.until(cluster.get('c').updateMeta());
    await cluster.clock.run(5_000);
    expect(text(cluster.get('a').member('c')!.meta)).toBe('two');
    expect(disagreement(cluster.running)).toBeUndefined();
  });

  test('meta of more than 512 bytes is refused, and nothing changes', async () => {
    await using cluster = new Cluster({ seed: 31 });
    let size = 512;
    const a = await cluster.start('a', { meta: () => new Uint8Array(size) });
    size = 513;
    await expect(a.updateMeta()).rejects.toMatchObject({ code: 'meta_too_large' });
    expect(a.local().meta).toHaveLength(512);
    await expect(cluster.start('b', { meta: () => new Uint8Array(513) })).rejects.toMatchObject({
      code: 'meta_too_large',
    });
  });

  test('a broadcast that cannot be told in time is a timeout, and goes on', async () => {
    await using cluster = new Cluster({ seed: 32, config: { gossipIntervalMs: 0, probeIntervalMs: 0 } });
    await together(cluster, ['a', 'b']);
    const updating = cluster.get('a').updateMeta({ timeoutMs: 1_000 });
    await expect(cluster.clock.until(updating)).rejects.toMatchObject({ code: 'timeout' });
    await cluster.clock.run(70_000);
    expect(cluster.get('b').member('a')?.incarnation).toBe(2);
    await expect(cluster.clock.until(cluster.get('a').leave({ timeoutMs: 1_000 }))).rejects.toMatchObject({
      code: 'timeout',
    });
    expect(cluster.get('a').local().state).toBe('left');
  });

  test('broadcasts and state of the layer above arrive', async () => {
    const heard: string[] = [];
    const queue = Array.from({ length: 100 }, (_, i) => bytes(`message ${i}`));
    await using cluster = new Cluster({ seed: 33 });
    await together(cluster, ['a', 'b'], {
      a: {
        localState: (join) => bytes(`state ${join}`),
        broadcasts: (overhead, limit) => {
          const given: Uint8Array[] = [];
          for (let room = limit; queue[0] !== undefined && room >= queue[0].length + overhead; ) {
            room -= queue[0].length + overhead;
            given.push(queue.shift()!);
          }
          return given;
        },
      },
      b: {
        userMessage: (payload) => heard.push(text(payload)),
        mergeRemoteState: (state, join) => heard.push(`${text(state)} ${join}`),
      },
    });
    await cluster.clock.run(65_000);
    for (let i = 0; i < 100; i++) expect(heard).toContain(`message ${i}`);
    expect(heard).toContain('state true true');
    expect(heard).toContain('state false false');
  });

  test('messages of every size arrive, by packet and by stream', async () => {
    const heard: number[] = [];
    await using cluster = new Cluster({ seed: 34 });
    await together(cluster, ['a', 'b'], { b: { userMessage: (payload) => heard.push(payload.length) } });
    const [a, b] = [cluster.get('a'), cluster.get('a').member('b')!];
    a.sendBestEffort(b, new Uint8Array(10));
    a.sendBestEffort({ host: b.host, port: b.port, name: 'b' }, new Uint8Array(1_400));
    await cluster.clock.until(a.sendReliable(b, new Uint8Array(5_000_000)));
    await cluster.clock.until(a.sendReliable(b, new Uint8Array(0))); // delivered to nobody, as in Go
    await cluster.clock.run(1_000);
    expect(heard.sort((x, y) => x - y)).toEqual([10, 1_400, 5_000_000]);
    await expect(a.sendReliable(b, new Uint8Array(21 * 1024 * 1024))).rejects.toMatchObject({
      code: 'payload_too_large',
    });
  });

  test('hooks may call back: effects stay in order', async () => {
    const order: string[] = [];
    await using cluster = new Cluster({ seed: 35 });
    let a: Memberlist | undefined;
    await together(cluster, ['a', 'b'], {
      a: {
        changed: ({ kind, member }) => {
          if (kind === 'join' && member.name === 'b' && a !== undefined)
            a.sendBestEffort(member, bytes('welcome'));
          order.push(`${kind} ${member.name}`);
        },
      },
      b: { userMessage: (payload) => order.push(text(payload)) },
    });
    a = cluster.get('a');
    await cluster.kill('b');
    await cluster.clock.run(70_000);
    const b = await cluster.start('b', { userMessage: (payload) => order.push(text(payload)) });
    await cluster.clock.until(b.join([cluster.addressOf('a')]));
    await cluster.clock.run(100);
    expect(order).toEqual(['join a', 'join b', 'leave b', 'join b', 'welcome']);
  });
});

describe('names', () => {
  const named: Partial<MemberlistConfig> = { requireNodeNames: true };

  test('without a name nothing is sent, and the error says what to write', async () => {
    await using cluster = new Cluster({ seed: 40, config: named });
    const a = await cluster.start('a');
    await cluster.start('b');
    const nameless = { host: cluster.hostOf('b'), port: 7946, name: '' };
    const required = {
      code: 'node_name_required',
      message: expect.stringContaining('name/host:port') as string,
    };
    expect(() => a.sendBestEffort(nameless, new Uint8Array(1))).toThrow(expect.objectContaining(required));
    await expect(a.sendReliable(nameless, new Uint8Array(1))).rejects.toMatchObject(required);
    await expect(a.ping(nameless)).rejects.toMatchObject(required);
    await expect(cluster.clock.until(a.join([`${nameless.host}:7946`]))).rejects.toMatchObject({
      errors: [{ cause: required }],
    });
    expect([a.stats().packetsOut, a.stats().streamsOut]).toEqual([0, 0]);
  });

  test('with names everything works: probes, helpers, refutations', async () => {
    await using cluster = new Cluster({ seed: 41, config: { ...wan, ...named } });
    await together(cluster, ['a', 'b', 'c']);
    cluster.network.cut(cluster.hostOf('a'), cluster.hostOf('b'), 'all');
    await cluster.clock.run(60_000);
    await cluster.kill('c');
    cluster.network.mend(cluster.hostOf('a'), cluster.hostOf('b'));
    await cluster.clock.run(300_000);
    expect(disagreement(cluster.running)).toBeUndefined();
    expect(cluster.running.map((m) => m.stats().drops['node_name_required'])).toEqual([undefined, undefined]);
  });
});

test('keys: a cluster changes from plain to encrypted without losing anybody', async () => {
  await using cluster = new Cluster({ seed: 50 });
  const key = new Uint8Array(32).fill(9);
  const names = ['a', 'b', 'c'];
  const stage = (gossipVerifyIncoming: boolean, gossipVerifyOutgoing: boolean) => async (name: string) => {
    if (cluster.isRunning(name)) await cluster.kill(name);
    const config = { ...cluster.config, gossipVerifyIncoming, gossipVerifyOutgoing };
    const member = await cluster.start(name, {}, { config, keyring: new Keyring([], key) });
    const other = names.find((n) => n !== name && cluster.isRunning(n))!;
    await cluster.clock.until(member.join([cluster.addressOf(other)]));
    await cluster.clock.run(5_000);
    expect(cluster.get(other).member(name)?.state).toBe('alive');
    return member;
  };
  await together(cluster, names);
  for (const step of [stage(false, false), stage(false, true), stage(true, true)])
    for (const name of names) await step(name);
  await cluster.clock.run(60_000, () => disagreement(cluster.running) === undefined);
  expect(disagreement(cluster.running)).toBeUndefined();
});

test('keys: rotated while running', async () => {
  await using cluster = new Cluster({ seed: 51 });
  const [old, young] = [new Uint8Array(16).fill(1), new Uint8Array(16).fill(2)];
  const rings = new Map(['a', 'b'].map((name) => [name, new Keyring([], old)]));
  for (const [name, keyring] of rings) await cluster.start(name, {}, { keyring });
  await cluster.clock.until(cluster.get('b').join([cluster.addressOf('a')]));
  for (const change of ['add', 'use'] as const)
    for (const ring of rings.values()) {
      ring[change](young);
      await cluster.clock.run(5_000);
    }
  for (const ring of rings.values()) ring.remove(old);
  await cluster.clock.run(60_000);
  expect(disagreement(cluster.running)).toBeUndefined();
  expect(cluster.logged.get('undecryptable')).toBeUndefined();
});
