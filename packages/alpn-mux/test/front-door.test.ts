import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { SteppedClock } from '@fed/tooling/virtual-clock';
import { afterEach, describe, expect, test } from 'vitest';
import {
  type Accepted,
  alpn,
  type FrontDoor,
  type FrontDoorOptions,
  openFrontDoor,
  type Refusal,
} from '../src/index.ts';
import { identity, material, pem } from './certificates.ts';

const stack = { current: new AsyncDisposableStack() };
afterEach(async () => {
  await stack.current.disposeAsync();
  stack.current = new AsyncDisposableStack();
});

interface Opened {
  readonly door: FrontDoor;
  readonly refusals: Refusal[];
  readonly accepted: Accepted[];
  readonly clock: SteppedClock;
  /** Resolves at the next hand-off, or at once if one was not yet taken. */
  next(): Promise<Accepted>;
  refused(): Promise<Refusal>;
}

/** A door of n1 in dc1 whose handlers send everything back. */
async function open({
  withoutTls,
  ...o
}: Partial<FrontDoorOptions> & { withoutTls?: boolean } = {}): Promise<Opened> {
  const clock = new SteppedClock();
  const accepted: Accepted[] = [];
  const refusals: Refusal[] = [];
  const waiting: { accepted: ((a: Accepted) => void)[]; refused: ((r: Refusal) => void)[] } = {
    accepted: [],
    refused: [],
  };
  const echo = (conn: Accepted): void => {
    accepted.push(conn);
    conn.stream.pipe(conn.stream);
    waiting.accepted.shift()?.(conn);
  };
  const door = await openFrontDoor({
    bind: { host: '127.0.0.1', port: 0 },
    ...(!withoutTls && { tls: identity('n1-dc1') }),
    domain: 'consul',
    alpn: {
      [alpn.rpcSingle]: echo,
      [alpn.raft]: echo,
      [alpn.rpcMulti]: echo,
      [alpn.rpcSnapshot]: echo,
      [alpn.wanGossipPacket]: echo,
      [alpn.wanGossipStream]: echo,
    },
    typeBytes: { 0: echo, 1: echo, 4: echo, 5: echo },
    onRefused: (r) => {
      refusals.push(r);
      waiting.refused.shift()?.(r);
    },
    clock,
    ...o,
  });
  stack.current.use(door);
  let takenAccepted = 0;
  let takenRefused = 0;
  return {
    door,
    refusals,
    accepted,
    clock,
    next: async () => accepted[takenAccepted++] ?? new Promise((resolve) => waiting.accepted.push(resolve)),
    refused: async () => refusals[takenRefused++] ?? new Promise((resolve) => waiting.refused.push(resolve)),
  };
}

function dial(door: FrontDoor): Socket {
  const socket = connect({ ...door.address, allowHalfOpen: true });
  socket.on('error', () => {});
  stack.current.defer(() => void socket.destroy());
  return socket;
}
async function dialled(door: FrontDoor): Promise<Socket> {
  const socket = dial(door);
  await once(socket, 'connect');
  return socket;
}
/** Everything the door sends until it ends or breaks the connection. */
async function untilClosed(socket: Socket): Promise<Buffer> {
  const parts: Buffer[] = [];
  socket.on('data', (b: Buffer) => parts.push(b));
  socket.on('end', () => socket.end());
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
  return Buffer.concat(parts);
}
/** TLS as a client of the CA, by default n1's own certificate and no check of the door's. */
function secure(o: ConnectionOptions & { as?: string }): TLSSocket {
  const { as = 'n1-dc1', ...rest } = o;
  const mine = as === '' ? {} : { cert: pem(as), key: pem(`${as}-key`) };
  const tls = connectTls({ ca: pem('ca'), checkServerIdentity: () => undefined, ...mine, ...rest });
  stack.current.defer(() => void tls.destroy());
  return tls;
}
const native = (door: FrontDoor, o: ConnectionOptions & { as?: string } = {}): TLSSocket =>
  secure({ ...door.address, servername: 'n1.server.dc1.consul', ALPNProtocols: [alpn.rpcMulti], ...o });
async function byByte(door: FrontDoor, o: ConnectionOptions & { as?: string } = {}): Promise<TLSSocket> {
  const socket = await dialled(door);
  socket.write(Uint8Array.of(3));
  return secure({ socket, ...o });
}
/** The error, or undefined if the connection was closed without one. */
async function fate(tls: TLSSocket): Promise<string | undefined> {
  let code: string | undefined;
  tls.on('error', (e: Error & { code?: string }) => {
    code = e.code;
  });
  tls.on('end', () => tls.end());
  tls.resume();
  if (!tls.closed) await new Promise((resolve) => tls.once('close', resolve));
  return code;
}
async function echoed(stream: Socket, text: string): Promise<string> {
  stream.write(text);
  let got = '';
  while (got.length < text.length) {
    const chunk: Buffer | null = stream.read();
    if (chunk === null) await once(stream, 'readable');
    else got += chunk.toString();
  }
  return got;
}

describe('by ALPN', () => {
  for (const name of [alpn.rpcSingle, alpn.raft, alpn.rpcMulti, alpn.rpcSnapshot, alpn.wanGossipPacket]) {
    test(`${name} reaches its handler with the names of the peer`, async () => {
      const { door, next, clock } = await open();
      const tls = native(door, { ALPNProtocols: [name] });
      expect(await echoed(tls, 'hello')).toBe('hello');
      const conn = await next();
      expect(conn).toMatchObject({
        alpn: name,
        tls: true,
        sni: 'n1.server.dc1.consul',
        remote: { host: '127.0.0.1', port: tls.localPort },
        local: door.address,
        peer: { server: { node: 'n1', datacenter: 'dc1' } },
      });
      expect(conn.peer?.names).toEqual(['n1.server.dc1.consul', 'server.dc1.consul', 'localhost']);
      expect(conn.typeByte).toBeUndefined();
      expect(clock.armed).toBe(0);
    });
  }

  test('the door chooses by its own order', async () => {
    const { door } = await open();
    const choice = async (...offer: string[]): Promise<unknown> => {
      const tls = native(door, { ALPNProtocols: offer });
      await once(tls, 'secureConnect');
      return tls.alpnProtocol;
    };
    expect(await choice('consul/rpc-multi', 'consul/rpc-single')).toBe('consul/rpc-single');
    expect(await choice('h2', 'consul/rpc-multi')).toBe('consul/rpc-multi');
  });

  test.each(['consul/rpc-grpc', 'consul/rpc-gossip', 'consul/raft-forwarding', 'h2', 'garbage'])(
    '%s has no handler: the handshake ends with the alert no_application_protocol',
    async (name) => {
      const { door, refused } = await open();
      expect(await fate(native(door, { ALPNProtocols: [name] }))).toBe(
        'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL',
      );
      expect(await refused()).toMatchObject({ code: 'alpn_unknown', remote: { host: '127.0.0.1' } });
    },
  );

  test('no ALPN at all: the handshake succeeds and the connection is closed unserved', async () => {
    const { door, refused, accepted } = await open();
    const tls = native(door, { ALPNProtocols: undefined });
    await once(tls, 'secureConnect');
    await fate(tls);
    expect(await refused()).toMatchObject({ code: 'alpn_missing' });
    expect(accepted).toEqual([]);
  });

  test.each(['m1-dc2', 'cli-dc1', 'wildcard-dc1'])(
    'the certificate %s of our CA is let in, whatever its datacenter, role or key usage',
    async (as) => {
      const { door, next } = await open();
      expect(await echoed(native(door, { as }), 'x')).toBe('x');
      expect((await next()).peer?.fingerprint).toMatch(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
    },
  );

  test.each(['example.com', 'n2.server.dc2.consul'])(
    'SNI %s gets the same certificate',
    async (servername) => {
      const { door, next } = await open();
      expect(await echoed(native(door, { servername }), 'x')).toBe('x');
      expect((await next()).sni).toBe(servername);
    },
  );

  test('no SNI gets the same certificate', async () => {
    const { door, next } = await open();
    expect(await echoed(native(door, { servername: '' }), 'x')).toBe('x');
    expect((await next()).sni).toBeUndefined();
  });

  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`${maxVersion} without a client certificate is refused with an alert`, async () => {
      const { door, refused, accepted } = await open();
      expect(await fate(native(door, { as: '', maxVersion }))).toMatch(/ALERT/);
      expect(await refused()).toMatchObject({ code: 'certificate_missing' });
      expect(accepted).toEqual([]);
    });

    test.each(['self-signed', 'foreign'])(`${maxVersion} with the certificate %s is refused`, async (as) => {
      const { door, refused, accepted } = await open();
      await fate(native(door, { as, maxVersion }));
      expect(await refused()).toMatchObject({ code: 'certificate_untrusted' });
      expect(accepted).toEqual([]);
    });
  }

  test('many bad certificates at once: each is told apart from the handshakes that just broke', async () => {
    const { door } = await open({ failures: { perSecond: Number.POSITIVE_INFINITY, burst: 1 } });
    const broken = async (): Promise<void> => {
      const socket = await dialled(door);
      socket.write(Buffer.from('160301', 'hex'));
      socket.destroy();
      await untilClosed(socket);
    };
    await Promise.all([
      ...Array.from({ length: 10 }, () => fate(native(door, { as: 'self-signed' }))),
      ...Array.from({ length: 10 }, () => fate(native(door, { as: '' }))),
      ...Array.from({ length: 10 }, broken),
    ]);
    await quiet(door);
    expect(door.stats()).toMatchObject({
      refused: { certificate_untrusted: 10, certificate_missing: 10, tls_failed: 10 },
      open: 0,
      handshaking: 0,
    });
  });

  test('TLS 1.1 is refused with the alert protocol_version', async () => {
    const { door, refused } = await open();
    const tls = native(door, { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' });
    expect(await fate(tls)).toMatch(/ALERT_PROTOCOL_VERSION/);
    expect(await refused()).toMatchObject({ code: 'tls_version' });
  });

  test('bound to all addresses, each connection tells by which of them it came', async () => {
    const { door, next } = await open({ bind: { host: '0.0.0.0', port: 0 } });
    for (const host of ['127.0.0.1', '127.0.0.2']) {
      const tls = native(door, { host });
      expect(await echoed(tls, 'x')).toBe('x');
      expect((await next()).local).toEqual({ host, port: door.address.port });
    }
  });

  test('who shows the same certificate again has the same identity, and nobody else has it', async () => {
    const { door, next } = await open();
    const peers: unknown[] = [];
    for (const as of ['n1-dc1', 'm1-dc2', 'n1-dc1']) {
      expect(await echoed(native(door, { as }), 'x')).toBe('x');
      peers.push((await next()).peer);
    }
    expect(peers[0]).toMatchObject({ server: { node: 'n1', datacenter: 'dc1' } });
    expect(peers[1]).toMatchObject({ server: { node: 'm1', datacenter: 'dc2' } });
    expect(peers[2]).toBe(peers[0]);
  });

  test('a hello that trickles in byte by byte is served', async () => {
    const { door, next } = await open();
    const through = await dialled(door);
    through.setNoDelay(true);
    const tls = secure({ socket: trickle(through), ALPNProtocols: [alpn.rpcMulti] });
    expect(await echoed(tls, 'slow')).toBe('slow');
    expect(await next()).toMatchObject({ alpn: alpn.rpcMulti });
  });
});

describe('by type byte', () => {
  for (const byte of [0, 1, 4, 5]) {
    test(`3, TLS, ${byte}: its handler sees what follows the byte`, async () => {
      const { door, next } = await open();
      const tls = await byByte(door, { servername: 'server.dc1.consul' });
      tls.write(Uint8Array.of(byte));
      expect(await echoed(tls, 'inner')).toBe('inner');
      expect(await next()).toMatchObject({
        typeByte: byte,
        tls: true,
        sni: 'server.dc1.consul',
        peer: { server: { datacenter: 'dc1' } },
      });
    });

    test(`${byte} in the open is refused with verify_incoming, served without`, async () => {
      const { door, refused, next } = await open();
      const first = await dialled(door);
      first.write(Uint8Array.of(byte, 120));
      expect(await untilClosed(first)).toHaveLength(0);
      expect(await refused()).toMatchObject({ code: 'plain_refused' });

      door.reconfigure({
        policy: { verifyIncoming: false, verifyOutgoing: false, verifyServerHostname: false },
      });
      const second = await dialled(door);
      second.end(Buffer.from([byte, ...Buffer.from('plain')]));
      expect(await buffer(second)).toEqual(Buffer.from('plain'));
      expect(await next()).toMatchObject({ typeByte: byte, tls: false });
    });
  }

  test('byte and request in one segment: nothing of the request is lost', async () => {
    const { door } = await open();
    const tls = await byByte(door);
    const request = Buffer.alloc(200_000, 'r');
    tls.end(Buffer.concat([Uint8Array.of(4), request]));
    expect((await buffer(tls)).equals(request)).toBe(true);
  });

  test('a protocol offered inside the TLS of byte 3 is not negotiated', async () => {
    const { door } = await open();
    const tls = await byByte(door, { ALPNProtocols: [alpn.rpcMulti] });
    tls.write(Uint8Array.of(4));
    expect(await echoed(tls, 'x')).toBe('x');
    expect(tls.alpnProtocol).toBe(false);
  });

  test('byte 3 without a client certificate: refused with verify_incoming, served without', async () => {
    const { door, refused, next } = await open();
    await fate(await byByte(door, { as: '' }));
    expect(await refused()).toMatchObject({ code: 'certificate_missing' });

    door.reconfigure({
      policy: { verifyIncoming: false, verifyOutgoing: true, verifyServerHostname: false },
    });
    const tls = await byByte(door, { as: '' });
    tls.write(Uint8Array.of(0));
    expect(await echoed(tls, 'x')).toBe('x');
    const conn = await next();
    expect([conn.tls, conn.peer]).toEqual([true, undefined]);
  });

  for (const [byte, code] of [
    [3, 'tls_nested'],
    [7, 'tls_nested'],
    [2, 'type_byte_unknown'],
    [22, 'type_byte_unknown'],
    [6, 'type_byte_unhandled'],
    [8, 'type_byte_unhandled'],
    [9, 'type_byte_unhandled'],
  ] as const) {
    test(`3, TLS, ${byte} is refused as ${code}`, async () => {
      const { door, refused, accepted } = await open();
      const tls = await byByte(door);
      tls.write(Uint8Array.of(byte));
      await fate(tls);
      expect(await refused()).toMatchObject({ code });
      expect(accepted).toEqual([]);
    });
  }

  test('7, TLS without a certificate, is not served', async () => {
    const { door, refused } = await open();
    const socket = await dialled(door);
    socket.write(Uint8Array.of(7));
    await untilClosed(socket);
    expect(await refused()).toMatchObject({ code: 'type_byte_unhandled' });
  });
});

describe('what is no protocol of ours', () => {
  test('silence ends at the handshake deadline, and not before', async () => {
    const { door, clock, refused } = await open();
    const socket = await dialled(door);
    await clock.expecting(5_000);
    clock.advance(4_999);
    expect(door.stats()).toMatchObject({ handshaking: 1, refused: {} });
    clock.advance(1);
    expect(await untilClosed(socket)).toHaveLength(0);
    expect(await refused()).toMatchObject({ code: 'silence' });
  });

  test('a handshake begun and not finished ends at the same deadline', async () => {
    const { door, clock, refused } = await open();
    const socket = await dialled(door);
    await clock.expecting(5_000);
    socket.write(recordedHello);
    await once(socket, 'data'); // the server's answer; ours never comes
    clock.advance(5_000);
    await untilClosed(socket);
    expect(await refused()).toMatchObject({ code: 'tls_timeout' });
  });

  test('after the TLS of byte 3 the deadline starts again', async () => {
    const { door, clock, refused } = await open();
    const socket = await dialled(door);
    await clock.expecting(5_000);
    clock.advance(4_000);
    socket.write(Uint8Array.of(3));
    const tls = secure({ socket });
    await clock.expecting(9_000);
    clock.advance(4_999);
    expect(door.stats().refused).toEqual({});
    clock.advance(1);
    await fate(tls);
    expect(await refused()).toMatchObject({ code: 'silence' });
  });

  test('GET / HTTP/1.1 is closed', async () => {
    const { door, refused } = await open();
    const socket = await dialled(door);
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await untilClosed(socket);
    expect(await refused()).toMatchObject({ code: 'not_tls' });
  });

  test.each([0x80, 0xff, 0x0a])('garbage that starts with %i is closed', async (first) => {
    const { door, refused } = await open();
    const socket = await dialled(door);
    socket.write(Buffer.alloc(64, first));
    await untilClosed(socket);
    expect((await refused()).code).toMatch(/^(not_tls|tls_failed)$/);
  });

  test('a connection without a byte is closed and counted as nobody', async () => {
    const { door, refusals } = await open();
    const socket = await dialled(door);
    socket.end();
    await untilClosed(socket);
    await quiet(door);
    expect(door.stats()).toMatchObject({ accepted: 1, leftEarly: 1, refused: {} });
    expect(refusals).toEqual([]);
  });

  test('without a certificate of our own a ClientHello is an unknown byte', async () => {
    const { door, refused } = await open({ withoutTls: true });
    await fate(native(door));
    expect(await refused()).toMatchObject({ code: 'tls_unavailable' });
  });
});

describe('limits', () => {
  test('of 105 connections of one address 5 are closed; a place that is freed can be taken', async () => {
    const { door } = await open();
    const sockets = await Promise.all(Array.from({ length: 105 }, () => dialled(door)));
    const closed = new Set<Socket>();
    for (const s of sockets)
      s.resume()
        .on('end', () => s.end())
        .on('close', () => closed.add(s));
    while (closed.size < 5)
      await Promise.race(sockets.filter((s) => !closed.has(s)).map((s) => once(s, 'close')));
    expect(door.stats()).toMatchObject({ accepted: 105, open: 100, refused: { too_many_connections: 5 } });

    const leaving = sockets.find((s) => !closed.has(s)) as Socket;
    leaving.end();
    await once(leaving, 'close');
    expect(await echoed(native(door), 'x')).toBe('x');
  });

  describe('an address that fails', () => {
    /** Comes with a wrong certificate so many times, one after the other. */
    const fail = async (door: FrontDoor, times: number): Promise<void> => {
      for (let n = 0; n < times; n++) await fate(native(door, { as: 'self-signed' }));
      await quiet(door);
    };

    test('is turned away before TLS after ten times; it is told once, counted always, and let in again', async () => {
      const { door, refusals, clock, next } = await open();
      await fail(door, 14);
      expect(door.stats()).toMatchObject({
        refused: { certificate_untrusted: 10, too_many_failures: 4 },
        open: 0,
        addressesWatched: 1,
      });
      expect(refusals.filter(({ code }) => code === 'too_many_failures')).toHaveLength(1);
      await untilClosed(await dialled(door));
      clock.advance(1_000);
      expect(await echoed(native(door), 'x')).toBe('x');
      await next();
      expect(door.stats().refused).toMatchObject({ certificate_untrusted: 10, too_many_failures: 5 });
    });

    test('is let in as long as a certified peer is connected from there, as through a gateway', async () => {
      const { door } = await open();
      const peer = native(door);
      expect(await echoed(peer, 'a')).toBe('a');
      for (let n = 0; n < 30; n++) await fate(native(door, { as: 'self-signed' }));
      expect(await echoed(native(door), 'b')).toBe('b');
      expect(door.stats().refused).toEqual({ certificate_untrusted: 30 });
    });

    test('is let in if it is vouched for', async () => {
      const { door } = await open({ vouchedFor: (host) => host === '127.0.0.1' });
      await fail(door, 30);
      expect(door.stats().refused).toEqual({ certificate_untrusted: 30 });
    });

    test('of a hundred at once no more are let in than may fail, once it has failed', async () => {
      const { door, clock } = await open();
      await fail(door, 10);
      clock.advance(2_000);
      await Promise.all(Array.from({ length: 90 }, () => fate(native(door, { as: 'self-signed' }))));
      await quiet(door);
      expect(door.stats().refused).toEqual({ certificate_untrusted: 12, too_many_failures: 88 });
    });

    test('is one, too, whose certified peers are blamed by the handler; a good one beside them is its advocate', async () => {
      const { door, next } = await open();
      const misbehave = async (): Promise<void> => {
        const peer = native(door);
        await echoed(peer, 'x');
        (await next()).blame();
        peer.destroy();
        await quiet(door);
      };
      for (let n = 0; n < 10; n++) await misbehave();
      await fate(native(door));
      expect(door.stats().refused).toEqual({ too_many_failures: 1 });

      const { door: other, next: nextThere } = await open();
      expect(await echoed(native(other), 'good')).toBe('good');
      await nextThere();
      for (let n = 0; n < 30; n++) {
        const peer = native(other);
        expect(await echoed(peer, 'x')).toBe('x');
        (await nextThere()).blame();
        peer.destroy();
      }
      expect(other.stats().refused).toEqual({});
    });

    test('has no advocate in a certified peer who came after failures, until he has behaved for a second', async () => {
      const { door, next, clock } = await open({ failures: { perSecond: 0, burst: 2 } });
      const first = native(door);
      await echoed(first, 'x');
      (await next()).blame();
      first.destroy();
      await quiet(door);
      expect(await echoed(native(door), 'the last who may fail')).toBe('the last who may fail');
      await next();
      clock.advance(999);
      await fate(native(door));
      expect(door.stats().refused).toEqual({ too_many_failures: 1 });
      clock.advance(1);
      expect(await echoed(native(door), 'welcome')).toBe('welcome');
    });

    test('connections that say nothing and go are no failures', async () => {
      const { door } = await open();
      for (let n = 0; n < 30; n++) {
        const socket = await dialled(door);
        socket.end();
        await untilClosed(socket);
      }
      expect(await echoed(native(door), 'x')).toBe('x');
      expect(door.stats()).toMatchObject({ refused: {}, leftEarly: 30 });
    });
  });

  test('the limit can change while running', async () => {
    const { door, refused } = await open({ perClientConnectionsMax: 1 });
    await dialled(door);
    await untilClosed(await dialled(door));
    expect(await refused()).toMatchObject({ code: 'too_many_connections' });
    door.reconfigure({ perClientConnectionsMax: 2 });
    expect(await echoed(native(door), 'x')).toBe('x');
  });
});

describe('life of the door', () => {
  test('a new certificate and CA serve new connections; old connections go on', async () => {
    const tls = identity('n1-dc1');
    const { door, refused } = await open({ tls });
    const old = native(door);
    expect(await echoed(old, 'a')).toBe('a');
    expect(old.getPeerCertificate().subjectaltname).toContain('n1.server.dc1');

    tls.replace(material('m1-dc2', ['foreign-ca']));
    const young = native(door, { as: 'foreign' });
    expect(await echoed(young, 'b')).toBe('b');
    expect(young.getPeerCertificate().subjectaltname).toContain('m1.server.dc2');
    await fate(native(door));
    expect(await refused()).toMatchObject({ code: 'certificate_untrusted' });
    expect(await echoed(old, 'c')).toBe('c');
  });

  test('a session of the old CA cannot be resumed under the new one', async () => {
    const tls = identity('n1-dc1');
    const { door, accepted } = await open({ tls });
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      tls.replace(material('n1-dc1'));
      const first = native(door, { maxVersion });
      const sessions: Buffer[] = [];
      first.on('session', (s: Buffer) => sessions.push(s));
      await echoed(first, 'a');
      const served = accepted.length;
      tls.replace(material('n1-dc1', ['foreign-ca']));
      await fate(native(door, { maxVersion, session: sessions.at(-1) ?? first.getSession() }));
      expect(accepted).toHaveLength(served);
    }
  });

  test('half-close: what the client asked before it ended its side is still answered', async () => {
    const { door } = await open();
    const tls = native(door, { ALPNProtocols: [alpn.rpcSnapshot] });
    tls.end('request');
    expect((await buffer(tls)).toString()).toBe('request');
  });

  test('a handler that throws costs its connection only', async () => {
    const { door, refused } = await open({
      alpn: {
        [alpn.rpcMulti]: () => {
          throw new TypeError('a bug');
        },
      },
    });
    await fate(native(door));
    expect(await refused()).toMatchObject({
      code: 'handler_threw',
      detail: expect.stringContaining('a bug'),
    });
    expect(door.stats().open).toBe(0);
  });

  test('handlers may read by events, by iteration or later, and lose nothing', async () => {
    const got: Promise<string>[] = [];
    const readers = [
      ({ stream }: Accepted) =>
        got.push(
          new Promise((resolve) => {
            let text = '';
            stream.on('data', (b: Buffer) => {
              text += b;
            });
            stream.on('end', () => resolve(text));
          }),
        ),
      ({ stream }: Accepted) => got.push(buffer(stream).then(String)),
      ({ stream }: Accepted) => got.push(once(stream, 'readable').then(() => buffer(stream).then(String))),
      ({ stream }: Accepted) =>
        got.push(new Promise((resolve) => setImmediate(() => resolve(buffer(stream).then(String))))),
    ];
    const handler = (conn: Accepted): void => {
      readers.shift()?.(conn);
      void got.at(-1)?.then(() => conn.stream.end());
    };
    const { door } = await open({
      policy: { verifyIncoming: false, verifyOutgoing: false, verifyServerHostname: false },
      typeBytes: { 4: handler },
      alpn: { [alpn.rpcMulti]: handler },
    });
    for (let i = 0; i < 2; i++) {
      const socket = await dialled(door);
      socket.end('\u0004plain');
      await untilClosed(socket);
      const tls = native(door);
      tls.end('plain');
      await fate(tls);
    }
    expect(await Promise.all(got)).toEqual(['plain', 'plain', 'plain', 'plain']);
  });

  test('closing the door closes the port and everything that came by it, twice no harm', async () => {
    const { door } = await open();
    const [idle, busy] = [await dialled(door), native(door)];
    await echoed(busy, 'x');
    const gone = Promise.all([untilClosed(idle), fate(busy)]);
    await door[Symbol.asyncDispose]();
    await door[Symbol.asyncDispose]();
    await gone;
    const late = dial(door);
    const [e] = (await once(late, 'error')) as [Error & { code?: string }];
    expect(e.code).toBe('ECONNREFUSED');
  });

  test('a door that is shut lets nobody in, and throws nobody out', async () => {
    const { door } = await open();
    const inside = native(door);
    await echoed(inside, 'x');
    door.shut();
    const late = dial(door);
    const [e] = (await once(late, 'error')) as [Error & { code?: string }];
    expect(e.code).toBe('ECONNREFUSED');
    expect(await echoed(inside, 'still here')).toBe('still here');
    await door[Symbol.asyncDispose]();
    await fate(inside);
  });

  test('an address in use and a policy without certificate are refused before anything is open', async () => {
    const { door } = await open();
    await expect(open({ bind: door.address })).rejects.toMatchObject({ code: 'bind_failed' });
    const policy = { verifyIncoming: true, verifyOutgoing: true, verifyServerHostname: true };
    await expect(open({ withoutTls: true, policy })).rejects.toMatchObject({ code: 'policy_needs_tls' });
    expect(() => door.reconfigure({ perClientConnectionsMax: 1 })).not.toThrow();
  });
});

/** The same connection, on which every byte is a write of its own. */
function trickle(socket: Socket): Duplex {
  const slow = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      const next = (i: number): void => {
        if (i === chunk.length) done();
        else socket.write(chunk.subarray(i, i + 1), () => next(i + 1));
      };
      next(0);
    },
  });
  socket.on('data', (b: Buffer) => slow.push(b));
  return slow;
}

/** Until the door has forgotten all its connections: each of them ends in an event-loop turn of its own. */
async function quiet(door: FrontDoor): Promise<void> {
  while (door.stats().open > 0 || door.stats().handshaking > 0) await turn();
}
/** What node 20 sends as a client that offers consul/rpc-multi. */
const recordedHello = Buffer.from(
  JSON.parse(readFileSync(new URL('./vectors/clienthello.json', import.meta.url), 'utf8')).vectors.find(
    (v: { id: string }) => v.id === 'node-tls-default',
  ).hex,
  'hex',
);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
