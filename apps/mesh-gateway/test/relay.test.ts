import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import type { HostPort } from '@fed/alpn-mux';
import { freePorts } from '@fed/tooling/ports';
import { SteppedClock } from '@fed/tooling/virtual-clock';
import { afterEach, describe, expect, test } from 'vitest';
import type { RelayChain, RelayConfig, Resolve } from '../src/relay/ports.ts';
import { Relay, type RelayEvent, type RelayLimits } from '../src/relay/relay.ts';
import { clientHello } from './client-hello.ts';
import { cluster } from './golden.ts';

const stack = { current: new AsyncDisposableStack() };
afterEach(async () => {
  await stack.current.disposeAsync();
  stack.current = new AsyncDisposableStack();
});
const pem = (name: string): string =>
  readFileSync(new URL(`./fixtures/${name}.pem`, import.meta.url), 'utf8');
const sni = 'n1.server.dc1.consul';
const helloMsMax = 10_000;
/** Names, cluster and stat prefix of a chain; the rest as our own server configures it. */
const chain = (serverNames: readonly string[], cluster: string, statPrefix = 'local'): RelayChain => ({
  serverNames,
  cluster,
  statPrefix,
  connectAttemptsMax: 3,
  idleTimeoutMs: 3_600_000,
});

async function listen(server: Server): Promise<HostPort> {
  const open = new Set<Socket>();
  server.on('connection', (s) => {
    open.add(s);
    s.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  stack.current.defer(() => {
    server.close();
    for (const s of open) s.destroy();
  });
  return { host: '127.0.0.1', port: (server.address() as { port: number }).port };
}
/** An upstream in the clear, for what TLS would hide: each connection is given to `onConnection`. */
const upstream = (onConnection: (s: Socket) => void): Promise<HostPort> =>
  listen(createServer({ allowHalfOpen: true }, onConnection));
/** A server of dc1 that sends everything back, and says first who it is. */
const tlsEcho = (name = ''): Promise<HostPort> =>
  listen(
    createTlsServer({ cert: pem('n1-dc1'), key: pem('n1-dc1-key') }, (tls) => {
      tls.on('error', () => {});
      tls.write(name);
      tls.pipe(tls);
    }),
  );
/** Where nobody listens, and nobody will: ports the system hands out are soon those of another test. */
async function freePort(): Promise<HostPort> {
  const [port] = (await freePorts(1)) as [number];
  return { host: '127.0.0.1', port };
}

interface Opened {
  readonly relay: Relay;
  readonly clock: SteppedClock;
  readonly bind: HostPort;
  readonly events: RelayEvent[];
  /** The next event of this kind, from the last one asked for on. */
  event<K extends RelayEvent['kind']>(kind: K): Promise<Extract<RelayEvent, { kind: K }>>;
  /** Routes `chains` (default: everything of dc1 by SNI) to these endpoints. */
  route(clusters: Record<string, readonly HostPort[]>, chains?: readonly RelayChain[]): RelayConfig;
}
async function open(
  limits: Partial<RelayLimits> = {},
  resolve: Resolve = () => Promise.reject(new Error('no name is looked up here')),
): Promise<Opened> {
  const clock = new SteppedClock();
  const events: RelayEvent[] = [];
  const waiting: (() => void)[] = [];
  const relay = new Relay({
    clock,
    wallMs: () => clock.now(),
    rng: { below: () => 0 },
    resolve,
    limits: { connectionsMax: 1_000, ...limits },
    onEvent: (e) => {
      events.push(e);
      for (const look of waiting.splice(0)) look();
    },
  });
  stack.current.use(relay);
  const bind = await freePort();
  const seen: Partial<Record<RelayEvent['kind'], number>> = {};
  return {
    relay,
    clock,
    bind,
    events,
    async event(kind) {
      for (let i = seen[kind] ?? 0; ; ) {
        for (; i < events.length; i++) {
          const e = events[i];
          if (e?.kind !== kind) continue;
          seen[kind] = i + 1;
          return e as never;
        }
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
    route: (clusters, chains = [chain(['*.server.dc1.consul'], 'sni')]) => ({
      listeners: [{ name: `default:${bind.host}:${bind.port}`, bind, helloTimeoutMs: helloMsMax, chains }],
      clusters: new Map(
        Object.entries(clusters).map(([name, endpoints]) => [
          name,
          cluster({ endpoints: endpoints.map((e) => ({ ...e, weight: 1, healthy: true, priority: 0 })) }),
        ]),
      ),
    }),
  };
}
/** A relay that already listens and routes n1 to `endpoints`. */
async function listening(endpoints: readonly HostPort[], limits?: Partial<RelayLimits>): Promise<Opened> {
  const opened = await open(limits);
  opened.relay.apply(opened.route({ [sni]: endpoints }));
  await opened.event('listening');
  return opened;
}

async function dial(to: HostPort): Promise<Socket> {
  const socket = connect({ ...to, allowHalfOpen: true });
  stack.current.defer(() => void socket.destroy());
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}
/** 'reset' or 'end', and what came before. */
async function fate(socket: Socket): Promise<[string, string]> {
  let how = 'end';
  const parts: Buffer[] = [];
  socket.on('error', (e: Error & { code?: string }) => {
    how = e.code === 'ECONNRESET' || e.code === 'EPIPE' ? 'reset' : String(e.code);
  });
  socket.on('data', (b: Buffer) => parts.push(b));
  socket.on('end', () => socket.end());
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
  return [how, Buffer.concat(parts).toString('latin1')];
}
function throughTls(via: HostPort, servername = sni): TLSSocket {
  const tls = connectTls({ ...via, servername, ca: pem('ca') });
  stack.current.defer(() => void tls.destroy());
  tls.on('error', () => {});
  return tls;
}
async function read(stream: Socket, bytes: number): Promise<string> {
  let got = '';
  while (got.length < bytes) {
    const chunk: Buffer | null = stream.read(Math.min(bytes - got.length, stream.readableLength || 1));
    if (chunk === null) await once(stream, 'readable');
    else got += chunk.toString('latin1');
  }
  return got;
}
function deferred<T>(): { promise: Promise<T>; resolve: (value: T | Promise<T>) => void } {
  let resolve: (value: T | Promise<T>) => void = () => {};
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
const hello = clientHello(sni);

describe('through the relay', () => {
  test('TLS by SNI: the handshake is end to end, and the journal tells the way', async () => {
    const server = await tlsEcho();
    const { relay, bind, event } = await listening([server]);
    const tls = throughTls(bind);
    tls.write('hello');
    expect(await read(tls, 5)).toBe('hello');
    expect(tls.authorized).toBe(true);

    const [record] = relay.journal.list();
    expect(record).toMatchObject({
      state: 'open',
      sni,
      cluster: sni,
      chain: '*.server.dc1.consul',
      upstream: `127.0.0.1:${server.port}`,
      client: `127.0.0.1:${tls.localPort}`,
      attempts: 1,
    });
    expect(record?.upstreamLocal).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(record?.clientBytes).toBeGreaterThan(300);
    expect(record?.upstreamBytes).toBeGreaterThan(500);

    tls.end();
    expect((await event('closed')).outcome).toBe('completed');
    expect(relay.journal.list()).toMatchObject([{ state: 'closed', outcome: 'completed', sni }]);
    expect(relay.connections).toBe(0);
  });

  test('names that differ go different ways', async () => {
    const o = await open();
    o.relay.apply(
      o.route(
        { 'n1.server.dc1.consul': [await tlsEcho('one')], 'server.dc1.consul': [await tlsEcho('any')] },
        [chain(['N1.server.dc1.consul'], 'n1.server.dc1.consul'), chain([], 'sni')],
      ),
    );
    await o.event('listening');
    expect(await read(throughTls(o.bind), 3)).toBe('one');
    expect(await read(throughTls(o.bind, 'server.dc1.consul'), 3)).toBe('any');
  });

  test('an endpoint that refuses costs nothing but a try: the next one serves', async () => {
    const server = await tlsEcho('here');
    const { relay, bind } = await listening([await freePort(), await freePort(), server]);
    expect(await read(throughTls(bind), 4)).toBe('here');
    expect(relay.journal.list()[0]).toMatchObject({ attempts: 3, upstream: `127.0.0.1:${server.port}` });
    expect(relay.counters.get('cluster.upstream_cx_connect_fail', sni)).toBe(2);
  });

  test('three refusals are enough', async () => {
    const { relay, bind, event } = await listening([
      await freePort(),
      await freePort(),
      await freePort(),
      await tlsEcho(),
    ]);
    const client = await dial(bind);
    client.write(hello);
    expect(await fate(client)).toEqual(['end', '']);
    expect(await event('closed')).toMatchObject({ outcome: 'connect_failed', note: { cluster: sni } });
    expect(relay.counters.get('cluster.upstream_cx_connect_attempts_exceeded', sni)).toBe(1);
  });

  test('a connect that is not answered gives way to the next endpoint after the connect timeout', async () => {
    const { relay, clock, bind, route, event } = await open();
    const server = await tlsEcho('two');
    relay.apply(route({ [sni]: [await tlsEcho('one'), server] }));
    await event('listening');
    // The clock is moved in the very turn in which the first connect begins: no answer can have come by then.
    clock.whenSet(5_000, () => clock.advance(5_000));
    expect(await read(throughTls(bind), 3)).toBe('two');
    expect(relay.journal.list()[0]).toMatchObject({ attempts: 2, upstream: `127.0.0.1:${server.port}` });
    expect(relay.counters.get('cluster.upstream_cx_connect_timeout', sni)).toBe(1);
  });

  test('a server name nobody routes is turned away in order', async () => {
    const { relay, bind, event } = await listening([await tlsEcho()]);
    for (const [name, outcome] of [
      ['n1.server.dc9.consul', 'no_filter_chain_match'],
      ['n9.server.dc1.consul', 'no_route'],
      [undefined, 'no_filter_chain_match'],
    ] as const) {
      const client = await dial(bind);
      client.write(clientHello(name));
      expect(await fate(client)).toEqual(['end', '']);
      expect((await event('closed')).outcome).toBe(outcome);
    }
    expect(relay.counters.get('tcp.downstream_cx_no_route', 'local')).toBe(1);
    expect(relay.counters.get('tls_inspector.sni_not_found')).toBe(1);
  });

  test('host names are looked up, again after the refresh time, and the last good answer stays', async () => {
    const server = await tlsEcho('here');
    const asked: [string, number][] = [];
    const answers = [
      deferred<readonly string[]>(),
      deferred<readonly string[]>(),
      deferred<readonly string[]>(),
    ];
    const o = await open({}, (host, family) => {
      asked.push([host, family]);
      return answers[asked.length - 1]?.promise ?? Promise.resolve([]);
    });
    const config = o.route({ [sni]: [{ host: 'gateway.example', port: server.port }] });
    const named = new Map(
      [...config.clusters].map(([k, c]) => [k, { ...c, discovery: 'STRICT_DNS' as const }]),
    );
    o.relay.apply({ ...config, clusters: named });
    await o.event('listening');
    const early = await dial(o.bind);
    early.write(hello);
    await fate(early);
    expect((await o.event('closed')).outcome).toBe('none_healthy');

    answers[0]?.resolve(['127.0.0.1']);
    await o.clock.expecting(10_000);
    expect(await read(throughTls(o.bind), 4)).toBe('here');
    o.clock.advance(10_000);
    answers[1]?.resolve(Promise.reject(new Error('SERVFAIL')));
    await o.clock.expecting(20_000);
    expect(await read(throughTls(o.bind), 4)).toBe('here');
    expect(asked).toEqual([
      ['gateway.example', 4],
      ['gateway.example', 4],
    ]);
  });

  test('a cluster without endpoints: none_healthy', async () => {
    const { bind, event } = await listening([]);
    const client = await dial(bind);
    client.write(hello);
    expect(await fate(client)).toEqual(['end', '']);
    expect((await event('closed')).outcome).toBe('none_healthy');
  });

  test('bytes sent right behind the hello arrive in order, none twice', async () => {
    const got = deferred<Buffer>();
    const server = await upstream((s) => {
      got.resolve(buffer(s));
      s.end();
    });
    const { bind } = await listening([server]);
    const client = await dial(bind);
    const early = Buffer.alloc(300_000, 'early ');
    client.write(hello.subarray(0, 20));
    client.write(Buffer.concat([hello.subarray(20), early]));
    client.end('late');
    expect((await got.promise).equals(Buffer.concat([hello, early, Buffer.from('late')]))).toBe(true);
  });
});

describe('who is no TLS client', () => {
  test.each([
    ['GET / HTTP/1.1\r\n\r\n', 'not_tls'],
    ['\u0004', 'not_tls'],
    ['\u0016\u0003\u0001\u0000\u0000', 'hello_invalid'],
    [Buffer.from('160301400001004e1c', 'hex'), 'hello_too_large'],
  ])('%j is reset without a byte: %s', async (bytes, outcome) => {
    const { bind, event } = await listening([await tlsEcho()]);
    const client = await dial(bind);
    client.write(bytes);
    expect(await fate(client)).toEqual(['reset', '']);
    expect((await event('closed')).outcome).toBe(outcome);
  });

  test('a check that connects and leaves is nobody: not in the journal, counted apart', async () => {
    const { relay, bind, event } = await listening([await tlsEcho()]);
    for (const leave of [(s: Socket) => s.end(), (s: Socket) => s.resetAndDestroy()]) {
      const client = await dial(bind);
      leave(client);
      expect((await event('closed')).outcome).toBe('left_early');
    }
    expect(relay.journal.list()).toEqual([]);
    expect(relay.counters.get('listener.downstream_pre_cx_closed', `127.0.0.1_${bind.port}`)).toBe(2);
    expect(relay.counters.get('tls_inspector.tls_not_found')).toBe(0);
  });

  test('half a hello is waited for ten seconds in all, whenever its bytes come', async () => {
    const { relay, bind, clock, event } = await listening([await tlsEcho()]);
    const client = await dial(bind);
    await clock.expecting(helloMsMax);
    client.write(hello.subarray(0, 50));
    clock.advance(helloMsMax - 1);
    client.write(hello.subarray(50, 60));
    expect(relay.journal.list()).toMatchObject([{ state: 'hello' }]);
    clock.advance(1);
    expect((await fate(client))[1]).toBe('');
    expect((await event('closed')).outcome).toBe('hello_timeout');
  });

  test('a hello in many pieces, in time, is served', async () => {
    const { bind } = await listening([await upstream((s) => s.end('served'))]);
    const client = await dial(bind);
    client.setNoDelay(true);
    for (const byte of hello) await new Promise((resolve) => client.write(Buffer.from([byte]), resolve));
    expect(await fate(client)).toEqual(['end', 'served']);
  });

  test('too many pending hellos: the oldest gives way', async () => {
    const { bind, event, clock } = await listening([await tlsEcho()], { hellosMax: 2 });
    const first = await dial(bind);
    await clock.expecting(helloMsMax);
    const oldest = fate(first);
    await dial(bind);
    await dial(bind);
    expect((await event('closed')).outcome).toBe('hello_crowded_out');
    expect((await oldest)[0]).toBe('reset');
  });
});

describe('behind a load balancer', () => {
  const header = Buffer.from('PROXY TCP4 203.0.113.9 10.0.0.1 56324 8443\r\n');
  async function behind(proxyProtocol: 'optional' | 'required' | undefined): Promise<Opened> {
    const o = await open();
    const config = o.route({ [sni]: [await tlsEcho('hi')] });
    const listeners = config.listeners.map((l) => ({ ...l, ...(proxyProtocol && { proxyProtocol }) }));
    o.relay.apply({ ...config, listeners });
    await o.event('listening');
    return o;
  }
  /** TLS over a connection on which `first` has been said. */
  async function after(first: Buffer, bind: HostPort): Promise<TLSSocket> {
    const socket = await dial(bind);
    for (const byte of first) socket.write(Buffer.of(byte));
    const tls = connectTls({ socket, servername: sni, ca: pem('ca') });
    tls.on('error', () => {});
    return tls;
  }

  test('the header names the client, and goes no further', async () => {
    const { bind, relay, event } = await behind('required');
    const tls = await after(header, bind);
    expect(await read(tls, 2)).toBe('hi');
    expect(relay.journal.list()).toMatchObject([
      { state: 'open', client: '203.0.113.9:56324', balancer: expect.stringMatching(/^127\.0\.0\.1:/) },
    ]);
    expect(relay.counters.get('proxy_proto.versions_v1_found')).toBe(1);
    tls.end();
    expect((await event('closed')).outcome).toBe('completed');
  });

  test('without one: served where it may be missing, reset where it must not', async () => {
    const may = await behind('optional');
    expect(await read(throughTls(may.bind), 2)).toBe('hi');
    expect(may.relay.counters.get('proxy_proto.not_found_allowed')).toBe(1);
    const must = await behind('required');
    const client = await dial(must.bind);
    client.write(hello);
    expect((await fate(client))[0]).toBe('reset');
    expect((await must.event('closed')).outcome).toBe('no_proxy_header');
    const never = await behind(undefined);
    const stranger = await dial(never.bind);
    stranger.write(header);
    expect((await fate(stranger))[0]).toBe('reset');
    expect((await never.event('closed')).outcome).toBe('not_tls');
  });

  test('half a header is waited for no longer than a hello; a bad one is reset', async () => {
    const { bind, clock, event, relay } = await behind('optional');
    const client = await dial(bind);
    client.write(header.subarray(0, 20));
    await clock.expecting(helloMsMax);
    clock.advance(helloMsMax);
    expect((await event('closed')).outcome).toBe('hello_timeout');
    const bad = await dial(bind);
    bad.write('PROXY nonsense\r\n');
    expect((await fate(bad))[0]).toBe('reset');
    expect((await event('closed')).note).toMatchObject({ outcome: 'no_proxy_header' });
    expect(relay.connections).toBe(0);
  });
});

describe('the pipe', () => {
  /** A client and the server's end of its connection, joined by the relay. */
  async function joined(): Promise<Opened & { client: Socket; server: Socket }> {
    const arrived = deferred<Socket>();
    const opened = await listening([await upstream((s) => arrived.resolve(s))]);
    const client = await dial(opened.bind);
    client.write(hello);
    const server = await arrived.promise;
    expect(await read(server, hello.length)).toBe(hello.toString('latin1'));
    return { ...opened, client, server };
  }

  test('half close: the client ends, the server still answers', async () => {
    const { client, server, event } = await joined();
    client.end('question');
    expect((await buffer(server)).toString()).toBe('question');
    server.end('answer');
    expect((await buffer(client)).toString()).toBe('answer');
    expect((await event('closed')).outcome).toBe('completed');
  });

  test('half close: the server ends, the client still sends', async () => {
    const { client, server, event } = await joined();
    server.end('banner');
    expect((await buffer(client)).toString()).toBe('banner');
    client.end('bye');
    expect((await buffer(server)).toString()).toBe('bye');
    expect((await event('closed')).outcome).toBe('completed');
  });

  test('a reset of either side reaches the other as a reset', async () => {
    const one = await joined();
    one.client.resetAndDestroy();
    expect((await fate(one.server))[0]).toBe('reset');
    expect((await one.event('closed')).outcome).toBe('client_reset');
    const two = await joined();
    two.server.resetAndDestroy();
    expect((await fate(two.client))[0]).toBe('reset');
    expect((await two.event('closed')).outcome).toBe('upstream_reset');
  });

  test('back-pressure: a server that does not read stops the client; nothing is lost when it does', async () => {
    const { relay, client, server } = await joined();
    const total = 64 * 1024 * 1024;
    const block = Buffer.alloc(256 * 1024, 'b');
    let sent = 0;
    const pump = (): void => {
      while (sent < total) {
        sent += block.length;
        if (!client.write(block)) return;
      }
      client.end();
    };
    client.on('drain', pump);
    const stalled = counterReaches(relay, 1);
    pump();
    await stalled;
    expect(sent).toBeLessThan(total); // the client was stopped, not buffered
    let got = 0;
    server.on('data', (b: Buffer) => {
      got += b.length;
    });
    await once(server, 'end');
    expect(got).toBe(total);
    expect(relay.counters.get('tcp.downstream_flow_control_resumed_reading_total', 'local')).toBeGreaterThan(
      0,
    );
  });
  /** Until reading from a client has been paused for the `n`th time. */
  async function counterReaches(relay: Relay, n: number): Promise<void> {
    while (relay.counters.get('tcp.downstream_flow_control_paused_reading_total', 'local') < n) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  test('nothing moves for an hour: cut, counted; any byte starts the hour anew', async () => {
    const { relay, clock, client, server, event } = await joined();
    clock.advance(3_599_999);
    server.write('x');
    expect(await read(client, 1)).toBe('x');
    clock.advance(3_599_999);
    expect(relay.connections).toBe(1);
    clock.advance(1);
    expect((await event('closed')).outcome).toBe('idle');
    expect((await fate(client))[0]).toBe('reset');
    expect(relay.counters.get('tcp.idle_timeout', 'local')).toBe(1);
    expect(clock.armed).toBe(0);
  });

  test('half closed, five minutes of nothing are enough', async () => {
    const { clock, client, server, event } = await joined();
    client.end();
    await buffer(server);
    clock.advance(299_999);
    clock.advance(1);
    expect((await event('closed')).outcome).toBe('idle');
  });

  test('closing the relay while an upstream is being dialled leaves nothing behind', async () => {
    const { relay, bind, clock, event } = await listening([await upstream(() => {})]);
    const client = await dial(bind);
    const disposed = deferred<void>();
    clock.whenSet(5_000, () => disposed.resolve(relay[Symbol.asyncDispose]()));
    client.write(hello);
    expect((await event('closed')).outcome).toBe('cut');
    await disposed.promise;
    expect([relay.connections, clock.armed]).toEqual([0, 0]);
    expect(relay.clusters.get(sni)?.active).toBe(0);
  });
});

describe('configuration', () => {
  test('a swap serves new connections and leaves live ones alone', async () => {
    const [one, two] = [await tlsEcho('one'), await tlsEcho('two')];
    const { relay, bind, route } = await listening([one]);
    const live = throughTls(bind);
    expect(await read(live, 3)).toBe('one');
    relay.apply(route({ [sni]: [two] }));
    expect(await read(throughTls(bind), 3)).toBe('two');
    relay.apply(route({}, [])); // no route at all any more
    const late = await dial(bind);
    late.write(hello);
    expect(await fate(late)).toEqual(['end', '']);
    live.write('still');
    expect(await read(live, 5)).toBe('still');
  });

  test('a configuration that contradicts itself changes nothing', async () => {
    const { relay, bind, route } = await listening([await tlsEcho('here')]);
    const twice = chain(['a.consul'], 'sni');
    expect(() => relay.apply(route({}, [twice, twice]))).toThrow(
      expect.objectContaining({ code: 'server_name_twice' }),
    );
    const { listeners, clusters } = route({ [sni]: [] });
    const listener = listeners[0] as (typeof listeners)[0];
    expect(() => relay.apply({ listeners: [listener, { ...listener, name: 'other' }], clusters })).toThrow(
      expect.objectContaining({ code: 'listener_twice' }),
    );
    expect(await read(throughTls(bind), 4)).toBe('here');
  });

  test('an address in use is reported, tried again after ten seconds and at the next configuration', async () => {
    const o = await open();
    const blocker = createServer().listen(o.bind.port, o.bind.host);
    await once(blocker, 'listening');
    o.relay.apply(o.route({ [sni]: [await tlsEcho('here')] }));
    expect((await o.event('bindFailed')).cause).toMatchObject({ code: 'EADDRINUSE' });
    expect(o.relay.ready).toBe(false);
    o.clock.advance(10_000);
    await o.event('bindFailed');
    blocker.close();
    await once(blocker, 'close');
    o.relay.apply(o.route({ [sni]: [await tlsEcho('here')] }));
    await o.event('listening');
    expect(o.relay.ready).toBe(true);
    expect(await read(throughTls(o.bind), 4)).toBe('here');
    expect(o.clock.armed).toBe(1); // the connection's own; no retry is left behind
  });

  test('a listener that leaves accepts nobody; its connections go on for the drain time and are then cut in slices', async () => {
    const { relay, bind, clock, event } = await listening([await tlsEcho('hi')], { drainMs: 600_000 });
    const clients = Array.from({ length: 21 }, () => throughTls(bind));
    for (const client of clients) expect(await read(client, 2)).toBe('hi');
    relay.apply({ listeners: [], clusters: new Map() });
    const late = connect(bind);
    const [refusal] = (await once(late, 'error')) as [Error & { code?: string }];
    expect(refusal.code).toBe('ECONNREFUSED');
    clock.advance(599_999);
    expect(relay.connections).toBe(21);
    clock.advance(1);
    await event('closed');
    await event('closed');
    expect(relay.connections).toBe(19); // five in a hundred, rounded up
    clock.advance(9_999);
    while (relay.connections > 1) await event('closed');
    clock.advance(1);
    await event('closed');
    expect([relay.connections, clock.armed]).toEqual([0, 0]);
  });

  test('a listener may change its name on the same address without closing it', async () => {
    const { relay, bind, route } = await listening([await tlsEcho('hi')]);
    const { listeners, clusters } = route({ [sni]: [await tlsEcho('ho')] });
    relay.apply({ listeners: listeners.map((l) => ({ ...l, name: 'lan' })), clusters });
    expect(relay.ready).toBe(true);
    expect(await read(throughTls(bind), 2)).toBe('ho');
    expect(relay.journal.list()[0]?.listener).toBe('lan');
  });
});

describe('limits and end', () => {
  test('a full process closes its port and opens it again when there is room', async () => {
    const { relay, bind, event } = await listening([await tlsEcho('hi')], { connectionsMax: 2 });
    const clients = [throughTls(bind), throughTls(bind)];
    for (const client of clients) expect(await read(client, 2)).toBe('hi');
    expect(await event('full')).toMatchObject({ connections: 2 });
    expect(relay.ready).toBe(false);
    const [refusal] = (await once(connect(bind), 'error')) as [Error & { code?: string }];
    expect(refusal.code).toBe('ECONNREFUSED');
    clients[0]?.end();
    await event('roomAgain');
    await event('listening');
    expect(await read(throughTls(bind), 2)).toBe('hi');
  });

  test('a full cluster turns clients away', async () => {
    const o = await open();
    const config = o.route({ [sni]: [await tlsEcho('hi')] });
    const clusters = new Map([...config.clusters].map(([name, c]) => [name, { ...c, maxConnections: 1 }]));
    o.relay.apply({ ...config, clusters });
    await o.event('listening');
    expect(await read(throughTls(o.bind), 2)).toBe('hi');
    const client = await dial(o.bind);
    client.write(hello);
    expect(await fate(client)).toEqual(['end', '']);
    expect((await o.event('closed')).outcome).toBe('overflow');
    expect(o.relay.measure().text()).toContain(
      `envoy_cluster_circuit_breakers_default_cx_open{envoy_cluster_name="${sni}"} 1`,
    );
  });

  test('drain: nobody new, the open ones go on until the end of the grace', async () => {
    const { relay, bind, clock } = await listening([await tlsEcho('hi')]);
    const client = throughTls(bind);
    expect(await read(client, 2)).toBe('hi');
    const draining = relay.drain(5_000);
    expect(relay.ready).toBe(false);
    client.write('on');
    expect(await read(client, 2)).toBe('on');
    const gone = new Promise((resolve) => client.once('close', resolve));
    clock.advance(5_000);
    await draining;
    await gone;
    expect([relay.connections, clock.armed]).toEqual([0, 0]);
  });

  test('drain: over as soon as the last connection ends', async () => {
    const { relay, bind, clock } = await listening([await tlsEcho('hi')]);
    const client = throughTls(bind);
    expect(await read(client, 2)).toBe('hi');
    const draining = relay.drain(5_000);
    client.end();
    await draining;
    expect(clock.armed).toBe(0);
  });

  /** A client with much to say, a server that reads nothing, and the relay stuck between them. */
  async function stuck(): Promise<Opened & { client: Socket; server: Socket }> {
    const arrived = deferred<Socket>();
    const opened = await listening([await upstream((s) => arrived.resolve(s.pause()))]);
    const client = await dial(opened.bind);
    client.write(hello);
    client.write(Buffer.alloc(64 * 1024 * 1024));
    const paused = 'tcp.downstream_flow_control_paused_reading_total';
    while (opened.relay.counters.get(paused, 'local') === 0)
      await new Promise((resolve) => setImmediate(resolve));
    return { ...opened, client, server: await arrived.promise };
  }

  test('drain: a server that reads no more holds nobody up beyond the grace', async () => {
    const { relay, clock, client, event } = await stuck();
    const draining = relay.drain(5_000);
    clock.advance(5_000);
    await draining;
    expect((await event('closed')).outcome).toBe('cut');
    expect((await fate(client))[0]).toBe('reset');
    expect([relay.connections, clock.armed]).toEqual([0, 0]);
  });

  test('closing: at once, also with a server that reads no more', async () => {
    const { relay, clock } = await stuck();
    await relay[Symbol.asyncDispose]();
    expect([relay.connections, clock.armed]).toEqual([0, 0]);
  });

  test('metrics: Envoy’s names and labels', async () => {
    const { relay, bind, event } = await listening([await tlsEcho('hi')]);
    const client = throughTls(bind);
    expect(await read(client, 2)).toBe('hi');
    const during = relay.measure().text();
    for (const line of [
      `envoy_listener_downstream_cx_active{envoy_listener_address="127.0.0.1_${bind.port}"} 1`,
      `envoy_cluster_upstream_cx_active{envoy_cluster_name="${sni}"} 1`,
      `envoy_cluster_membership_healthy{envoy_cluster_name="${sni}"} 1`,
      'envoy_tcp_downstream_cx_total{envoy_tcp_prefix="local"} 1',
      'envoy_tls_inspector_sni_found 1',
      'envoy_cluster_manager_active_clusters 1',
      'envoy_listener_manager_total_listeners_active 1',
      'envoy_server_live 1',
      'envoy_server_state 0',
    ]) {
      expect(during).toContain(`\n${line}\n`);
    }
    client.end();
    await event('closed');
    const [record] = relay.journal.list();
    const after = relay.measure().text();
    expect(after).toContain(
      `envoy_tcp_downstream_cx_rx_bytes_total{envoy_tcp_prefix="local"} ${record?.clientBytes}`,
    );
    expect(after).toContain(
      `envoy_tcp_downstream_cx_tx_bytes_total{envoy_tcp_prefix="local"} ${record?.upstreamBytes}`,
    );
    expect(after).toContain(
      `envoy_listener_downstream_cx_active{envoy_listener_address="127.0.0.1_${bind.port}"} 0`,
    );
    relay.apply({ listeners: [], clusters: new Map() });
    expect(relay.measure().text()).not.toContain('envoy_cluster_upstream_cx_active');
  });
});
