/**
 * The server's port, probed byte by byte as Consul 1.9.8's was: the same table, row by row. Where we answer otherwise, the
 * row says so, and why.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { goTimeZero, type Value, Writer } from '@fed/msgpack';
import { createCa, createCertificate } from '@fed/pki';
import { Federation, fedCli } from '@fed/tooling/federation';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Line } from './wire.ts';

/** The handshake deadline, shorter than the usual 5 s: what is closed by it is closed by it in any length. */
const handshakeMs = 700;
const patienceMs = 60_000;

let folder: string;
let federation: Federation;
let port: number;
let own: Credentials;
const others: Record<
  'dc2 server' | 'dc1 client' | 'dc1 cli' | 'self-signed' | 'out of its time',
  Credentials
> = {} as never;

interface Credentials {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'fed-probe-'));
  // Hundreds of rows fail from one address, on purpose; what becomes of such an address is another test's.
  const config = { limits: { rpc_handshake_timeout: `${handshakeMs}ms`, rpc_failed_conns_rate: -1 } };
  federation = await Federation.prepare({ datacenters: ['dc1', 'dc2'], folder, config });
  const tls = join(folder, 'tls');
  for (const kind of ['--client', '--cli'])
    execFileSync(process.execPath, [fedCli, 'tls', 'cert', 'create', kind, '--dc', 'dc1'], { cwd: tls });
  const read = (name: string): string => readFileSync(join(tls, name), 'utf8');
  const ca = read('consul-agent-ca.pem');
  const pair = (name: string): Credentials => ({
    ca,
    cert: read(`${name}-consul-0.pem`),
    key: read(`${name}-consul-0-key.pem`),
  });
  own = pair('dc1-server');
  others['dc2 server'] = pair('dc2-server');
  others['dc1 client'] = pair('dc1-client');
  others['dc1 cli'] = pair('dc1-cli');
  const maker = { randomBytes, now: () => Date.now() };
  const stranger = await createCertificate(
    { kind: 'server', datacenter: 'dc1', node: 'n1' },
    await createCa({}, maker),
    maker,
  );
  others['self-signed'] = { ca, cert: stranger.certificate, key: stranger.key };
  const tomorrow = { randomBytes, now: () => Date.now() + 86_400_000 };
  const early = await createCertificate(
    { kind: 'server', datacenter: 'dc1', node: 'n1' },
    { certificate: ca, key: read('consul-agent-ca-key.pem') },
    tomorrow,
  );
  others['out of its time'] = { ca, cert: early.certificate, key: early.key };
  federation.startServer('dc1');
  port = federation.site('dc1').serverPort;
  await federation.until(
    'the server answers',
    patienceMs,
    async () => (await federation.get('dc1', '/v1/status/leader')) !== '',
  );
}, 2 * patienceMs);

afterAll(async () => {
  await federation?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** Our side of TLS: name checked by nobody unless the row says so. */
function as(who: Credentials | undefined, o: ConnectionOptions = {}): ConnectionOptions {
  return {
    ca: own.ca,
    ...(who === undefined ? {} : { cert: who.cert, key: who.key }),
    checkServerIdentity: () => undefined,
    ...o,
  };
}

const withAlpn = (...ALPNProtocols: string[]): ConnectionOptions => as(own, { ALPNProtocols });
const fails = async (line: Promise<Line>): Promise<string> => {
  try {
    await using opened = await line;
    return `open: ${opened.open}`;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? (error as Error).message;
  }
};

/** Whether a line is open still when one that says nothing, and came after it, was closed for its silence. */
async function outlivesSilence(line: Line): Promise<boolean> {
  await using silent = await Line.plain(port);
  await silent.ended;
  return line.open;
}

let seq = 100;
function request(method: string, body: Value): Buffer {
  seq += 1;
  const header = new Writer().map(2).str('Seq').int(seq).str('ServiceMethod').str(method);
  return Buffer.from(header.value(body).take());
}
const ping = (): Buffer => request('Status.Ping', {});
/** The reply to the request before. */
function reply(method: string, body: Uint8Array, error = ''): Buffer {
  const header = new Writer()
    .map(3)
    .str('Error')
    .str(error)
    .str('Seq')
    .int(seq)
    .str('ServiceMethod')
    .str(method);
  return Buffer.concat([header.take(), body]);
}
const empty = Buffer.of(0x80);
const pong = (): Buffer => reply('Status.Ping', empty);

const yamux = { data: 0, window: 1, ping: 2, syn: 1, ack: 2, fin: 4, rst: 8 };
function frame(
  type: number,
  flags: number,
  stream: number,
  length: number,
  body: Uint8Array = Buffer.of(),
): Buffer {
  const header = Buffer.alloc(12);
  header[1] = type;
  header.writeUInt16BE(flags, 2);
  header.writeUInt32BE(stream, 4);
  header.writeUInt32BE(length, 8);
  return Buffer.concat([header, body]);
}
const data = (stream: number, body: Uint8Array, flags = 0): Buffer =>
  frame(yamux.data, flags, stream, body.length, body);
const syn = (stream: number): Buffer => frame(yamux.window, yamux.syn, stream, 0);

interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly body: string;
}
function framesIn(bytes: Buffer): readonly Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at + 12 <= bytes.length; ) {
    const type = bytes[at + 1] as number;
    const length = type === yamux.data ? bytes.readUInt32BE(at + 8) : 0;
    if (at + 12 + length > bytes.length) break;
    frames.push({
      type,
      flags: bytes.readUInt16BE(at + 2),
      stream: bytes.readUInt32BE(at + 4),
      body: bytes.subarray(at + 12, at + 12 + length).toString('hex'),
    });
    at += 12 + length;
  }
  return frames;
}
/** Frames heard once `enough` of them are there. */
async function frames(line: Line, enough: (heard: readonly Frame[]) => boolean): Promise<readonly Frame[]> {
  for (let bytes = 12; ; ) {
    const heard = await line.heard(bytes);
    const found = framesIn(heard);
    if (enough(found)) return found;
    bytes = heard.length + 1;
  }
}
const bodyOf = (heard: readonly Frame[], stream: number): string =>
  heard
    .filter((one) => one.stream === stream && one.type === yamux.data)
    .map((one) => one.body)
    .join('');

describe('native TLS: ALPN', () => {
  test.each([
    'consul/rpc-single',
    'consul/rpc-multi',
    'consul/wan-gossip/packet',
    'consul/wan-gossip/stream',
  ])('%s, idle: TLS 1.3, stays open', async (protocol) => {
    await using line = await Line.tls(port, withAlpn(protocol));
    expect([line.socket.getProtocol(), line.socket.alpnProtocol]).toEqual(['TLSv1.3', protocol]);
    expect(await outlivesSilence(line)).toBe(true);
  });

  test.each(['consul/rpc-grpc', 'consul/raft-forwarding', 'h2', 'garbage'])(
    '%s: alert no_application_protocol',
    async (protocol) => {
      expect(await fails(Line.tls(port, withAlpn(protocol)))).toBe(
        'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL',
      );
    },
  );

  test.each(['consul/raft', 'consul/rpc-snapshot', 'consul/rpc-gossip'])(
    '%s: alert no_application_protocol (the original accepts it; here nothing would answer, and a refusal says so at once)',
    async (protocol) => {
      expect(await fails(Line.tls(port, withAlpn(protocol)))).toBe(
        'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL',
      );
    },
  );

  test('none: the handshake is done, then closed at once', async () => {
    await using line = await Line.tls(port, as(own));
    expect(line.socket.alpnProtocol).toBe(false);
    expect(await line.ended).toBe('closed');
  });

  test.each([
    [['h2', 'consul/rpc-multi'], 'consul/rpc-multi'],
    [['consul/rpc-multi', 'consul/rpc-single'], 'consul/rpc-single'],
  ])('%j: the server’s order decides: %s', async (offered, chosen) => {
    await using line = await Line.tls(port, withAlpn(...offered));
    expect(line.socket.alpnProtocol).toBe(chosen);
  });

  test('rpc-single and Status.Ping: the recorded reply', async () => {
    const recorded = JSON.parse(
      readFileSync(new URL('vectors/frames-status.json', import.meta.url), 'utf8'),
    ) as { cases: readonly { name: string; request: { hex: string }; response: { hex: string } }[] };
    const found = recorded.cases.find(({ name }) => name === 'ping');
    await using line = await Line.tls(port, withAlpn('consul/rpc-single'));
    line.say(Buffer.from(found?.request.hex as string, 'hex'));
    const answer = Buffer.from(found?.response.hex as string, 'hex');
    expect(await line.heard(answer.length)).toEqual(answer);
  });

  test('rpc-multi, SYN and Status.Ping: ACK, then the reply in a data frame', async () => {
    await using line = await Line.tls(port, withAlpn('consul/rpc-multi'));
    line.say(syn(1), data(1, ping()));
    const heard = await frames(line, (all) => bodyOf(all, 1) !== '');
    expect(heard[0]).toMatchObject({ stream: 1, flags: yamux.ack });
    expect(bodyOf(heard, 1)).toBe(pong().toString('hex'));
  });
});

describe('native TLS: bad content', () => {
  const length = (bytes: number): Buffer => {
    const prefix = Buffer.alloc(4);
    prefix.writeUInt32BE(bytes);
    return prefix;
  };

  test('packet: a frame of three bytes that is no packet leaves the connection open', async () => {
    await using line = await Line.tls(port, withAlpn('consul/wan-gossip/packet'));
    line.say(length(3), Buffer.of(1, 2, 3));
    expect(await outlivesSilence(line)).toBe(true);
  });

  test.each([0, 4_194_305])('packet: a length of %d: closed', async (bytes) => {
    await using line = await Line.tls(port, withAlpn('consul/wan-gossip/packet'));
    line.say(length(bytes));
    await line.ended;
  });

  test.each([
    ['consul/wan-gossip/stream', 0xff],
    ['consul/rpc-single', 0xc1],
  ])('%s: byte %d: closed', async (protocol, byte) => {
    await using line = await Line.tls(port, withAlpn(protocol));
    line.say(byte);
    await line.ended;
  });
});

describe('certificates', () => {
  test.each(['server.dc1.consul', 'n1.server.dc1.consul', 'localhost'])(
    'ours is for %s',
    async (servername) => {
      const o = { ca: own.ca, cert: own.cert, key: own.key, servername, ALPNProtocols: ['consul/rpc-multi'] };
      await using line = await Line.tls(port, o);
      expect(line.socket.authorized).toBe(true);
    },
  );

  test.each(['other.server.dc1.consul', 'n2.server.dc2.consul', 'example.com'])(
    'ours is not for %s: who checks it hangs up',
    async (servername) => {
      const o = { ca: own.ca, cert: own.cert, key: own.key, servername, ALPNProtocols: ['consul/rpc-multi'] };
      expect(await fails(Line.tls(port, o))).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
    },
  );

  test('any name asked for, and none, gets the same certificate', async () => {
    const seen = async (o: ConnectionOptions): Promise<string> => {
      await using line = await Line.tls(port, { ...withAlpn('consul/rpc-multi'), ...o });
      return (line.socket as TLSSocket).getPeerCertificate().fingerprint256;
    };
    expect(await seen({ servername: 'example.com' })).toBe(await seen({}));
  });

  test.each(['dc2 server', 'dc1 client', 'dc1 cli'] as const)(
    'a %s may come in and is answered',
    async (who) => {
      await using line = await Line.tls(port, as(others[who], { ALPNProtocols: ['consul/rpc-single'] }));
      line.say(ping());
      const answer = pong();
      expect(await line.heard(answer.length)).toEqual(answer);
    },
  );

  test('a dc1 client may not write for dc1 (the original lets anybody with a certificate; verify_server_datacenter)', async () => {
    await using line = await Line.tls(
      port,
      as(others['dc1 client'], { ALPNProtocols: ['consul/rpc-single'] }),
    );
    line.say(request('FederationState.Apply', apply('upsert')));
    expect((await line.heard(150)).toString('latin1')).toMatch(/Permission denied: .* names no server/);
  });

  test('none, TLS 1.3: the handshake succeeds for the client, then an alert (here certificate_required; Go says bad_certificate)', async () => {
    await using line = await Line.tls(port, as(undefined, { ALPNProtocols: ['consul/rpc-multi'] }));
    expect(await line.ended).toMatch(/^ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED$/);
  });

  test('none, TLS 1.2: refused during the handshake', async () => {
    const o = as(undefined, { ALPNProtocols: ['consul/rpc-multi'], maxVersion: 'TLSv1.2' });
    expect(await fails(Line.tls(port, o))).toMatch(
      /ALERT_HANDSHAKE_FAILURE|ALERT_BAD_CERTIFICATE|ECONNRESET/,
    );
  });

  test.each([
    ['of another CA', 'self-signed'],
    ['out of its time', 'out of its time'],
  ] as const)('one %s: closed before anything is answered', async (_why, who) => {
    await using line = await Line.tls(port, as(others[who], { ALPNProtocols: ['consul/rpc-single'] }));
    line.say(ping());
    await line.ended;
    await expect(line.heard(1)).rejects.toThrow(/dead after 0/);
  });

  test.each(['TLSv1', 'TLSv1.1'] as const)('%s: alert protocol_version', async (version) => {
    const o = withAlpn('consul/rpc-multi');
    const old = { minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' };
    expect(await fails(Line.tls(port, { ...o, ...old }))).toBe('ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION');
  });
});

describe('plain bytes, verify_incoming on', () => {
  test.each([0, 1, 2, 4, 5, 6, 8])('%d: closed at once', async (byte) => {
    await using line = await Line.plain(port);
    await using silent = await Line.plain(port);
    line.say(byte);
    await line.ended;
    expect(silent.open).toBe(true);
  });

  test('7: closed at once (the original bootstraps clients with it, and lets it wait for ever; there are none here)', async () => {
    await using line = await Line.plain(port);
    await using silent = await Line.plain(port);
    line.say(7);
    await line.ended;
    expect(silent.open).toBe(true);
  });

  test.each([3, 22])('%d, then silence: closed by the handshake deadline, not before', async (byte) => {
    const began = performance.now();
    await using line = await Line.plain(port);
    line.say(byte);
    await line.ended;
    expect(performance.now() - began).toBeGreaterThan(handshakeMs * 0.9);
  });

  test.each([9, 10, 20, 21, 71, 255])(
    '%d: closed at once (the original takes it for TLS and waits for the rest of a record that cannot come)',
    async (byte) => {
      await using line = await Line.plain(port);
      await using silent = await Line.plain(port);
      line.say(byte);
      await line.ended;
      expect(silent.open).toBe(true);
    },
  );

  test('silence: closed by the handshake deadline', async () => {
    const began = performance.now();
    await using line = await Line.plain(port);
    await line.ended;
    expect(performance.now() - began).toBeGreaterThan(handshakeMs * 0.9);
  });

  test('an HTTP request: closed at once', async () => {
    await using line = await Line.plain(port);
    await using silent = await Line.plain(port);
    line.say(Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n'));
    await line.ended;
    expect(silent.open).toBe(true);
  });
});

describe('byte 3, then TLS', () => {
  test('04, yamux, Status.Ping: reply', async () => {
    await using line = await Line.upgraded(port, as(own));
    line.say(4, syn(1), data(1, ping()));
    const heard = await frames(line, (all) => bodyOf(all, 1) !== '');
    expect(bodyOf(heard, 1)).toBe(pong().toString('hex'));
  });

  test('00, Status.Ping: reply', async () => {
    await using line = await Line.upgraded(port, as(own));
    line.say(0, ping());
    const answer = pong();
    expect(await line.heard(answer.length)).toEqual(answer);
  });

  test('without a certificate: the handshake succeeds for the client, then an alert', async () => {
    await using line = await Line.upgraded(port, as(undefined));
    expect(await line.ended).toBe('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED');
  });

  test.each([0x03, 0x07, 0x02, 0x06, 0x09, 0x16, 0x08, 0x01, 0x05])(
    'byte %d inside: closed',
    async (byte) => {
      await using line = await Line.upgraded(port, as(own));
      await using silent = await Line.plain(port);
      line.say(byte);
      await line.ended;
      expect(silent.open).toBe(true);
    },
  );

  test('then silence: closed by a deadline that starts after the handshake', async () => {
    const began = performance.now();
    await using line = await Line.upgraded(port, as(own));
    await line.ended;
    expect(performance.now() - began).toBeGreaterThan(handshakeMs * 0.9);
  });

  test('offering ALPN: none is chosen, and bytes are dispatched as usual', async () => {
    await using line = await Line.upgraded(port, withAlpn('consul/rpc-multi'));
    expect(line.socket.alpnProtocol).toBe(false);
    line.say(0, ping());
    const answer = pong();
    expect(await line.heard(answer.length)).toEqual(answer);
  });
});

describe('yamux', () => {
  const session = (): Promise<Line> => Line.tls(port, withAlpn('consul/rpc-multi'));
  const answered = async (line: Line, stream: number): Promise<void> => {
    line.say(syn(stream), data(stream, ping()));
    const wanted = pong().toString('hex');
    await frames(line, (all) => bodyOf(all, stream) === wanted);
  };

  test.each([
    ['FIN', yamux.fin],
    ['RST', yamux.rst],
  ])('SYN, %s without data: the session lives (the original’s dies of it)', async (_name, flag) => {
    await using line = await session();
    line.say(syn(1), frame(yamux.window, flag, 1, 0));
    await answered(line, 3);
  });

  test('a stream that is silent holds up no other (in the original it does)', async () => {
    await using line = await session();
    line.say(syn(1));
    await answered(line, 3);
  });

  test('unknown method: an error reply and the end of that stream; the session lives', async () => {
    await using line = await session();
    line.say(syn(1), data(1, request('Nope.Nope', {})));
    const wanted = reply('Nope.Nope', empty, "rpc: can't find service Nope.Nope").toString('hex');
    const heard = await frames(line, (all) =>
      all.some((one) => one.stream === 1 && (one.flags & yamux.fin) !== 0),
    );
    expect(bodyOf(heard, 1)).toBe(wanted);
    await answered(line, 3);
  });

  test('an application error, then Ping on the same stream: both answered', async () => {
    await using line = await session();
    line.say(syn(1), data(1, request('FederationState.Apply', apply('x'))));
    const first = reply('FederationState.Apply', empty, 'Invalid federation state operation: x').toString(
      'hex',
    );
    await frames(line, (all) => bodyOf(all, 1) === first);
    line.say(data(1, ping()));
    const second = first + pong().toString('hex');
    await frames(line, (all) => bodyOf(all, 1) === second);
  });

  test('request and FIN at once: the reply, then FIN', async () => {
    await using line = await session();
    line.say(syn(1), data(1, ping()), frame(yamux.window, yamux.fin, 1, 0));
    const heard = await frames(line, (all) => all.some((one) => (one.flags & yamux.fin) !== 0));
    expect(bodyOf(heard, 1)).toBe(pong().toString('hex'));
  });

  test('a request in frames of one byte is one request', async () => {
    await using line = await session();
    line.say(syn(1), ...[...ping()].map((byte) => data(1, Buffer.of(byte))));
    const wanted = pong().toString('hex');
    await frames(line, (all) => bodyOf(all, 1) === wanted);
  });

  test('two requests at once: two replies, in order', async () => {
    await using line = await session();
    const one = ping();
    const first = pong();
    const two = ping();
    const wanted = Buffer.concat([first, pong()]).toString('hex');
    line.say(syn(1), data(1, Buffer.concat([one, two])));
    await frames(line, (all) => bodyOf(all, 1) === wanted);
  });

  test('first byte 06: that stream is closed with its second byte (the original: with its first); the session lives', async () => {
    await using line = await session();
    line.say(syn(1), data(1, Buffer.of(6, 0x80)));
    await frames(line, (all) =>
      all.some((one) => one.stream === 1 && (one.flags & (yamux.fin | yamux.rst)) !== 0),
    );
    await answered(line, 3);
  });

  test('version byte 1: the connection is closed', async () => {
    await using line = await session();
    const wrong = syn(1);
    wrong[0] = 1;
    line.say(wrong);
    await line.ended;
  });

  test('ping: echoed', async () => {
    await using line = await session();
    line.say(frame(yamux.ping, yamux.syn, 0, 0xabcdef));
    expect(await line.heard(12)).toEqual(frame(yamux.ping, yamux.ack, 0, 0xabcdef));
  });
});

function apply(Op: string): Value {
  const state = {
    CreateIndex: 0,
    Datacenter: 'dc1',
    MeshGateways: null,
    ModifyIndex: 0,
    PrimaryModifyIndex: 0,
  };
  return { Datacenter: '', Op, State: { ...state, UpdatedAt: goTimeZero }, Token: '' };
}

describe('methods', () => {
  async function call(
    method: string,
    body: Value,
  ): Promise<{ readonly error: string; readonly body: Buffer }> {
    await using line = await Line.tls(port, withAlpn('consul/rpc-single'));
    line.say(request(method, body));
    const head = reply(method, Buffer.of());
    // An error's text takes the place of the empty one; whatever it is, the header ends with the method's name.
    for (let bytes = head.length; ; ) {
      const heard = await line.heard(bytes);
      const end = heard.indexOf(Buffer.from(method, 'latin1'));
      if (end >= 0 && heard.length > end + method.length) {
        const error = heard.subarray(
          head.indexOf('Error') + 6,
          heard.indexOf(Buffer.from('\xa3Seq', 'latin1')),
        );
        return { error: error.toString('latin1'), body: heard.subarray(end + method.length) };
      }
      bytes = heard.length + 1;
    }
  }

  test.each([
    ['FederationState.List', {}],
    ['FederationState.Get', { Datacenter: 'dc1' }],
  ])(
    '%s without a datacenter is answered, as since 1.11 (1.9.8: No path to datacenter)',
    async (method, body) => {
      expect((await call(method, body)).error).toBe('');
    },
  );

  test.each([
    ['Status.Leader', {}],
    ['Catalog.ListDatacenters', {}],
    ['Status.Ping', null],
  ])('%s with body %j is answered', async (method, body) => {
    expect((await call(method, body)).error).toBe('');
  });

  test('FederationState.Apply: upsert true, delete false, anything else an error', async () => {
    expect((await call('FederationState.Apply', apply('upsert'))).body).toEqual(Buffer.of(0xc3));
    expect((await call('FederationState.Apply', apply('delete'))).body).toEqual(Buffer.of(0xc2));
    expect((await call('FederationState.Apply', apply('x'))).error).toContain(
      'Invalid federation state operation: x',
    );
  });
});

test('105 connections from one address: five are closed, and none of them is one of the first hundred', async () => {
  interface Metrics {
    readonly Gauges: readonly { readonly Name: string; readonly Value: number }[];
  }
  await federation.until('the guests of the rows above have gone', patienceMs, async () => {
    const { Gauges } = await federation.get<Metrics>('dc1', '/v1/agent/metrics');
    return Gauges.some(({ Name, Value }) => Name.endsWith('door.open') && Value === 0);
  });
  const lines: Line[] = [];
  try {
    for (let count = 0; count < 105; count += 1) lines.push(await Line.plain(port));
    const extra = lines.slice(100);
    await Promise.all(extra.map((line) => line.ended));
    expect(lines.slice(0, 100).every((line) => line.open)).toBe(true);
  } finally {
    for (const line of lines) await line[Symbol.asyncDispose]();
  }
});

/** A second opinion, where this machine has one. */
const openssl = spawnSync('openssl', ['version']).status === 0 ? [true] : [];
for (const _present of openssl)
  test.each([
    [['-alpn', 'h2,consul/rpc-multi'], /ALPN protocol: consul\/rpc-multi/],
    [['-alpn', 'consul/rpc-multi', '-tls1_2'], /Protocol *: TLSv1\.2/],
    [
      [
        '-alpn',
        'consul/rpc-multi',
        '-servername',
        'n1.server.dc1.consul',
        '-verify_hostname',
        'n1.server.dc1.consul',
      ],
      /Verify return code: 0 \(ok\)/,
    ],
    [['-alpn', 'garbage'], /alert no application protocol/],
  ])('openssl s_client %j', (args, expected) => {
    const tls = join(folder, 'tls');
    const files = [
      '-CAfile',
      'consul-agent-ca.pem',
      '-cert',
      'dc1-server-consul-0.pem',
      '-key',
      'dc1-server-consul-0-key.pem',
    ];
    const { stdout, stderr } = spawnSync(
      'openssl',
      ['s_client', '-connect', `127.0.0.1:${port}`, ...files, ...args],
      {
        cwd: tls,
        input: '',
        encoding: 'utf8',
      },
    );
    expect(stdout + stderr).toMatch(expected);
  });
