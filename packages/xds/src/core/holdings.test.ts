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

/** Offers `a`, has it accepted, offers a newer one and `b`, has these refused; what is held at each step. */
function steps(
  stream: DeltaStream | SotwStream,
  say: (nonce: string, error?: typeof refusal) => readonly { readonly nonce: string }[],
): readonly Record<string, string>[] {
  const seen: Record<string, string>[] = [];
  const look = (): void => {
    const subscription = stream.subscriptions.get('Cluster');
    seen.push(states(subscription?.holdings(stream.snapshot?.resources.Cluster ?? new Map()) ?? []));
  };
  stream.offer(snapshot(cluster('a')), 0);
  const [first] = say('');
  look();
  say(first?.nonce ?? '');
  look();
  const [second] = stream.offer(snapshot(cluster('a', 2), cluster('b')), 2);
  look();
  say(second?.nonce ?? '', refusal);
  look();
  return seen;
}

test('streams of both kinds: under way, held, under way again, refused', () => {
  const expected = [
    { a: 'underWay' },
    { a: 'held' },
    { a: 'underWay', b: 'underWay' },
    { a: 'refused', b: 'refused' },
  ];
  const delta = new DeltaStream();
  const request = { typeUrl, subscribe: [], unsubscribe: [], initialVersions: none };
  expect(
    steps(delta, (nonce, error) => delta.request({ ...request, nonce, ...(error && { error }) }, 1)),
  ).toEqual(expected);
  const sotw = new SotwStream();
  const whole = { typeUrl, names: [], version: '' };
  expect(
    steps(sotw, (nonce, error) => sotw.request({ ...whole, nonce, ...(error && { error }) }, 1)),
  ).toEqual(expected);
});
