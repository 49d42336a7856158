/** Scripted streams, step by step: what the client says, what the server answers, and when it must keep quiet. */
import { describe, expect, test } from 'vitest';
import { DeltaStream } from '../src/core/delta.ts';
import { recommended, upstream } from '../src/core/profile.ts';
import { ClientFault } from '../src/core/request.ts';
import { type Resource, type ResourceType, resourceOf, typeUrlOf } from '../src/core/resource.ts';
import { recheckMs, Session, type Verdict } from '../src/core/session.ts';
import { byName, type DeltaResponse, type Snapshot, type SotwResponse } from '../src/core/snapshot.ts';
import { SotwStream } from '../src/core/sotw.ts';
import { snapshotOf } from '../src/core/workshop.ts';
import { encode } from '../src/wire/codec.ts';
import { vector, worldOf } from './scenario.ts';

interface Step {
  do?: string;
  expect?: string;
  from?: 'client' | 'server';
  type?: ResourceType;
  node?: { id: string };
  subscribe?: string[];
  unsubscribe?: string[];
  initial?: Record<string, string>;
  ack?: string;
  nack?: string;
  error?: { code: number; message?: string };
  upsert?: string[];
  removed?: string[];
  nonce?: string;
  names?: string[];
  version?: string;
  resources?: string[];
}
interface Case {
  id: string;
  mode: 'delta' | 'sotw';
  given?: string;
  steps: Step[];
}
const { cases } = vector<{ cases: Case[] }>('xds-conversations');
const fresh = snapshotOf(worldOf('golden-dc1-gw1a'), upstream);
const td = '11111111-2222-3333-4444-555555555555.consul';

/** What a step in words does to the snapshot. A step that is not here only asks for silence. */
const changes: Record<string, (s: Snapshot) => Snapshot> = {
  'federation state of dc2 changes one gateway address': (s) =>
    [`dc2.internal.${td}`, 'server.dc2.consul'].reduce((t, name) => put(t, moved(name)), s),
  'dc5 appears with one gateway': () => withDc5(),
  'dc5 disappears': () => fresh,
  'connect_timeout of the gateway changes: every cluster changes, no endpoint changes': () => slower(),
  'a listener the client will reject': () =>
    snapshotOf(worldOf('golden-dc1-gw1a'), { ...upstream, namedChains: true }),
  'a new snapshot with a different listener version': () =>
    snapshotOf(worldOf('golden-dc1-gw1a'), { ...upstream, connectRetry: true }),
  'nothing happens for the same snapshot; timers or other types must not resend it': (s) => ({ ...s }),
  'the resource comes into being': (s) => put(s, moved('nosuch.consul')),
  'later changes of any cluster produce no message': () => slower(),
};
/** Cases that open with a message of the server, or on a new stream, because something changed before. */
const beforehand: Record<string, (s: Snapshot) => Snapshot> = {
  'delta-nack-then-subscribe': (s) => put(s, moved('server.dc2.consul')),
  'delta-reconnect': (s) => without(put(s, moved('server.dc2.consul')), `web.default.dc1.internal.${td}`),
};

describe('delta', () => {
  for (const scripted of cases.filter((c) => c.mode === 'delta' && c.id !== 'auth'))
    test(scripted.id, () => {
      const client = new DeltaClient();
      play(scripted, client);
      expect(client.inbox, 'nothing more is sent').toEqual([]);
    });

  test('I4: an assignment ACK in flight when its cluster goes out again does not count', () => {
    const client = settled('delta-fresh');
    client.offer(put(fresh, moved('server.dc2.consul'))); // nonce 4 is on its way
    client.offer(put(slower(), moved('server.dc2.consul'))); // and now the clusters, nonce 5
    expect(client.inbox.map((r) => [r.type, r.nonce])).toEqual([
      ['ClusterLoadAssignment', '00000004'],
      ['Cluster', '00000005'],
    ]);
    client.inbox.length = 0;
    client.say({ type: 'ClusterLoadAssignment', ack: '00000004' });
    expect(client.inbox.flatMap((r) => r.upserts.map((u) => u.name))).toContain('server.dc2.consul');
    expect(client.inbox[0]!.upserts).toHaveLength(12);
  });

  test('a gateway that is not registered yet: the stream stays open and silent until it is', () => {
    const stream = new DeltaStream();
    expect(stream.request(deltaRequest({ type: 'Cluster', subscribe: [] }), 0)).toEqual([]);
    expect(stream.offer(fresh, 1).map((r) => r.upserts.length)).toEqual([12]);
  });

  test('no clusters is an answer, no listeners is none', () => {
    const none = {
      ...fresh,
      resources: {
        ...fresh.resources,
        Cluster: new Map(),
        ClusterLoadAssignment: new Map(),
        Listener: new Map(),
      },
    };
    const stream = new DeltaStream();
    stream.offer(none, 0);
    expect(stream.request(deltaRequest({ type: 'Cluster', subscribe: [] }), 0)).toHaveLength(1);
    expect(stream.request(deltaRequest({ type: 'Cluster', ack: '00000001' }), 0)).toEqual([]);
    expect(stream.request(deltaRequest({ type: 'Listener', subscribe: [] }), 0)).toEqual([]);
  });

  test('a client that never asks for endpoints gets its listeners after 15 s, and no busy deadline', () => {
    const stream = new DeltaStream();
    stream.offer(fresh, 0);
    stream.request(deltaRequest({ type: 'Cluster', subscribe: [] }), 0);
    stream.request(deltaRequest({ type: 'Listener', subscribe: [] }), 0);
    expect(stream.request(deltaRequest({ type: 'Cluster', ack: '00000001' }), 1_000)).toEqual([]);
    expect(stream.deadline()).toBe(16_000);
    expect(stream.wake(15_999)).toEqual([]);
    expect(stream.wake(16_000).map((r) => r.type)).toEqual(['Listener']);
    expect(stream.deadline()).toBeUndefined();
  });

  test('I5: a reverted resource is sent again after a NACK: the client may have kept the refused one', () => {
    const client = settled('delta-fresh');
    client.offer(put(fresh, moved('server.dc2.consul')));
    client.inbox.length = 0;
    client.say({ type: 'ClusterLoadAssignment', nack: '00000004', error: { code: 13 } });
    expect(client.inbox).toEqual([]);
    client.offer(fresh);
    expect(client.inbox.map((r) => r.upserts.map((u) => u.name))).toEqual([['server.dc2.consul']]);
  });

  test('a reconnect with nothing changed is answered with nothing', () => {
    const stream = new DeltaStream();
    stream.offer(fresh, 0);
    for (const type of ['Cluster', 'ClusterLoadAssignment', 'Listener'] as const) {
      const held = [...fresh.resources[type].values()];
      const subscribe = type === 'ClusterLoadAssignment' ? held.map((r) => r.name) : [];
      const initial = Object.fromEntries(held.map((r) => [r.name, r.version]));
      expect(stream.request(deltaRequest({ type, subscribe, initial }), 0)).toEqual([]);
    }
  });

  test('a cluster that changed during an outage takes its unchanged endpoints with it', () => {
    const stream = new DeltaStream();
    stream.offer(slower(), 0);
    const clusters = Object.fromEntries(
      [...fresh.resources.Cluster.values()].map((r) => [r.name, r.version]),
    );
    expect(
      stream.request(deltaRequest({ type: 'Cluster', subscribe: [], initial: clusters }), 0)[0]!.upserts,
    ).toHaveLength(12);
    const held = [...fresh.resources.ClusterLoadAssignment.values()];
    const initial = Object.fromEntries(held.map((r) => [r.name, r.version]));
    const request = deltaRequest({
      type: 'ClusterLoadAssignment',
      subscribe: held.map((r) => r.name),
      initial,
    });
    expect(stream.request(request, 0)[0]!.upserts).toHaveLength(12);
  });

  test('an explicit name held from before that is gone is taken back', () => {
    const stream = new DeltaStream();
    stream.offer(fresh, 0);
    const request = deltaRequest({
      type: 'ClusterLoadAssignment',
      subscribe: ['old.consul'],
      initial: { 'old.consul': 'v' },
    });
    expect(stream.request(request, 0)[0]!.removed).toEqual(['old.consul']);
  });

  test('more names than a stream may hold end it', () => {
    const stream = new DeltaStream();
    const subscribe = Array.from({ length: 65_537 }, (_, i) => `c${i}`);
    expect(() => stream.request(deltaRequest({ type: 'ClusterLoadAssignment', subscribe }), 0)).toThrow(
      ClientFault,
    );
  });
});

describe('state of the world', () => {
  for (const scripted of cases.filter((c) => c.mode === 'sotw'))
    test(scripted.id, () => {
      const client = new SotwClient();
      playSotw(scripted, client);
      expect(client.inbox, 'nothing more is sent').toEqual([]);
    });

  test('a datacenter that is gone: listeners first, then the clusters without it', () => {
    const stream = new SotwStream();
    const ack = (type: ResourceType, nonce: string) =>
      stream.request({ typeUrl: typeUrlOf(type), names: [], version: '', nonce }, 0);
    stream.offer(withDc5(), 0);
    stream.request({ typeUrl: typeUrlOf('Cluster'), names: [], version: '', nonce: '' }, 0);
    ack('Cluster', '00000001');
    stream.request({ typeUrl: typeUrlOf('Listener'), names: [], version: '', nonce: '' }, 0);
    ack('Listener', '00000002');
    const [first, ...rest] = stream.offer(fresh, 0);
    expect([first!.type, rest]).toEqual(['Listener', []]);
    const [second] = ack('Listener', '00000003');
    expect(second!.type).toBe('Cluster');
    expect(second!.resources).toHaveLength(12);
  });
});

describe('auth', () => {
  const steps = cases.find((c) => c.id === 'auth')!.steps;
  const expected = (what: string) => steps[steps.findIndex((s) => s.do === what) + 1]!.expect;
  const first = deltaBytes({ type: 'Cluster', subscribe: [], node: { id: 'mesh-gateway' } });
  const open = (authorize: (o: { token?: string; service?: string }) => Verdict) =>
    new Session({ mode: 'delta', token: 't', authorize, notice: () => undefined, now: 0 });
  const fault = (run: () => unknown): string => {
    try {
      run();
    } catch (error) {
      if (error instanceof ClientFault) return error.code.toUpperCase();
      throw error;
    }
    return 'no fault';
  };

  test('stream opened with an unknown token', () => {
    expect(expected('stream opened with an unknown token')).toMatch(/^UNAUTHENTICATED/);
    expect(fault(() => open(() => 'unauthenticated'))).toBe('UNAUTHENTICATED');
  });
  test('stream opened with a token lacking service:write on the gateway service', () => {
    expect(expected('stream opened with a token lacking service:write on the gateway service')).toMatch(
      /^PERMISSION_DENIED/,
    );
    const session = open(({ service }) => (service === 'mesh-gateway' ? 'denied' : 'allow'));
    expect(session.request(first, 0)).toEqual([]);
    expect(fault(() => session.offer(fresh, 0))).toBe('PERMISSION_DENIED');
    expect(session.responses).toBe(0);
  });
  test('token deleted while the stream idles', () => {
    expect(expected('token deleted while the stream idles')).toMatch(/UNAUTHENTICATED/);
    let verdict: Verdict = 'allow';
    const session = open(() => verdict);
    session.request(first, 0);
    session.offer(fresh, 0);
    session.request(deltaBytes({ type: 'Cluster', ack: '00000001' }), 0);
    verdict = 'unauthenticated';
    expect(session.deadline()).toBe(recheckMs);
    expect(session.wake(recheckMs - 1)).toEqual([]);
    expect(fault(() => session.wake(recheckMs))).toBe('UNAUTHENTICATED');
  });
  test('request with empty type_url', () => {
    expect(expected('request with empty type_url')).toBe('INVALID_ARGUMENT');
    const bytes = encode('envoy.service.discovery.v3.DeltaDiscoveryRequest', { node: { id: 'x' } });
    expect(fault(() => open(() => 'allow').request(bytes, 0))).toBe('INVALID_ARGUMENT');
  });
  test('first request without node', () => {
    expect(expected('first request without node')).toMatch(/^INVALID_ARGUMENT/);
    expect(fault(() => open(() => 'allow').request(deltaBytes({ type: 'Cluster' }), 0))).toBe(
      'INVALID_ARGUMENT',
    );
  });
  test('node.user_agent_name envoy with build version 1.20.0', () => {
    expect(expected('node.user_agent_name envoy with build version 1.20.0')).toMatch(/^INVALID_ARGUMENT/);
    const agent = (majorNumber: number, minorNumber: number) => ({
      id: 'x',
      userAgentName: 'envoy',
      userAgentBuildVersion: { version: { majorNumber, minorNumber } },
    });
    expect(
      fault(() => open(() => 'allow').request(deltaBytes({ type: 'Cluster', node: agent(1, 20) }), 0)),
    ).toBe('INVALID_ARGUMENT');
    expect(
      fault(() => open(() => 'allow').request(deltaBytes({ type: 'Cluster', node: agent(1, 45) }), 0)),
    ).toBe('no fault');
  });
  test('a stream that says nothing: ended after 30 s', () => {
    const session = open(() => 'allow');
    expect(session.deadline()).toBe(30_000);
    expect(fault(() => session.wake(30_000))).toBe('ABORTED');
  });
  test('bytes that are no request', () => {
    expect(fault(() => open(() => 'allow').request(Uint8Array.of(0x0a, 0xff), 0))).toBe('INVALID_ARGUMENT');
  });
  test('a response without an answer: a warning after a minute, the end after ten', () => {
    const notices: string[] = [];
    const session = new Session({
      mode: 'delta',
      authorize: () => 'allow',
      notice: (n) => notices.push(n.code),
      now: 0,
    });
    session.request(first, 0);
    session.offer(fresh, 0);
    expect(session.deadline()).toBe(60_000);
    session.wake(60_000);
    session.wake(60_001);
    expect(notices).toEqual(['unanswered']);
    for (let now = recheckMs; now < 600_000; now += recheckMs) session.wake(now);
    expect(fault(() => session.wake(600_000))).toBe('ABORTED');
  });
});

class DeltaClient {
  stream = new DeltaStream();
  snapshot = fresh;
  readonly inbox: DeltaResponse[] = [];
  constructor() {
    this.offer(fresh);
  }
  offer(snapshot: Snapshot): void {
    this.snapshot = snapshot;
    this.inbox.push(...this.stream.offer(snapshot, 0));
  }
  say(step: Step): void {
    const asked = step.subscribe ?? [];
    const held = [...fresh.resources[step.type!].values()].filter(
      (r) => asked.length === 0 || asked.includes(r.name),
    );
    const initial = step.initial && Object.fromEntries(held.map((r) => [r.name, r.version]));
    this.inbox.push(...this.stream.request(deltaRequest({ ...step, ...(initial ? { initial } : {}) }), 0));
  }
}

function settled(id: string): DeltaClient {
  const client = new DeltaClient();
  play(cases.find((c) => c.id === id)!, client);
  return client;
}

function play(scripted: Case, client: DeltaClient): void {
  const earlier = /^(delta-[a-z-]+) done/.exec(scripted.given ?? '')?.[1];
  if (earlier !== undefined) play(cases.find((c) => c.id === earlier)!, client);
  if (scripted.given?.includes('stream lost')) client.stream = new DeltaStream();
  const change = beforehand[scripted.id];
  if (change !== undefined) client.offer(change(client.snapshot));
  for (const step of scripted.steps) {
    if (step.do !== undefined) {
      const act = changes[step.do];
      if (act !== undefined) client.offer(act(client.snapshot));
      if (/hold/.test(step.do)) expect(client.inbox.filter((r) => r.type === 'Listener')).toEqual([]);
      if (/^(nothing happens|later changes)/.test(step.do)) expect(client.inbox).toEqual([]);
    } else if (step.from === 'client') {
      client.say(step);
    } else {
      const response = client.inbox.shift();
      expect(response, `a ${step.type} response ${step.nonce}`).toBeDefined();
      expect({
        type: response!.type,
        upsert: response!.upserts.map((r) => r.name).sort(),
        removed: [...response!.removed].sort(),
        nonce: response!.nonce,
      }).toEqual({
        type: step.type,
        upsert: (step.upsert ?? []).toSorted(),
        removed: (step.removed ?? []).toSorted(),
        nonce: step.nonce,
      });
      expect(new Set(response!.upserts.map((r) => r.name)).size, 'no name twice').toBe(
        response!.upserts.length,
      );
    }
  }
}

class SotwClient {
  readonly stream = new SotwStream();
  readonly inbox: SotwResponse[] = [];
  /** What the script calls v1 of a type. */
  readonly versions = new Map<string, string>();
  constructor() {
    this.stream.offer(fresh, 0);
  }
}

function playSotw(scripted: Case, client: SotwClient): void {
  const earlier = /^(sotw-[a-z-]+) done/.exec(scripted.given ?? '')?.[1];
  if (earlier !== undefined) playSotw(cases.find((c) => c.id === earlier)!, client);
  // Before v2 and before v3 a cluster changes whose endpoints this client does not ask for.
  const touch = (timeout: string) => {
    const name = `web.default.dc1.internal.${td}`;
    client.inbox.push(
      ...client.stream.offer(put(fresh, resourceOf('Cluster', name, { name, connectTimeout: timeout })), 0),
    );
  };
  for (const step of scripted.steps) {
    if (step.from === 'client') {
      const known = client.versions.get(`${step.type} ${step.version}`) ?? '';
      const request = {
        typeUrl: typeUrlOf(step.type!),
        names: step.names!,
        version: known,
        nonce: step.nonce === undefined ? '' : step.nonce.padStart(8, '0'),
        ...(step.error ? { error: { code: step.error.code, message: '' } } : {}),
      };
      client.inbox.push(...client.stream.request(request, 0));
      if (/^NACK/.test(scripted.steps[scripted.steps.indexOf(step) + 1]?.do ?? ''))
        expect(client.inbox).toEqual([]);
    } else if (step.from === 'server') {
      if (step.version === 'v2' && client.inbox.length === 0) touch('2s');
      if (step.version === 'v3' && client.inbox.length === 0) touch('3s');
      const response = client.inbox.shift()!;
      expect(response.type).toBe(step.type);
      expect(response.nonce).toBe(step.nonce!.padStart(8, '0'));
      expect(response.resources.map((r) => r.name).sort()).toEqual(step.resources!.toSorted());
      const key = `${step.type} ${step.version}`;
      expect(response.version, `one version means one content`).toBe(
        client.versions.get(key) ?? response.version,
      );
      for (const [other, version] of client.versions)
        if (other !== key) expect(version).not.toBe(response.version);
      client.versions.set(key, response.version);
    }
  }
}

function deltaRequest(step: Step): Parameters<DeltaStream['request']>[0] {
  const error =
    step.nack !== undefined
      ? { error: { code: step.error?.code ?? 13, message: step.error?.message ?? '' } }
      : {};
  return {
    typeUrl: typeUrlOf(step.type!),
    subscribe: step.subscribe ?? [],
    unsubscribe: step.unsubscribe ?? [],
    initialVersions: new Map(Object.entries(step.initial ?? {})),
    nonce: step.ack ?? step.nack ?? '',
    ...error,
  };
}

function deltaBytes(step: Step & { node?: object }): Uint8Array {
  return encode('envoy.service.discovery.v3.DeltaDiscoveryRequest', {
    ...(step.node ? { node: step.node } : {}),
    typeUrl: typeUrlOf(step.type!),
    resourceNamesSubscribe: step.subscribe ?? [],
    responseNonce: step.ack ?? '',
  });
}

function put(s: Snapshot, resource: Resource): Snapshot {
  const resources = new Map(s.resources[resource.type]).set(resource.name, resource);
  return { ...s, resources: { ...s.resources, [resource.type]: resources } };
}

function without(s: Snapshot, name: string): Snapshot {
  const drop = (type: ResourceType) => byName([...s.resources[type].values()].filter((r) => r.name !== name));
  return {
    ...s,
    resources: {
      ...s.resources,
      Cluster: drop('Cluster'),
      ClusterLoadAssignment: drop('ClusterLoadAssignment'),
    },
  };
}

function moved(clusterName: string): Resource {
  const address = { socketAddress: { address: '203.0.113.99', portValue: 443 } };
  const endpoints = [{ lbEndpoints: [{ endpoint: { address } }] }];
  return resourceOf('ClusterLoadAssignment', clusterName, { clusterName, endpoints });
}

function withDc5(): Snapshot {
  const world = worldOf('golden-dc1-gw1a');
  const dc2 = world.federationStates.find((s) => s.Datacenter === 'dc2')!;
  const dc5 = { ...dc2, Datacenter: 'dc5', MeshGateways: dc2.MeshGateways!.slice(0, 1) };
  return snapshotOf({ ...world, federationStates: [...world.federationStates, dc5] }, upstream);
}

function slower(): Snapshot {
  const world = worldOf('golden-dc1-gw1a');
  return snapshotOf(
    {
      ...world,
      gateway: { ...world.gateway, Proxy: { Config: { connect_timeout_ms: 7_000 } } },
      services: world.services!.map((s) =>
        s.resolver ? { ...s, resolver: { ...s.resolver, connectTimeoutMs: 12_000 } } : s,
      ),
    },
    upstream,
  );
}

test('the recommended profile gives the same conversation', () => {
  const stream = new DeltaStream();
  stream.offer(snapshotOf(worldOf('golden-dc1-gw1a'), recommended), 0);
  const [clusters] = stream.request(deltaRequest({ type: 'Cluster', subscribe: [] }), 0);
  const names = clusters!.upserts.map((r) => r.name);
  expect(names).toHaveLength(12);
  const [endpoints] = stream.request(deltaRequest({ type: 'ClusterLoadAssignment', subscribe: names }), 0);
  expect(endpoints!.upserts.map((r) => r.name)).toEqual(names);
});
