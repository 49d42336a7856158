/**
 * udp-tcp-transport.ts: packets over UDP, streams over TCP, one port number for both.
 *
 * memberlist net_transport.go. Lives here: sockets, their errors, their closing. Must not live here: what is sent.
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { type EventEmitter, once } from 'node:events';
import { connect, createServer, isIP, isIPv4, type Server, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { MemberlistError } from '../errors.ts';
import type { Address, Clock, HostPort, Inbound, Transport } from '../ports.ts';
import { systemClock } from '../system.ts';
import { AcceptBackoff } from './accept-backoff.ts';

/** Asked of the kernel, so that a burst of gossip waits there instead of being lost (2 MiB). */
const receiveBufferBytes: number = 2 * 1024 * 1024;
/** With port 0 the kernel picks the TCP port; if UDP has it taken, we ask again this often. */
const portTriesMax = 10;

export interface UdpTcpTransportOptions {
  /** An IP address to listen on; 0.0.0.0 or :: for all. */
  readonly host: string;
  /** 0: any free one, the same for UDP and TCP. */
  readonly port: number;
  /** What others should dial; by default what we listen on, and a private address of this machine for 0.0.0.0. */
  readonly advertise?: Partial<HostPort>;
  readonly clock?: Clock;
}

export interface UdpTcpTransport extends Transport {
  readonly bound: HostPort;
}

/** @throws MemberlistError 'bad_config'; the system's error when the port is taken */
export async function openUdpTcpTransport(o: UdpTcpTransportOptions): Promise<UdpTcpTransport> {
  if (isIP(o.host) === 0)
    throw new MemberlistError('bad_config', `host '${o.host}' is no IP address: give one to listen on`);
  const advertised = o.advertise?.host ?? advertisable(o.host);
  if (isIP(advertised) === 0)
    throw new MemberlistError('bad_config', `advertise.host '${advertised}' is no IP address`);
  const clock = o.clock ?? systemClock;
  for (let tries = 1; ; tries++) {
    const server = await listenTcp(o.host, o.port);
    const { port } = server.address() as { port: number };
    try {
      const udp = await bindUdp(o.host, port);
      const advertise = { host: advertised, port: o.advertise?.port ?? port };
      return new SocketTransport({ server, udp, bound: { host: o.host, port }, advertise, clock });
    } catch (cause) {
      server.close();
      const taken = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE';
      if (o.port !== 0 || !taken || tries >= portTriesMax) throw cause;
    }
  }
}

class SocketTransport implements UdpTcpTransport {
  readonly bound: HostPort;
  readonly advertise: HostPort;
  readonly #udp: UdpSocket;
  /** An IPv6 socket reaches IPv4 addresses in their mapped form. */
  readonly #mapsIPv4: boolean;
  readonly #server: Server;
  readonly #clock: Clock;
  readonly #backoff: AcceptBackoff;
  readonly #open = new Set<Socket>();
  #inbound: Inbound | undefined;
  #closed: Promise<void> | undefined;

  constructor(o: {
    readonly server: Server;
    readonly udp: UdpSocket;
    readonly bound: HostPort;
    readonly advertise: HostPort;
    readonly clock: Clock;
  }) {
    this.bound = o.bound;
    this.advertise = o.advertise;
    this.#udp = o.udp;
    this.#mapsIPv4 = o.udp.address().family === 'IPv6';
    this.#server = o.server;
    this.#clock = o.clock;
    this.#backoff = new AcceptBackoff(o.server, o.bound, o.clock);
    // Errors of a UDP socket tell of single packets long gone (port unreachable); the probes find out who is meant.
    o.udp.on('error', () => {});
    o.udp.on('message', (bytes, { address, port }) =>
      this.#inbound?.packet(bytes, { host: plain(address), port }),
    );
    o.server.on('connection', (conn) => {
      this.#backoff.accepted();
      this.#keep(conn);
      if (this.#inbound === undefined || this.#closed !== undefined) conn.destroy();
      else this.#inbound.stream(conn, { host: plain(conn.remoteAddress ?? ''), port: conn.remotePort ?? 0 });
    });
  }

  listen(inbound: Inbound): void {
    this.#inbound = inbound;
  }

  sendPacket(to: Address, packet: Uint8Array, failed?: (cause: Error) => void): void {
    const done = (cause: Error | null | undefined): void => {
      if (cause !== null && cause !== undefined) failed?.(cause);
    };
    const refusal = this.#refusal(to);
    if (refusal !== undefined) {
      process.nextTick(done, refusal);
      return;
    }
    const mapped = this.#mapsIPv4 && isIPv4(to.host) ? `::ffff:${to.host}` : to.host;
    this.#udp.send(packet, to.port, mapped, done);
  }

  dialStream(to: Address, o: { readonly timeoutMs: number; readonly signal?: AbortSignal }): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const refusal = this.#refusal(to);
      if (refusal !== undefined) return reject(refusal);
      if (o.signal?.aborted) return reject(o.signal.reason);
      const conn = connect({ host: to.host, port: to.port, noDelay: true });
      this.#keep(conn);
      const timer = this.#clock.at(this.#clock.now() + o.timeoutMs, () =>
        conn.destroy(
          new MemberlistError('timeout', `no connection to ${to.host}:${to.port} in ${o.timeoutMs} ms`),
        ),
      );
      const abort = (): void => {
        conn.destroy(new MemberlistError('aborted', 'called off', { cause: o.signal?.reason }));
      };
      const settle = (): void => {
        timer[Symbol.dispose]();
        o.signal?.removeEventListener('abort', abort);
        conn.off('connect', connected);
        conn.off('error', reject);
        conn.off('close', closed);
      };
      const connected = (): void => {
        settle();
        resolve(conn);
      };
      const closed = (): void => {
        settle();
        reject(new MemberlistError('unreachable', `${to.host}:${to.port} closed the connection`));
      };
      o.signal?.addEventListener('abort', abort, { once: true });
      conn.on('connect', connected);
      conn.on('error', reject);
      conn.on('close', closed);
    });
  }

  #refusal(to: Address): MemberlistError | undefined {
    if (this.#closed !== undefined) return new MemberlistError('closed', 'the transport has been closed');
    if (isIP(to.host) === 0) return new MemberlistError('unreachable', `'${to.host}' is no IP address`);
    if (to.port > 0 && to.port <= 65_535) return undefined;
    return new MemberlistError('unreachable', `${to.port} is no port`);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#backoff[Symbol.dispose]();
    const ends = [...this.#open].map((conn) => (conn.closed ? undefined : closing(conn)));
    for (const conn of this.#open) conn.destroy();
    const served = this.#server.listening ? closing(this.#server) : undefined;
    this.#server.close(() => {});
    const silenced = closing(this.#udp);
    this.#udp.close();
    await Promise.all([...ends, served, silenced]);
  }

  #keep(conn: Socket): void {
    this.#open.add(conn);
    conn.on('error', () => {}); // whoever holds the stream listens too; until then nobody else does
    conn.once('close', () => this.#open.delete(conn));
  }
}

/** Unlike `once`, not disturbed by errors on the way out. */
function closing(what: EventEmitter): Promise<void> {
  return new Promise((resolve) => {
    what.once('close', resolve);
  });
}

async function listenTcp(host: string, port: number): Promise<Server> {
  const server = createServer({ noDelay: true });
  const listening = once(server, 'listening');
  server.listen({ host, port });
  await listening;
  return server;
}

async function bindUdp(host: string, port: number): Promise<UdpSocket> {
  const type = isIPv4(host) ? 'udp4' : 'udp6';
  // Only addresses come here, so there is nothing to look up.
  const udp = createSocket({ type, lookup: (name, _options, found) => found(null, name, isIP(name)) });
  try {
    const listening = once(udp, 'listening'); // said at once, as there is nothing to look up
    udp.bind({ address: host, port, exclusive: true });
    await listening;
  } catch (cause) {
    udp.close();
    throw cause;
  }
  try {
    udp.setRecvBufferSize(receiveBufferBytes);
  } catch {
    // The kernel's default it is.
  }
  return udp;
}

/** What others can dial when we listen on `host`. @throws MemberlistError 'bad_config' */
function advertisable(host: string): string {
  if (host !== '0.0.0.0' && host !== '::') return host;
  const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const fit = own
    .filter(({ family, internal }) => family === 'IPv4' && !internal)
    .map(({ address }) => address);
  const found = fit.find(isPrivate) ?? fit[0];
  if (found !== undefined) return found;
  throw new MemberlistError('bad_config', `no IPv4 address to advertise for ${host}: set advertise.host`);
}

/** RFC 1918, and RFC 6598 as the original's go-sockaddr. */
function isPrivate(ip: string): boolean {
  const [a = 0, b = 0] = ip.split('.').map(Number);
  return (
    a === 10 ||
    (a === 172 && b >= 16 && b < 32) ||
    (a === 192 && b === 168) ||
    (a === 100 && b >= 64 && b < 128)
  );
}

/** IPv4 as IPv4, also when it came in through an IPv6 socket. */
function plain(host: string): string {
  return host.startsWith('::ffff:') && isIPv4(host.slice(7)) ? host.slice(7) : host;
}
