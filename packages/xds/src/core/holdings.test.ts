import { expect, test } from 'vitest';
import { DeltaStream } from './delta.ts';
import { type Holding, holdingsOf } from './holdings.ts';
import { Resource, type ResourceType, typeUrlOf } from './resource.ts';
import { byName, type Snapshot } from './snapshot.ts';
import { SotwStream } from './sotw.ts';

const cluster = (name: string, content = 1): Resource =>
  new Resource('Cluster', name, Uint8Array.of(0x0a, 1, content));
const states = (holdings: readonly Holding[]): Record<string, string> =>
  Object.fromEntries(holdings.map(({ name, state }) => [name, state]));
const none = new Map();
const snapshot = (...clusters: readonly Resource[]): Snapshot => ({
  service: 'mesh-gateway',
  resources: {
    Cluster: byName(clusters),
    ClusterLoadAssignment: none,
    Listener: none,
    RouteConfiguration: none,
    Secret: none,
  } satisfies Record<ResourceType, unknown>,
  notices: [],
});

test('each state, sorted by name', () => {
  const [same, newer, refused, sent, gone] = ['same', 'newer', 'refused', 'sent', 'gone'] as const;
  const current = byName([
    cluster(same),
    cluster(newer, 2),
    cluster(refused),
    cluster(sent),
    cluster('asked'),
  ]);
  const old = cluster('').version;
  const held = holdingsOf(
    {
      accepted: new Map([same, newer, sent, gone].map((name) => [name, old])),
      refused: new Map([[refused, old]]),
      underWay: new Set([sent]),
      covers: () => true,
    },
    current,
  );
  expect(states(held)).toEqual({
    asked: 'missing',
    gone: 'outdated',
    newer: 'outdated',
    refused: 'refused',
    same: 'held',
    sent: 'underWay',
  });
  expect(held.map(({ name }) => name)).toEqual(['asked', gone, newer, refused, same, sent]);
  expect(held.find(({ name }) => name === gone)).toEqual({ name: gone, state: 'outdated', version: old });
});

const typeUrl = typeUrlOf('Cluster');
const refusal = { code: 3, message: 'no' };

test('a delta stream: under way, held, refused', () => {
  const stream = new DeltaStream();
  const now = (): Record<string, string> => {
    const subscription = stream.subscriptions.get('Cluster');
    return states(subscription?.holdings(stream.snapshot?.resources.Cluster ?? new Map()) ?? []);
  };
  const say = { typeUrl, subscribe: [], unsubscribe: [], initialVersions: none };
  stream.offer(snapshot(cluster('a')), 0);
  const [first] = stream.request({ ...say, nonce: '' }, 0);
  expect(now()).toEqual({ a: 'underWay' });
  stream.request({ ...say, nonce: first?.nonce ?? '' }, 1);
  expect(now()).toEqual({ a: 'held' });
  const [second] = stream.offer(snapshot(cluster('a', 2), cluster('b')), 2);
  expect(now()).toEqual({ a: 'underWay', b: 'underWay' });
  stream.request({ ...say, nonce: second?.nonce ?? '', error: refusal }, 3);
  expect(now()).toEqual({ a: 'refused', b: 'refused' });
});

test('a state-of-the-world stream: the same', () => {
  const stream = new SotwStream();
  const now = (): Record<string, string> => {
    const subscription = stream.subscriptions.get('Cluster');
    return states(subscription?.holdings(stream.snapshot?.resources.Cluster ?? new Map()) ?? []);
  };
  const say = { typeUrl, names: [], version: '' };
  stream.offer(snapshot(cluster('a')), 0);
  const [first] = stream.request({ ...say, nonce: '' }, 0);
  expect(now()).toEqual({ a: 'underWay' });
  stream.request({ ...say, nonce: first?.nonce ?? '' }, 1);
  expect(now()).toEqual({ a: 'held' });
  const [second] = stream.offer(snapshot(cluster('a', 2), cluster('b')), 2);
  expect(now()).toEqual({ a: 'underWay', b: 'underWay' });
  stream.request({ ...say, nonce: second?.nonce ?? '', error: refusal }, 3);
  expect(now()).toEqual({ a: 'refused', b: 'refused' });
});
