/**
 * strangers.ts: what a server port meets in the wild: silence, halves, nonsense, broken rules, wrong certificates.
 *
 * Each stranger is one connection with a fate that is expected of it and the counter it must show in. Lives here: those. Must
 * not live here: how many come, what they cost.
 */
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type SecureContext, type TLSSocket } from 'node:tls';
import { clientHello } from './client-hello.ts';

export interface Door {
  readonly port: number;
  /** Of our CA; expired; of another CA; of our CA and another domain. */
  readonly own: SecureContext;
  readonly expired: SecureContext;
  readonly foreign: SecureContext;
  readonly misnamed: SecureContext;
}

export interface Stranger {
  readonly what: string;
  /** Counter of `/v1/agent/metrics` that must grow by one, without its prefix, and its label. */
  readonly counter: readonly [name: string, code?: string];
  /** He breaks no rule: he is let in and answered, though not as he hoped. */
  readonly answered: boolean;
  /** From this address; resolves when the connection is over, or has been answered. */
  come(from: string): Promise<void>;
}

/** yamux frames: version 0, type, flags, stream, length. */
const frame = (type: number, flags: number, id: number, length: number): Buffer => {
  const out = Buffer.alloc(12);
  out[1] = type;
  out.writeUInt16BE(flags, 2);
  out.writeUInt32BE(id, 4);
  out.writeUInt32BE(length, 8);
  return out;
};
const [data, windowUpdate] = [0, 1];
const [syn, fin] = [1, 4];
const gibibyte = 0x4000_0000;
/** A net/rpc request whose first value is a text of 1 GiB. */
const longText = Buffer.from('db40000000', 'hex');
const ping = Buffer.concat([
  Buffer.from('82a353657101ad536572766963654d6574686f64ab', 'hex'),
  Buffer.from('Status.Ping'),
  Buffer.of(0x80),
]);
const unknown = Buffer.concat([
  Buffer.from('82a353657101ad536572766963654d6574686f64aa', 'hex'),
  Buffer.from('Nope.Never'),
  Buffer.of(0x80),
]);

export async function strangersAt(door: Door): Promise<readonly Stranger[]> {
  const hello = await clientHello('server.dc1.consul');
  const plain = (what: string, code: string, bytes: Uint8Array): Stranger => ({
    what,
    counter: ['door.refused', code],
    answered: false,
    come: async (from) => {
      const socket = open(door, from);
      if (bytes.length > 0) socket.write(bytes);
      await over(socket);
    },
  });
  const certified = (what: string, context: SecureContext): Stranger => ({
    what,
    counter: ['door.refused', 'certificate_untrusted'],
    answered: false,
    come: async (from) => await over(secure(door, from, context, 'consul/rpc-multi')),
  });
  const spoken = (
    what: string,
    counter: Stranger['counter'],
    protocol: string,
    context: SecureContext,
    ...parts: readonly Uint8Array[]
  ): Stranger => ({
    what,
    counter,
    answered: counter[0].startsWith('rpc.server.calls'),
    come: async (from) => {
      const socket = secure(door, from, context, protocol);
      socket.write(Buffer.concat(parts));
      await over(socket, 1);
    },
  });
  const breach = ['rpc.server.ended', 'peer_protocol'] as const;
  const multi = (what: string, ...parts: readonly Uint8Array[]): Stranger =>
    spoken(what, breach, 'consul/rpc-multi', door.own, ...parts);
  const single = (
    what: string,
    counter: Stranger['counter'],
    bytes: Uint8Array,
    context = door.own,
  ): Stranger => spoken(what, counter, 'consul/rpc-single', context, bytes);
  return [
    plain('silence', 'silence', new Uint8Array()),
    plain('half a ClientHello', 'tls_timeout', hello.subarray(0, hello.length / 2)),
    plain('garbage after byte 22', 'not_tls', Buffer.alloc(64, 22)),
    plain('first byte 255', 'not_tls', Buffer.of(255)),
    plain('an HTTP request', 'not_tls', Buffer.from('GET / HTTP/1.1\r\n\r\n')),
    plain('byte 4 without TLS', 'plain_refused', Buffer.of(4)),
    certified('a certificate of another CA', door.foreign),
    certified('an expired certificate', door.expired),
    single('a certificate of another domain: answered', ['rpc.server.calls'], ping, door.misnamed),
    multi('yamux: a frame of 1 GiB', frame(windowUpdate, syn, 1, 0), frame(data, 0, 1, gibibyte)),
    multi('yamux: SYN twice', frame(windowUpdate, syn, 1, 0), frame(windowUpdate, syn, 1, 0)),
    multi('yamux: data beyond the credit', frame(windowUpdate, syn, 1, 0), frame(data, 0, 1, 262_145)),
    multi(
      'yamux: FIN twice',
      frame(windowUpdate, syn, 1, 0),
      frame(windowUpdate, fin, 1, 0),
      frame(windowUpdate, fin, 1, 0),
    ),
    single('a request of 1 GiB', ['rpc.server.peer_faults', 'too_large'], longText),
    single('a request that is no msgpack', ['rpc.server.peer_faults', 'malformed'], Buffer.of(0xc1)),
    single('an unknown method', ['rpc.server.calls_refused'], unknown),
  ];
}

function open(door: Door, from: string): Socket {
  return connectTcp({ host: '127.0.0.1', port: door.port, localAddress: from, noDelay: true }).on(
    'error',
    () => {},
  );
}

function secure(door: Door, from: string, secureContext: SecureContext, protocol: string): TLSSocket {
  const socket = connectTls({
    socket: open(door, from),
    secureContext,
    servername: 'server.dc1.consul',
    ALPNProtocols: [protocol],
    checkServerIdentity: () => undefined,
  });
  return socket.on('error', () => {});
}

/** Until the other side has ended it, or (then it is ended here) has sent so many bytes. */
async function over(socket: Socket, bytes = Number.POSITIVE_INFINITY): Promise<void> {
  let heard = 0;
  socket.on('data', (chunk: Buffer) => {
    heard += chunk.length;
    if (heard >= bytes) socket.destroy();
  });
  socket.on('end', () => socket.destroy());
  if (!socket.closed) await once(socket, 'close');
}
