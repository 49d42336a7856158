import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls';
import { freePorts } from '@fed/tooling/ports';
import { SteppedClock } from '@fed/tooling/virtual-clock';
import { afterEach, describe, expect, test } from 'vitest';
import {
  type Accepted,
  alpn,
  createGatewayDialer,
  DialError,
  type DialLesson,
  dialAlpn,
  dialServer,
  type FrontDoor,
  type FrontDoorOptions,
  type HostPort,
  openFrontDoor,
  UnreachableError,
} from '../src/index.ts';
import { identity, material, pem } from './certificates.ts';

const stack = { current: new AsyncDisposableStack() };
afterEach(async () => {
  await stack.current.disposeAsync();
  stack.current = new AsyncDisposableStack();
});

async function openDoor(o: Partial<FrontDoorOptions> = {}): Promise<FrontDoor & { accepted: Accepted[] }> {
  const accepted: Accepted[] = [];
  const echo = (conn: Accepted): void => {
    accepted.push(conn);
    conn.stream.pipe(conn.stream);
  };
  const door = await openFrontDoor({
    bind: { host: '127.0.0.1', port: 0 },
    tls: identity('n1-dc1'),
    domain: 'consul',
    alpn: { [alpn.rpcMulti]: echo },
    typeBytes: { 4: echo },
    ...o,
  });
  stack.current.use(door);
  return Object.assign(door, { accepted });
}
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
const plain = (onConnection: (s: Socket) => void): Promise<HostPort> =>
  listen(createServer({ allowHalfOpen: true }, onConnection));
const tlsServer = (o: TlsOptions): Promise<HostPort> => {
  const server = createTlsServer({ cert: pem('n1-dc1'), key: pem('n1-dc1-key'), ...o });
  server.on('tlsClientError', () => {});
  return listen(server);
};
/** Where nobody listens, and nobody will. */
async function nobody(): Promise<HostPort> {
  const [port] = (await freePorts(1)) as [number];
  return { host: '127.0.0.1', port };
}

const sni = 'n1.server.dc1.consul';
const toN1 = (via: HostPort, o: Partial<Parameters<typeof dialAlpn>[0]> = {}) => {
  const dialling = dialAlpn({ via, sni, alpn: alpn.rpcMulti, tls: identity('m1-dc2'), ...o });
  dialling.then(
    (tls) => stack.current.defer(() => void tls.destroy()),
    () => {},
  );
  return dialling;
};
const failure = async (dialling: Promise<unknown>): Promise<DialError> => {
  const e = await dialling.then(
    () => 'success',
    (e: unknown) => e,
  );
  expect(e).toBeInstanceOf(DialError);
  return e as DialError;
};

describe('dialAlpn', () => {
  test('a server of dc2 reaches n1 of dc1 and is known by its certificate', async () => {
    const door = await openDoor();
    const tls = await toN1(door.address);
    tls.write('x');
    expect(String((await once(tls, 'data'))[0])).toBe('x');
    expect(door.accepted[0]).toMatchObject({
      sni,
      alpn: alpn.rpcMulti,
      peer: { server: { node: 'm1', datacenter: 'dc2' } },
    });
    expect(tls.getProtocol()).toBe('TLSv1.3');
  });

  test('a wildcard certificate stands for every node', async () => {
    const door = await openDoor({ tls: identity('wildcard-dc1') });
    await toN1(door.address, { sni: 'n9.server.dc1.consul' });
  });

  test('nobody listens: connect_refused', async () => {
    const via = await nobody();
    const e = await failure(toN1(via));
    expect([e.code, e.via, e.sni]).toEqual(['connect_refused', via, sni]);
    expect(e.message).toContain(`${via.host}:${via.port}`);
  });

  test('no such host: connect_failed', async () => {
    expect((await failure(toN1({ host: 'gateway.invalid', port: 1 }))).code).toBe('connect_failed');
  });

  test('nothing answers the connect: connect_timeout after its own budget', async () => {
    const clock = new SteppedClock();
    const dialling = failure(toN1(await plain(() => {}), { clock }));
    clock.advance(3_000); // in the same turn: no answer can have come yet
    expect((await dialling).code).toBe('connect_timeout');
    expect(clock.armed).toBe(0);
  });

  test('a gateway without a route closes: closed_before_tls, by FIN and by RST', async () => {
    const byFin = await plain((s) => s.once('data', () => s.end()));
    expect((await failure(toN1(byFin))).code).toBe('closed_before_tls');
    const byRst = await plain((s) => s.once('data', () => s.resetAndDestroy()));
    expect((await failure(toN1(byRst))).code).toBe('closed_before_tls');
    const atOnce = await plain((s) => s.destroy());
    expect((await failure(toN1(atOnce))).code).toBe('closed_before_tls');
  });

  test('a peer that answers and then closes: tls_failed', async () => {
    const via = await plain((s) => s.once('data', () => s.end(Buffer.from('1603030200', 'hex'))));
    expect((await failure(toN1(via))).code).toBe('tls_failed');
  });

  test('a peer that answers something else than TLS: tls_failed', async () => {
    const via = await plain((s) => s.once('data', () => s.end('HTTP/1.1 400 Bad Request\r\n\r\n')));
    expect((await failure(toN1(via))).code).toBe('tls_failed');
  });

  test('a peer that accepts and stays silent: tls_timeout after the handshake budget', async () => {
    const clock = new SteppedClock();
    const via = await plain(() => {});
    const dialling = failure(toN1(via, { clock, handshakeMs: 700 }));
    await clock.expecting(700);
    clock.advance(700);
    expect((await dialling).code).toBe('tls_timeout');
    expect(clock.armed).toBe(0);
  });

  test('a budget for both together cuts the second short', async () => {
    const clock = new SteppedClock();
    const via = await plain(() => {});
    const dialling = failure(toN1(via, { clock, totalMs: 400 }));
    await clock.expecting(400);
    clock.advance(400);
    expect((await dialling).code).toMatch(/timeout/);
  });

  test.each(['foreign', 'self-signed'])('the certificate %s: certificate_untrusted', async (cert) => {
    const via = await tlsServer({ cert: pem(cert), key: pem(`${cert}-key`), ALPNProtocols: [alpn.rpcMulti] });
    expect((await failure(toN1(via))).code).toBe('certificate_untrusted');
  });

  test.each(['nameless-dc1', 'm1-dc2', 'cn-only'])(
    'the certificate %s is not for n1: certificate_name',
    async (cert) => {
      const via = await tlsServer({
        cert: pem(cert),
        key: pem(`${cert}-key`),
        ALPNProtocols: [alpn.rpcMulti],
      });
      expect((await failure(toN1(via))).code).toBe('certificate_name');
    },
  );

  test('a name that stands in the common name only is no name, for any server too', async () => {
    const via = await tlsServer({
      cert: pem('cn-only'),
      key: pem('cn-only-key'),
      ALPNProtocols: [alpn.rpcMulti],
    });
    expect((await failure(toN1(via, { sni: 'server.dc1.consul' }))).code).toBe('certificate_name');
  });

  test('a server without the protocol: alpn_refused, whether it says so or ignores the offer', async () => {
    expect((await failure(toN1(await tlsServer({ ALPNProtocols: ['h2'] })))).code).toBe('alpn_refused');
    expect((await failure(toN1(await tlsServer({})))).code).toBe('alpn_refused');
  });

  test('a server that offers TLS 1.1 only: tls_failed', async () => {
    const via = await tlsServer({
      minVersion: 'TLSv1.1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    expect((await failure(toN1(via))).code).toBe('tls_failed');
  });

  test('aborted before, during the connect and during the handshake', async () => {
    const silent = await plain(() => {});
    expect((await failure(toN1(silent, { signal: AbortSignal.abort() }))).code).toBe('aborted');

    const connecting = new AbortController();
    const first = failure(toN1(silent, { signal: connecting.signal }));
    connecting.abort();
    expect((await first).code).toBe('aborted');

    const clock = new SteppedClock();
    const shaking = new AbortController();
    const second = failure(toN1(silent, { signal: shaking.signal, clock, handshakeMs: 77 }));
    await clock.expecting(77);
    shaking.abort();
    expect((await second).code).toBe('aborted');
    expect(clock.armed).toBe(0);
  });

  test('a failed dial leaves no connection behind', async () => {
    let peer: Socket | undefined;
    const clock = new SteppedClock();
    const via = await plain((s) => {
      peer = s.resume();
      s.on('end', () => s.end());
    });
    const dialling = failure(toN1(via, { clock, handshakeMs: 77 }));
    await clock.expecting(77);
    clock.advance(77);
    await dialling;
    if (peer === undefined || !peer.closed) await once(peer as unknown as Socket, 'close');
  });

  test('a renewed certificate is used by the next dial', async () => {
    const door = await openDoor();
    const tls = identity('m1-dc2');
    await toN1(door.address, { tls });
    tls.replace(material('n1-dc1'));
    const second = await toN1(door.address, { tls });
    second.write('x');
    await once(second, 'data');
    expect(door.accepted.map((a) => a.peer?.server?.node)).toEqual(['m1', 'n1']);
  });
});

describe('dialServer', () => {
  const tls = identity('n1-dc1');

  test('byte 3, TLS, type byte: the next byte is the protocol’s', async () => {
    const door = await openDoor();
    const stream = await dialServer({ to: door.address, tls, verifyName: 'server.dc1.consul', typeByte: 4 });
    stack.current.defer(() => void stream.destroy());
    stream.write('x');
    expect(String((await once(stream, 'data'))[0])).toBe('x');
    expect(door.accepted[0]).toMatchObject({ typeByte: 4, tls: true, sni: 'server.dc1.consul' });
  });

  test('without a name to verify no SNI is sent and only the chain is checked', async () => {
    const door = await openDoor({ tls: identity('m1-dc2') });
    const stream = await dialServer({ to: door.address, tls, typeByte: 4 });
    stack.current.defer(() => void stream.destroy());
    stream.write('x');
    await once(stream, 'data');
    expect(door.accepted[0]?.sni).toBeUndefined();
    const foreign = await openDoor({ tls: identity('foreign', ['ca']) });
    expect((await failure(dialServer({ to: foreign.address, tls, typeByte: 4 }))).code).toBe(
      'certificate_untrusted',
    );
  });

  test('another datacenter’s server under the address: certificate_name', async () => {
    const door = await openDoor({ tls: identity('m1-dc2') });
    const dialling = dialServer({ to: door.address, tls, verifyName: 'server.dc1.consul', typeByte: 4 });
    expect((await failure(dialling)).code).toBe('certificate_name');
  });

  test('without TLS the type byte goes first', async () => {
    const door = await openDoor({
      policy: { verifyIncoming: false, verifyOutgoing: false, verifyServerHostname: false },
    });
    const stream = await dialServer({ to: door.address, typeByte: 4 });
    stack.current.defer(() => void stream.destroy());
    stream.write('x');
    expect(String((await once(stream, 'data'))[0])).toBe('x');
    expect(door.accepted[0]).toMatchObject({ typeByte: 4, tls: false });
  });

  test('a peer that closes at byte 3: closed_before_tls', async () => {
    const to = await plain((s) => s.once('data', () => s.resetAndDestroy()));
    expect((await failure(dialServer({ to, tls, typeByte: 4 }))).code).toBe('closed_before_tls');
  });
});

describe('gateway dialer', () => {
  interface Lesson extends Omit<DialLesson, 'tookMs' | 'alpn'> {}
  function through(ways: readonly HostPort[], o: { clock?: SteppedClock; totalMs?: number } = {}) {
    const lessons: Lesson[] = [];
    const dialer = createGatewayDialer({
      tls: identity('m1-dc2'),
      domain: 'consul',
      waysTo: () => ways,
      learned: ({ tookMs, alpn, ...lesson }) => lessons.push(lesson),
      ...o,
    });
    const dial = async (signal?: AbortSignal) => {
      const tls = await dialer.dial({
        datacenter: 'dc1',
        node: 'n1',
        alpn: alpn.rpcMulti,
        ...(signal && { signal }),
      });
      stack.current.defer(() => void tls.destroy());
      return tls;
    };
    return { dial, dialer, lessons };
  }

  test('no way known: no_gateway, without an attempt', async () => {
    const e = await through([])
      .dial()
      .catch((e: unknown) => e);
    expect(e).toBeInstanceOf(UnreachableError);
    expect(e).toMatchObject({ code: 'no_gateway', datacenter: 'dc1', attempts: [] });
  });

  test('the first that works is taken, and each try is told', async () => {
    const [dead, door] = [await nobody(), await openDoor()];
    const routeless = await plain((s) => s.destroy());
    const { dial, lessons } = through([dead, routeless, door.address, await nobody()]);
    const tls = await dial();
    expect((tls as TLSSocket).servername).toBe(sni);
    expect(lessons).toEqual([
      { gateway: dead, datacenter: 'dc1', ok: false, code: 'connect_refused' },
      { gateway: routeless, datacenter: 'dc1', ok: false, code: 'closed_before_tls' },
      { gateway: door.address, datacenter: 'dc1', ok: true },
    ]);
  });

  test('all fail: every attempt is listed, the last is the cause', async () => {
    const [dead, routeless] = [await nobody(), await plain((s) => s.destroy())];
    const e = (await through([dead, routeless])
      .dial()
      .catch((e: unknown) => e)) as UnreachableError;
    expect(e.code).toBe('all_gateways_failed');
    expect(e.attempts.map((a) => [a.gateway, a.code])).toEqual([
      [dead, 'connect_refused'],
      [routeless, 'closed_before_tls'],
    ]);
    expect(e.cause).toMatchObject({ code: 'closed_before_tls', via: routeless });
  });

  test('without a node the name asked for is any server’s', async () => {
    const door = await openDoor();
    const tls = await through([door.address]).dialer.dial({ datacenter: 'dc1', alpn: alpn.rpcMulti });
    stack.current.defer(() => void tls.destroy());
    expect((tls as TLSSocket).servername).toBe('server.dc1.consul');
  });

  test('one that keeps silent is overtaken by the next, and that is learned', async () => {
    const clock = new SteppedClock();
    const [silent, door] = [await plain(() => {}), await openDoor()];
    const { dial, lessons } = through([silent, door.address], { clock, totalMs: 5_000 });
    const dialling = dial();
    await clock.expecting(500); // how long it may take before another is tried beside it
    clock.advance(500);
    await dialling;
    expect(lessons).toEqual([{ gateway: door.address, datacenter: 'dc1', ok: true }]);
    await clock.expecting(1_000); // and how long it may take to be slow and not silent
    clock.advance(500);
    await settledSoon(() => lessons.length === 2);
    expect(lessons[1]).toEqual({ gateway: silent, datacenter: 'dc1', ok: false, code: 'overtaken' });
  });

  test('one that is late and not silent is no failure; its connection is not kept', async () => {
    const clock = new SteppedClock();
    const late = await openDoor();
    const gate = Promise.withResolvers<void>();
    const slow = await plain((from) => {
      void gate.promise.then(() => {
        const to = connect(late.address);
        from.pipe(to).pipe(from);
        for (const end of [from, to]) end.on('error', () => {});
      });
    });
    const door = await openDoor();
    const { dial, lessons } = through([slow, door.address], { clock });
    const dialling = dial();
    await clock.expecting(500);
    clock.advance(500);
    await dialling;
    gate.resolve();
    await settledSoon(() => lessons.length === 2);
    expect(lessons.map(({ gateway, ok }) => [gateway, ok])).toEqual([
      [door.address, true],
      [slow, true],
    ]);
  });

  test('of many that swallow connections two are tried at a time, until the budget ends it', async () => {
    const clock = new SteppedClock();
    const silent = await plain(() => {});
    const ways = Array.from({ length: 8 }, () => silent);
    const { dial, lessons } = through(ways, { clock, totalMs: 3_000 });
    const dialling = dial().catch((e: unknown) => e);
    for (const [until, failed] of [
      [500, 0],
      [1_000, 1],
      [1_500, 2],
      [2_000, 3],
      [2_500, 4],
      [3_000, 6],
    ] as const) {
      await clock.expecting(until);
      clock.advance(500);
      await settledSoon(() => lessons.length === failed);
    }
    expect(((await dialling) as UnreachableError).attempts).toHaveLength(6);
    expect(clock.now()).toBe(3_000);
  });

  test('given up by the caller: aborted, and nothing is said against the gateway', async () => {
    const stop = new AbortController();
    const clock = new SteppedClock();
    const { dial, lessons } = through([await plain(() => {})], { clock });
    const dialling = failure(dial(stop.signal));
    await clock.expecting(3_000);
    stop.abort();
    expect((await dialling).code).toBe('aborted');
    expect(lessons).toEqual([]);
  });
});

/** What is learned after the outcome has no promise of its own: turns of the event loop until it is there. */
async function settledSoon(done: () => boolean): Promise<void> {
  while (!done()) await new Promise(setImmediate);
}
