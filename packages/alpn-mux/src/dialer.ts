/**
 * dialer.ts: out through a gateway, or straight to a server of our own datacenter.
 *
 * Two steps with a budget each, connect and handshake, so that a failure says which hop failed. Through a gateway the
 * first bytes are the ClientHello, whose SNI routes it and whose one ALPN name picks the protocol; within the
 * datacenter they are type byte 3, TLS, and the type byte of the protocol, or that type byte alone.
 * A TLS 1.3 server judges our certificate only after the handshake looks done to us: a close right after success means
 * it refused us. So a connection counts as healthy from its first reply byte on, not from here (I5).
 * Lives here: one dial. Must not live here: which address to dial (gateway-dialer.ts), retries, pools.
 * Source: Consul agent/pool/pool.go (DialRPCViaMeshGateway), tlsutil/config.go (OutgoingALPNRPCWrapper).
 */
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { Alpn } from './alpn.ts';
import { type DialCode, DialError } from './errors.ts';
import { typeByteTls } from './first-byte.ts';
import { checkServerName } from './peer-identity.ts';
import type { Clock, HostPort } from './ports.ts';
import { systemClock } from './system.ts';
import { judgeConnect, judgeOutgoingTls } from './tls-failure.ts';
import type { TlsIdentity } from './tls-identity.ts';

interface Budgets {
  /** TCP connect, name resolution included. Default 3 s. */
  readonly connectMs?: number;
  /** TLS, from the connect on. Default 5 s. */
  readonly handshakeMs?: number;
  /** Both together. Default: their sum. */
  readonly totalMs?: number;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
}

export interface DialAlpnOptions extends Budgets {
  readonly via: HostPort;
  /** Routes at the gateway, and is the name the peer's certificate must be for. */
  readonly sni: string;
  readonly alpn: Alpn;
  readonly tls: TlsIdentity;
}

export interface DialServerOptions extends Budgets {
  readonly to: HostPort;
  /** Without it the connection is plain. */
  readonly tls?: TlsIdentity;
  /** `server.<dc>.<domain>` where verify_server_hostname is on; without it only the chain is checked. */
  readonly verifyName?: string;
  readonly typeByte: number;
}

const connectMsDefault = 3_000;
const handshakeMsDefault = 5_000;
/** Well below the 350 s after which common NATs and load balancers forget a silent connection. */
const keepAliveMs = 30_000;

/** A verified connection that speaks `alpn` from the next byte on. Throws a DialError; then nothing is left open. */
export async function dialAlpn(o: DialAlpnOptions): Promise<TLSSocket> {
  const hop = new Hop({ via: o.via, sni: o.sni }, o);
  const socket = await hop.connect();
  const tls = await hop.secure(socket, { identity: o.tls, name: o.sni, alpn: o.alpn });
  if (tls.alpnProtocol === o.alpn) return tls;
  tls.destroy(); // servers that ignore ALPN exist; what they would read next is anybody's guess
  throw hop.error('alpn_refused', `the peer finished TLS without agreeing to ${o.alpn}`);
}

/** A connection whose next byte belongs to the protocol of `typeByte`. Throws a DialError; then nothing is left open. */
export async function dialServer(o: DialServerOptions): Promise<Duplex> {
  const hop = new Hop({ via: o.to, ...(o.verifyName !== undefined && { sni: o.verifyName }) }, o);
  const socket = await hop.connect();
  if (o.tls === undefined) {
    socket.write(Uint8Array.of(o.typeByte));
    return socket;
  }
  // The ClientHello must not overtake the byte that announces it.
  await hop.announce(socket, typeByteTls);
  const tls = await hop.secure(socket, { identity: o.tls, name: o.verifyName });
  tls.write(Uint8Array.of(o.typeByte));
  return tls;
}

/** One dial under way: its budgets, its signal, and the errors that name it. */
class Hop {
  readonly #at: { via: HostPort; sni?: string };
  readonly #o: Budgets;
  readonly #clock: Clock;
  readonly #until: number;

  constructor(at: { via: HostPort; sni?: string }, o: Budgets) {
    this.#at = at;
    this.#o = o;
    this.#clock = o.clock ?? systemClock;
    this.#until = this.#clock.now() + (o.totalMs ?? Infinity);
  }

  error(code: DialCode, detail: string, cause?: unknown): DialError {
    return new DialError(code, this.#at, detail, cause === undefined ? undefined : { cause });
  }

  async connect(): Promise<Socket> {
    if (this.#o.signal?.aborted)
      throw this.error('aborted', 'given up before it began', this.#o.signal.reason);
    const { host, port } = this.#at.via;
    const socket = connectTcp({
      host,
      port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: keepAliveMs,
    });
    socket.on('error', () => {}); // stays: an error after the hand-over is told by 'close' and by the next write
    await this.#within(this.#o.connectMs ?? connectMsDefault, socket, 'connect_timeout', async () => {
      await new Promise<void>((resolve, reject) => {
        socket.once('connect', resolve);
        socket.once('error', (e) => reject(this.error(judgeConnect(e), e.message, e)));
      });
    });
    return socket;
  }

  async announce(socket: Socket, byte: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      socket.write(Uint8Array.of(byte), (e) => {
        if (e) reject(this.error('closed_before_tls', e.message, e));
        else resolve();
      });
    });
  }

  async secure(
    socket: Socket,
    o: { identity: TlsIdentity; name: string | undefined; alpn?: Alpn },
  ): Promise<TLSSocket> {
    const { name } = o;
    const tls = connectTls({
      socket,
      secureContext: o.identity.context,
      minVersion: 'TLSv1.2',
      // An address is no host name: RFC 6066 §3 forbids it in server_name.
      ...(name !== undefined && isIP(name) === 0 && { servername: name }),
      ...(o.alpn && { ALPNProtocols: [o.alpn] }),
      checkServerIdentity: (_host, certificate) =>
        name === undefined ? undefined : checkServerName(name, certificate),
    });
    tls.on('error', () => {});
    await this.#within(this.#o.handshakeMs ?? handshakeMsDefault, tls, 'tls_timeout', async () => {
      await new Promise<void>((resolve, reject) => {
        tls.once('secureConnect', resolve);
        tls.once('error', (e) => reject(this.error(judgeOutgoingTls(e, socket.bytesRead > 0), e.message, e)));
        tls.once('close', () => reject(this.#closed(socket)));
      });
    });
    return tls;
  }

  #closed(socket: Socket): DialError {
    return socket.bytesRead > 0
      ? this.error('tls_failed', 'the peer closed in the middle of the handshake')
      : this.error(
          'closed_before_tls',
          'the peer closed without answering: a gateway has no route for this name',
        );
  }

  /** Runs `step` against its budget and the caller's signal; destroys `stream` unless it succeeds. */
  async #within(
    stepMs: number,
    stream: Duplex,
    code: 'connect_timeout' | 'tls_timeout',
    step: () => Promise<void>,
  ): Promise<void> {
    const { signal } = this.#o;
    const now = this.#clock.now();
    const limitMs = Math.min(stepMs, this.#until - now);
    let giveUp: (e: DialError) => void = () => {};
    const over = new Promise<never>((_, reject) => {
      giveUp = reject;
    });
    over.catch(() => {}); // it loses the race in all dials that go well
    const onAbort = (): void => giveUp(this.error('aborted', 'given up by the caller', signal?.reason));
    if (signal?.aborted) onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    using _deadline = this.#clock.at(now + limitMs, () =>
      giveUp(this.error(code, `not done within ${Math.round(limitMs)} ms`)),
    );
    try {
      await Promise.race([step(), over]);
    } catch (e) {
      stream.destroy();
      throw e;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }
}
