/** Our server and our client over real gRPC on the loopback address. Every wait is for an event. */
import { readFileSync } from 'node:fs';
import { Client, type ClientDuplexStream, credentials, Metadata, status } from '@grpc/grpc-js';
import { afterEach, expect, test } from 'vitest';
import { openXdsClient, type XdsClient, type XdsClientOptions } from '../src/client.ts';
import { recommended, upstream } from '../src/core/profile.ts';
import type { RelayConfig } from '../src/core/relay-config.ts';
import { snapshotOf } from '../src/core/workshop.ts';
import type { GatewayWorld } from '../src/core/world.ts';
import type { WatchedNode } from '../src/feed.ts';
import { deltaPath, deserialize, serialize } from '../src/grpc.ts';
import type { HostPort, Notice } from '../src/ports.ts';
import { openXdsServer, type XdsServer, type XdsServerOptions } from '../src/server.ts';
import { systemClock } from '../src/system.ts';
import { decode, encode, type Message } from '../src/wire/codec.ts';
import { worldOf } from './scenario.ts';

const dc1 = worldOf('golden-dc1-gw1a');
const clusterUrl = 'type.googleapis.com/envoy.config.cluster.v3.Cluster';

test('a world reaches the client, and so does its change', async () => {
  const { gateway, configs } = await pair();
  gateway.tell(dc1);
  const first = await configs.take((c) => c.clusters.size === 12);
  expect(first.listeners.map((l) => l.name)).toEqual(['default:10.1.0.21:8443']);
  expect(first.clusters.get('server.dc2.consul')!.endpoints.map((e) => e.host)).toEqual([
    '203.0.113.21',
    '203.0.113.22',
  ]);
  gateway.tell({ ...dc1, servers: [...dc1.servers, { node: 'n4', host: '10.1.0.14', port: 8300 }] });
  const next = await configs.take((c) =>
    c.listeners[0]!.chains.some((chain) => chain.cluster === 'n4.server.dc1.consul'),
  );
  expect(next.clusters.get('n4.server.dc1.consul')!.endpoints[0]).toMatchObject({
    host: '10.1.0.14',
    port: 8300,
  });
});

test('a gateway that is not registered yet: the stream waits, and begins when it is', async () => {
  const { gateway, configs, server, log } = await pair();
  await log.take((n) => n.code === 'not_registered');
  expect(server.clients()[0]).toMatchObject({ nodeId: 'mesh-gateway', registered: false, responses: 0 });
  gateway.tell(dc1);
  await configs.take((c) => c.clusters.size === 12);
  expect(server.clients()[0]!.registered).toBe(true);
});

test('I5, I9: a NACK is in clients() with its detail, is not answered with the same again, and ends with a change', async () => {
  let refuse = false;
  const { gateway, configs, server, log } = await pair({
    onConfig: () =>
      refuse ? [{ resource: 'default:10.1.0.21:8443', field: 'address', reason: 'EADDRINUSE' }] : undefined,
  });
  gateway.tell(dc1);
  await configs.take((c) => c.clusters.size === 12);
  refuse = true;
  gateway.tell({ ...dc1, servers: dc1.servers.slice(1) });
  await log.take((n) => n.code === 'nack');
  const { types, lastError } = server.clients()[0]!;
  expect(types.Listener).toMatchObject({
    nacks: 1,
    lastNack: { code: 3, names: ['default:10.1.0.21:8443'] },
  });
  expect(lastError).toBe('Listener refused: default:10.1.0.21:8443: address: EADDRINUSE');
  refuse = false;
  gateway.tell(dc1);
  await configs.take((c) => c.listeners[0]!.chains.some((chain) => chain.cluster === 'n1.server.dc1.consul'));
  expect(server.clients()[0]!.types.Listener!.nacks).toBe(1);
});

test('I8: server restart: the client keeps its configuration, says what it has, and is sent the difference only', async () => {
  const { gateway, configs, server, client, clientLog } = await pair();
  gateway.tell(dc1);
  await configs.take((c) => c.clusters.size === 12);
  await server[Symbol.asyncDispose]();
  await clientLog.take((n) => n.code === 'stream_lost');
  expect(client.state().held).toEqual({ clusters: 12, endpoints: 12, listeners: 1 });

  const again = new Gateway();
  again.tell({
    ...dc1,
    servers: dc1.servers.map((s) => (s.node === 'n2' ? { ...s, host: '10.1.0.99' } : s)),
  });
  const second = await openXdsServer({
    bind: server.address,
    watchGateway: again.watch,
    coalesceMs: 0,
  });
  opened.push(second);
  const moved = await configs.take(
    (c) => c.clusters.get('n2.server.dc1.consul')?.endpoints[0]?.host === '10.1.0.99',
  );
  expect(moved.clusters.size).toBe(12);
  const { types, responses } = second.clients()[0]!;
  expect(responses, 'one response: the endpoints that changed').toBe(1);
  expect(types.Cluster).toMatchObject({ subscribed: 'all', held: 12 });
});

test('I3: a slow consumer: what changes while it does not answer is not queued; it gets the newest', async () => {
  const { gateway, server } = await serve();
  gateway.tell(dc1);
  const raw = rawStream(server);
  raw.send({ node: { id: 'mesh-gateway' }, typeUrl: clusterUrl });
  const first = await raw.inbox.take(() => true);
  for (let ms = 6_001; ms <= 6_050; ms++) await gateway.published({ ...dc1, gateway: timeout(ms) });
  expect(raw.inbox.size).toBe(0);
  expect(server.clients()[0]!.responses).toBe(1);
  raw.send({ typeUrl: clusterUrl, responseNonce: first['nonce'] });
  const newest = await raw.inbox.take(() => true);
  const versions = (newest['resources'] as Message[]).map((r) => r['version']);
  const expected = snapshotOf({ ...dc1, gateway: timeout(6_050) }, recommended).resources.Cluster;
  expect(versions).toContain(expected.get('server.dc2.consul')!.version);
  expect(server.clients()[0]!.responses).toBe(2);
});

test('redirected, the client asks another server, tells it what it has, and is sent the difference only', async () => {
  const { gateway, configs, server, client, clientLog } = await pair();
  gateway.tell(dc1);
  await configs.take((c) => c.clusters.size === 12);
  const other = new Gateway();
  other.tell({
    ...dc1,
    servers: dc1.servers.map((s) => (s.node === 'n2' ? { ...s, host: '10.1.0.99' } : s)),
  });
  const second = await openXdsServer({
    bind: { host: '127.0.0.1', port: 0 },
    watchGateway: other.watch,
    coalesceMs: 0,
  });
  opened.push(second);
  const target = `127.0.0.1:${second.address.port}`;
  client.redirect({ target });
  await configs.take((c) => c.clusters.get('n2.server.dc1.consul')!.endpoints[0]!.host === '10.1.0.99');
  expect(client.state()).toMatchObject({ phase: 'connected', target });
  expect(second.clients()[0]!.responseBytes).toBeLessThan(2_000);
  expect(clientLog.size, 'it was no loss').toBe(0);
  gateway.tell({ ...dc1, servers: [] });
  other.tell({ ...dc1, servers: dc1.servers.slice(0, 1) });
  await configs.take(
    (c) => !c.listeners[0]!.chains.some((chain) => chain.cluster === 'n2.server.dc1.consul'),
  );
  expect(client.state().held.clusters).toBeGreaterThan(0);
  await client[Symbol.asyncDispose]();
  client.redirect({ target: 'nowhere:1' });
  expect(client.state()).toMatchObject({ phase: 'closed', target });
  expect(server.stats().streams).toBe(1);
});

test('a token that is not known ends the stream before anything is sent; the client tries again', async () => {
  let known = false;
  const { gateway, configs, server, client, clientLog } = await pair(
    { token: 'secret' },
    { authorize: ({ token }) => (known && token === 'secret' ? 'allow' : 'unauthenticated') },
  );
  gateway.tell(dc1);
  const lost = await clientLog.take((n) => n.code === 'stream_lost');
  expect(client.state().lastError).toMatchObject({ code: 'unauthenticated', text: 'the token is not known' });
  expect(lost.text).not.toContain('secret');
  known = true;
  await configs.take((c) => c.clusters.size === 12);
  expect(server.stats().refused['unauthenticated']).toBeGreaterThanOrEqual(1);
});

test.each([
  ['bytes that are no request', Uint8Array.of(0x0a, 0x7f, 1), status.INVALID_ARGUMENT],
  ['a first request without a node', delta({ typeUrl: clusterUrl }), status.INVALID_ARGUMENT],
  ['an empty type_url', delta({ node: { id: 'x' } }), status.INVALID_ARGUMENT],
])('%s: the stream ends with INVALID_ARGUMENT, the server goes on', async (_what, bytes, code) => {
  const { server } = await serve();
  const raw = rawStream(server);
  raw.call.write(bytes);
  expect((await raw.ended).code).toBe(code);
  expect(server.clients()).toEqual([]);
});

test('streams beyond the limit are turned away', async () => {
  const { server, log } = await serve({ streamsMax: 1 });
  rawStream(server).send({ node: { id: 'a' }, typeUrl: clusterUrl });
  await log.take((n) => n.code === 'not_registered');
  // HTTP/2 counts streams per connection, so the second comes over a connection of its own.
  const ended = await rawStream(server).ended;
  expect(ended.code).toBe(status.RESOURCE_EXHAUSTED);
});

test('the last stream that leaves ends the watch; streams of one gateway share it', async () => {
  const { gateway, server } = await serve();
  gateway.tell(dc1);
  const [one, two] = [rawStream(server), rawStream(server)];
  for (const raw of [one, two]) {
    raw.send({ node: { id: 'mesh-gateway' }, typeUrl: clusterUrl });
    await raw.inbox.take(() => true);
  }
  expect(gateway.watches).toBe(1);
  one.call.end();
  await one.ended;
  expect(gateway.watches).toBe(1);
  two.call.cancel();
  await gateway.unwatched;
  expect(gateway.watches).toBe(0);
});

const pem = (name: string) => readFileSync(new URL(`./tls/${name}.pem`, import.meta.url), 'utf8');
const certificate = { cert: pem('cert'), key: pem('key') };
const anyPort = { host: '127.0.0.1', port: 0 };

test('TLS beside plain text: the client checks the server against its own CA; the plain port serves as well', async () => {
  const { gateway, server, configs } = await pair({}, { tls: { ...certificate, bind: anyPort } });
  const overTls = client(server.tlsAddress!, { credentials: { ca: certificate.cert } });
  gateway.tell(dc1);
  await configs.take((c) => c.clusters.size === 12);
  await overTls.configs.take((c) => c.clusters.size === 12);
  expect(server.clients()).toHaveLength(2);
});

test.each<[string, XdsClientOptions['credentials'], RegExp]>([
  ['a CA that did not sign it', { ca: pem('other-cert') }, /certificate|self.signed|verify/i],
  ['another name', { ca: certificate.cert, serverName: 'elsewhere.example' }, /elsewhere\.example/],
  ['no TLS at all', undefined, /./],
])('TLS: %s: no stream, and the reason is said', async (_what, credentials, reason) => {
  const { server } = await serve({ bind: undefined, tls: { ...certificate, bind: anyPort } });
  expect(server.tlsAddress).toEqual(server.address);
  const { clientLog } = client(server.address, { ...(credentials && { credentials }) });
  const lost = await clientLog.take((n) => n.code === 'stream_lost');
  expect(lost.text).toMatch(reason);
  expect(server.clients()).toEqual([]);
});

test('TLS: a client that must show a certificate, and does or does not', async () => {
  const tls = { ...certificate, bind: anyPort, ca: [certificate.cert], requireClientCertificate: true };
  const { gateway, server } = await serve({ bind: undefined, tls });
  gateway.tell(dc1);
  const { clientLog } = client(server.address, { credentials: { ca: certificate.cert } });
  await clientLog.take((n) => n.code === 'stream_lost');
  const { configs } = client(server.address, { credentials: { ca: certificate.cert, ...certificate } });
  await configs.take((c) => c.clusters.size === 12);
});

test('TLS: a replaced certificate counts for new connections; open streams go on', async () => {
  const { gateway, server } = await serve({ bind: undefined, tls: { ...certificate, bind: anyPort } });
  const before = client(server.address, { credentials: { ca: certificate.cert } });
  gateway.tell(dc1);
  await before.configs.take((c) => c.clusters.size === 12);
  server.replaceCertificate({ cert: pem('other-cert'), key: pem('other-key') });
  const after = client(server.address, { credentials: { ca: pem('other-cert') } });
  await after.configs.take((c) => c.clusters.size === 12);
  gateway.tell({ ...dc1, servers: dc1.servers.slice(1) });
  await before.configs.take((c) => c.clusters.size === 11);
});

test('an address that is taken: bind_failed', async () => {
  const { server } = await serve();
  const again = openXdsServer({ bind: server.address, watchGateway: new Gateway().watch });
  await expect(again).rejects.toMatchObject({ code: 'bind_failed' });
});

test('the original profile is served and understood as well', async () => {
  const { gateway, configs } = await pair({}, { profile: upstream });
  gateway.tell(dc1);
  const config = await configs.take((c) => c.clusters.size === 12);
  expect(config.listeners[0]!.chains.at(-1)).toMatchObject({ serverNames: [], cluster: 'sni' });
});

// ---- fixtures ----

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

/** Keeps what comes until it is asked for, and what is asked for until it comes. */
class Mailbox<T> {
  readonly #items: T[] = [];
  readonly #waiting: { match: (item: T) => boolean; resolve: (item: T) => void }[] = [];
  get size(): number {
    return this.#items.length;
  }
  push(item: T): void {
    const at = this.#waiting.findIndex((w) => w.match(item));
    if (at < 0) this.#items.push(item);
    else this.#waiting.splice(at, 1)[0]!.resolve(item);
  }
  take(match: (item: T) => boolean): Promise<T> {
    const at = this.#items.findIndex(match);
    if (at >= 0) return Promise.resolve(this.#items.splice(0, at + 1).at(-1)!);
    return new Promise((resolve) => this.#waiting.push({ match, resolve }));
  }
}

/** A gateway's world that tests can change. */
class Gateway {
  watches = 0;
  readonly unwatched: Promise<void>;
  #world: GatewayWorld | undefined;
  readonly #listeners = new Set<(world: GatewayWorld | undefined) => void>();
  #left: () => void = () => undefined;
  constructor() {
    this.unwatched = new Promise((resolve) => {
      this.#left = resolve;
    });
  }
  readonly watch = (_node: WatchedNode, onWorld: (world: GatewayWorld | undefined) => void): Disposable => {
    this.watches++;
    this.#listeners.add(onWorld);
    onWorld(this.#world);
    return {
      [Symbol.dispose]: () => {
        this.watches--;
        this.#listeners.delete(onWorld);
        this.#left();
      },
    };
  };
  tell(world: GatewayWorld): void {
    this.#world = world;
    for (const listener of this.#listeners) listener(world);
  }
  /** Resolves after the server, which coalesces for 0 ms, has built its snapshot: timers run in the order they were set. */
  async published(world: GatewayWorld): Promise<void> {
    this.tell(world);
    await new Promise<void>((resolve) => systemClock.at(systemClock.now(), resolve));
  }
}

/** `bind: undefined`: no plain text. */
async function serve(o: { [K in keyof XdsServerOptions]?: XdsServerOptions[K] | undefined } = {}) {
  const gateway = new Gateway();
  const log = new Mailbox<Notice>();
  const server = await openXdsServer({
    bind: { host: '127.0.0.1', port: 0 },
    watchGateway: gateway.watch,
    coalesceMs: 0,
    log: (n) => log.push(n),
    ...o,
  } as XdsServerOptions);
  opened.push(server);
  return { gateway, server, log };
}

async function pair(c: Partial<XdsClientOptions> = {}, s: Parameters<typeof serve>[0] = {}) {
  const served = await serve(s);
  return { ...served, ...client(served.server.address, c) };
}

function client(at: HostPort, c: Partial<XdsClientOptions> = {}) {
  const configs = new Mailbox<RelayConfig>();
  const clientLog = new Mailbox<Notice>();
  const client: XdsClient = openXdsClient({
    target: `${at.host}:${at.port}`,
    nodeId: 'mesh-gateway',
    cluster: 'mesh-gateway',
    rng: { below: () => 0 },
    log: (n) => clientLog.push(n),
    ...c,
    onConfig: (config) => {
      configs.push(config);
      return c.onConfig?.(config);
    },
  });
  opened.push(client);
  return { client, configs, clientLog };
}

function rawStream(server: XdsServer) {
  const client = new Client(`127.0.0.1:${server.address.port}`, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  });
  const call: ClientDuplexStream<Uint8Array, Uint8Array> = client.makeBidiStreamRequest(
    deltaPath,
    serialize,
    deserialize,
    new Metadata(),
  );
  const inbox = new Mailbox<Message>();
  call.on('data', (bytes: Uint8Array) =>
    inbox.push(decode('envoy.service.discovery.v3.DeltaDiscoveryResponse', bytes)),
  );
  call.on('error', () => undefined);
  const ended = new Promise<{ code: number }>((resolve) => call.on('status', resolve));
  opened.push({
    async [Symbol.asyncDispose]() {
      call.cancel();
      client.close();
    },
  });
  return { call, inbox, ended, send: (m: Message) => void call.write(delta(m)) };
}

function delta(m: Message): Uint8Array {
  return encode('envoy.service.discovery.v3.DeltaDiscoveryRequest', m);
}

function timeout(ms: number): GatewayWorld['gateway'] {
  return { ...dc1.gateway, Proxy: { Config: { connect_timeout_ms: ms } } };
}
