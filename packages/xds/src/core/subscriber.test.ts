import { describe, expect, test } from 'vitest';
import { worldOf } from '../../test/scenario.ts';
import { decode, type Message } from '../wire/codec.ts';
import type { RelayConfig } from './relay-config.ts';
import { Resource, type ResourceType, resourceOf, typeUrlOf } from './resource.ts';
import { encodeDeltaResponse } from './snapshot.ts';
import { ServerFault, Subscriber, warmingMsMax } from './subscriber.ts';
import { snapshotOf } from './workshop.ts';

const { resources } = snapshotOf(worldOf('golden-dc1-gw1a'));

test('the first requests: clusters with the node, then listeners; endpoints once there are clusters', () => {
  const client = new Client();
  expect(client.opened).toMatchObject([
    { typeUrl: typeUrlOf('Cluster'), node: { id: 'gw', cluster: 'mesh', userAgentName: 'test' } },
    { typeUrl: typeUrlOf('Listener') },
  ]);
  const answers = client.hear('Cluster', all('Cluster'));
  expect(answers).toMatchObject([
    { typeUrl: typeUrlOf('Cluster'), responseNonce: '1' },
    { typeUrl: typeUrlOf('ClusterLoadAssignment'), resourceNamesSubscribe: [...resources.Cluster.keys()] },
  ]);
  expect(answers[0]!['errorDetail']).toBeNull();
});

test('nothing is handed out before there are listeners, then everything at once', () => {
  const client = new Client();
  client.hear('Cluster', all('Cluster'));
  client.hear('ClusterLoadAssignment', all('ClusterLoadAssignment'));
  expect(client.configs).toEqual([]);
  client.hear('Listener', all('Listener'));
  expect(client.configs).toHaveLength(1);
  expect(client.configs[0]!.clusters.size).toBe(12);
  expect(client.configs[0]!.listeners).toHaveLength(1);
});

describe('warming', () => {
  test('a cluster waits for its endpoints, a listener for its clusters', () => {
    const client = new Client();
    client.hear('Cluster', all('Cluster'));
    client.hear('Listener', all('Listener'));
    expect(client.newest()).toMatchObject({ listeners: [], clusters: new Map() });
    client.hear('ClusterLoadAssignment', all('ClusterLoadAssignment'));
    expect(client.newest().listeners).toHaveLength(1);
    expect(client.subscriber.deadline()).toBeUndefined();
  });

  test('neither longer than 15 s', () => {
    const client = new Client();
    client.hear('Cluster', all('Cluster'), [], 1_000);
    client.hear('Listener', all('Listener'), [], 2_000);
    expect(client.subscriber.deadline()).toBe(1_000 + warmingMsMax);
    client.subscriber.wake(1_000 + warmingMsMax - 1);
    expect(client.newest().clusters.size).toBe(0);
    client.subscriber.wake(1_000 + warmingMsMax);
    expect(client.newest().clusters.size).toBe(12);
    expect(client.newest().listeners).toHaveLength(1);
    expect([...client.newest().clusters.values()].every((c) => c.endpoints.length === 0)).toBe(true);
  });

  test('an answer that there are no endpoints is an answer', () => {
    const client = new Client();
    client.hear('Cluster', all('Cluster'));
    client.hear('Listener', all('Listener'));
    client.hear('ClusterLoadAssignment', [], [...resources.Cluster.keys()]);
    expect(client.newest().clusters.size).toBe(12);
  });

  test('a cluster that changes keeps its endpoints', () => {
    const client = Client.complete();
    client.hear('Cluster', [edsCluster('server.dc2.consul', '9s')]);
    expect(client.newest().clusters.get('server.dc2.consul')).toMatchObject({
      connectTimeoutMs: 9_000,
      endpoints: [{ host: '203.0.113.21' }, { host: '203.0.113.22' }],
    });
  });

  test('while a new version of a listener waits, the one before stays in force', () => {
    const client = Client.complete();
    const name = 'default:10.1.0.21:8443';
    client.hear('Listener', [listener(name, 'new.consul')]);
    expect(client.newest().listeners[0]!.chains).toHaveLength(9);
    client.hear('Cluster', [edsCluster('new.consul', '5s')]);
    expect(client.newest().listeners[0]!.chains).toHaveLength(9);
    client.hear('ClusterLoadAssignment', [
      resourceOf('ClusterLoadAssignment', 'new.consul', { clusterName: 'new.consul' }),
    ]);
    expect(client.newest().listeners[0]!.chains.map((c) => c.cluster)).toEqual(['new.consul']);
  });
});

test('a cluster that goes: its endpoints are no longer asked for', () => {
  const client = Client.complete();
  const [ack, unsubscribe] = client.hear('Cluster', [], ['server.dc3.consul']);
  expect(ack!['errorDetail']).toBeNull();
  expect(unsubscribe).toMatchObject({
    resourceNamesSubscribe: [],
    resourceNamesUnsubscribe: ['server.dc3.consul'],
  });
  expect(client.newest().clusters.has('server.dc3.consul')).toBe(false);
  expect(client.subscriber.held()).toEqual({ clusters: 11, endpoints: 11, listeners: 1 });
});

test('a listener that goes is no longer in the configuration', () => {
  const client = Client.complete();
  client.hear('Listener', [], ['default:10.1.0.21:8443']);
  expect(client.newest().listeners).toEqual([]);
});

describe('NACK', () => {
  test('what cannot be used is named with its field, what can be is used', () => {
    const client = Client.complete();
    const bad = resourceOf('Cluster', 'bad.consul', { name: 'bad.consul', type: 'ORIGINAL_DST' });
    const [nack] = client.hear('Cluster', [bad, edsCluster('server.dc2.consul', '9s')]);
    expect(nack!['errorDetail']).toMatchObject({
      code: 3,
      message: 'bad.consul: type: ORIGINAL_DST is not supported',
    });
    expect(client.newest().clusters.has('bad.consul')).toBe(false);
    expect(client.newest().clusters.get('server.dc2.consul')!.connectTimeoutMs).toBe(9_000);
  });

  test('said again and again, it is said ever later, until something is accepted', () => {
    const client = Client.complete();
    const bad = [resourceOf('Cluster', 'bad.consul', { name: 'bad.consul', type: 'ORIGINAL_DST' })];
    const delays = Array.from({ length: 9 }, () => {
      client.hear('Cluster', bad);
      return client.delayMs;
    });
    expect(delays).toEqual([0, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    client.hear('ClusterLoadAssignment', all('ClusterLoadAssignment'));
    expect(client.delayMs).toBe(0);
    client.hear('Cluster', bad);
    expect(client.delayMs).toBe(0);
  });

  test('bytes of a resource that cannot be read', () => {
    const client = Client.complete();
    const [nack] = client.hear('Cluster', [new Resource('Cluster', 'x', Uint8Array.of(0x0a, 0x05))]);
    expect((nack!['errorDetail'] as Message)['message']).toMatch(/^x: \[malformed\]/);
  });

  test('what the relay cannot do is said of the listener it was sent with', () => {
    const client = Client.complete();
    client.refusals = [{ resource: 'default:10.1.0.21:8443', field: 'address', reason: 'EADDRINUSE' }];
    const [nack] = client.hear('Listener', all('Listener'));
    expect((nack!['errorDetail'] as Message)['message']).toBe('default:10.1.0.21:8443: address: EADDRINUSE');
    const [ack] = client.hear('ClusterLoadAssignment', all('ClusterLoadAssignment'));
    expect(ack!['errorDetail'], 'and not of what came later').toBeNull();
  });
});

test('a new stream: everything held is named with its version, nothing is forgotten', () => {
  const client = Client.complete();
  const requests = client.subscriber.open().map(read);
  for (const [i, type] of (['Cluster', 'ClusterLoadAssignment', 'Listener'] as const).entries()) {
    const versions = Object.fromEntries([...resources[type].values()].map((r) => [r.name, r.version]));
    expect(requests[i]).toMatchObject({ typeUrl: typeUrlOf(type), initialResourceVersions: versions });
  }
  expect(requests[1]!['resourceNamesSubscribe']).toEqual([...resources.Cluster.keys()]);
  expect(client.subscriber.held()).toEqual({ clusters: 12, endpoints: 12, listeners: 1 });
});

test('endpoints that were only said not to exist are not claimed to be held', () => {
  const client = Client.complete();
  client.hear('ClusterLoadAssignment', [], ['server.dc3.consul']);
  expect(client.newest().clusters.get('server.dc3.consul')!.endpoints, 'known ones stay in use').toHaveLength(
    2,
  );
  const versions = read(client.subscriber.open()[1]!)['initialResourceVersions'] as Record<string, string>;
  expect(Object.keys(versions)).not.toContain('server.dc3.consul');
});

test('a response of a type that was never asked for is not answered', () => {
  const client = Client.complete();
  expect(client.hear('Secret', [])).toEqual([]);
});

test('bytes that are no response are the server’s fault', () => {
  expect(() => new Client().subscriber.receive(Uint8Array.of(0xff), 0)).toThrow(ServerFault);
});

class Client {
  readonly configs: RelayConfig[] = [];
  refusals: readonly { resource: string; field: string; reason: string }[] = [];
  readonly subscriber: Subscriber;
  readonly opened: Message[];
  /** How long the last answer waits. */
  delayMs = 0;
  #nonce = 0;
  constructor() {
    this.subscriber = new Subscriber({
      identity: { nodeId: 'gw', cluster: 'mesh', userAgent: 'test' },
      apply: (config) => {
        this.configs.push(config);
        return this.refusals;
      },
    });
    this.opened = this.subscriber.open().map(read);
  }
  static complete(): Client {
    const client = new Client();
    for (const type of ['Cluster', 'ClusterLoadAssignment', 'Listener'] as const)
      client.hear(type, all(type));
    return client;
  }
  hear(
    type: ResourceType,
    upserts: readonly Resource[],
    removed: readonly string[] = [],
    now = 0,
  ): Message[] {
    this.#nonce++;
    const bytes = encodeDeltaResponse({ type, upserts, removed, nonce: String(this.#nonce) });
    const { requests, delayMs } = this.subscriber.receive(bytes, now);
    this.delayMs = delayMs;
    return requests.map(read);
  }
  newest(): RelayConfig {
    return this.configs.at(-1)!;
  }
}

function all(type: ResourceType): Resource[] {
  return [...resources[type].values()];
}

function read(bytes: Uint8Array): Message {
  return decode('envoy.service.discovery.v3.DeltaDiscoveryRequest', bytes);
}

function edsCluster(name: string, connectTimeout: string): Resource {
  return resourceOf('Cluster', name, {
    name,
    type: 'EDS',
    edsClusterConfig: { edsConfig: { ads: {} } },
    connectTimeout,
  });
}

function listener(name: string, cluster: string): Resource {
  const proxy = {
    '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
    cluster,
  };
  return resourceOf('Listener', name, {
    name,
    address: { socketAddress: { address: '10.1.0.21', portValue: 8443 } },
    filterChains: [{ filters: [{ name: 'p', typedConfig: proxy }] }],
  });
}
