/**
 * visitor.ts: one connection at the door, until it is decided.
 *
 * Looks at the first bytes without taking them, does what door.ts says, and holds the one deadline. Bytes looked at are
 * put back, so whoever takes over, TLS or a handler, sees the stream from its start.
 * Lives here: the socket of one connection. Must not live here: other connections, TLS servers (front-door.ts).
 */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Alpn } from './alpn.ts';
import {
  createDoor,
  type Destination,
  type DoorEffect,
  type DoorEvent,
  type DoorRules,
  type RefusalCode,
} from './door.ts';
import type { TypeByte } from './first-byte.ts';
import { type PeerIdentity, peerIdentity } from './peer-identity.ts';
import type { Clock, HostPort } from './ports.ts';

/** A connection let through. The handler owns `stream` and ends it: a half-open stream stays open until it does. */
export interface Accepted {
  readonly stream: Duplex;
  readonly remote: HostPort;
  readonly local: HostPort;
  /** The name the peer asked for in TLS; ours is the same certificate whatever it is. */
  readonly sni?: string;
  /** Exactly one of `alpn` and `typeByte` is set. */
  readonly alpn?: Alpn;
  readonly typeByte?: TypeByte;
  readonly tls: boolean;
  /** Present if the peer showed a certificate; then it chains to our CA. */
  readonly peer?: PeerIdentity;
}
export type Handler = (conn: Accepted) => void;

/** What a visitor needs of the house. */
export interface House {
  readonly clock: Clock;
  readonly domain: string;
  readonly handshakeTimeoutMs: number;
  readonly rules: DoorRules;
  handlerOf(to: Destination): Handler | undefined;
  /** Runs the handshake of `visitor`, whose unread bytes were put back into its socket. */
  secure(visitor: Visitor, mode: 'native' | 'typeByte'): void;
  refused(code: RefusalCode, remote: HostPort, detail: string): void;
  leftEarly(): void;
  /** `certified`: with a certificate of our CA. */
  handedOver(visitor: Visitor, certified: boolean): void;
}

/** One connection until it is decided. */
export class Visitor {
  readonly socket: Socket;
  readonly remote: HostPort;
  readonly key: string;
  readonly #house: House;
  readonly #local: HostPort;
  readonly #door: ReturnType<typeof createDoor>;
  #tls: TLSSocket | undefined;
  #deadline: Disposable | undefined;
  /** Bytes looked at and not yet given on. */
  #peeked: Buffer = Buffer.alloc(0);

  constructor(house: House, socket: Socket, remote: HostPort) {
    this.#house = house;
    this.socket = socket;
    this.remote = remote;
    this.key = keyOf(socket);
    this.#local = endpoint(socket.localAddress, socket.localPort) ?? { host: '', port: 0 };
    this.#door = createDoor(house.rules);
  }

  get undecided(): boolean {
    return this.#deadline !== undefined;
  }

  begin(): void {
    this.#restartDeadline();
    this.#readFirst(this.socket);
  }

  step(event: DoorEvent): void {
    for (const effect of this.#door.step(event)) this.#run(effect);
  }

  secured(tls: TLSSocket): void {
    tls.on('error', () => {});
    this.#tls = tls;
    this.step({ kind: 'secured', alpn: tls.alpnProtocol || undefined, authenticated: tls.authorized });
  }

  #run(effect: DoorEffect): void {
    switch (effect.kind) {
      case 'startTls':
        this.#replay(this.socket, effect.consume);
        this.#house.secure(this, effect.mode);
        return;
      case 'readInner':
        if (this.#tls) this.#readFirst(this.#tls);
        return;
      case 'restartDeadline':
        this.#restartDeadline();
        return;
      case 'handOff':
        this.#settle();
        this.#replay(this.#tls ?? this.socket, effect.consume);
        this.#handOff(effect.to);
        return;
      case 'refuse':
        this.#settle();
        this.#house.refused(effect.code, this.remote, effect.detail);
        (this.#tls ?? this.socket).destroy();
        return;
      case 'close':
        this.#settle();
        this.#house.leftEarly();
        (this.#tls ?? this.socket).destroy();
        return;
    }
  }

  #restartDeadline(): void {
    const { clock, handshakeTimeoutMs } = this.#house;
    this.#deadline?.[Symbol.dispose]();
    this.#deadline = clock.at(clock.now() + handshakeTimeoutMs, () => this.step({ kind: 'deadline' }));
  }

  #settle(): void {
    this.#deadline?.[Symbol.dispose]();
    this.#deadline = undefined;
  }

  /** Waits for the first bytes of `stream`, without making it flow. */
  #readFirst(stream: Duplex): void {
    const stop = (): void => {
      stream.off('readable', onReadable);
      stream.off('end', onEnd);
    };
    const onReadable = (): void => {
      const chunk: Buffer | null = stream.read();
      if (chunk === null) return; // at the end of the stream 'end' follows
      stop();
      this.#peeked = chunk;
      this.step({ kind: 'bytes', firstByte: chunk[0] as number });
    };
    const onEnd = (): void => {
      stop();
      this.step({ kind: 'ended' });
    };
    stream.on('readable', onReadable);
    stream.on('end', onEnd);
  }

  /** Puts what was looked at back in front of `stream`, but for the first `consume` bytes. */
  #replay(stream: Duplex, consume: 0 | 1): void {
    const rest = this.#peeked.subarray(consume);
    this.#peeked = Buffer.alloc(0);
    if (rest.length > 0) stream.unshift(rest);
  }

  #handOff(to: Destination): void {
    const peer = this.#tls && peerIdentity(this.#tls.getPeerX509Certificate(), this.#house.domain);
    const sni = this.#tls && (this.#tls as { servername?: string | false | null }).servername;
    const stream = this.#tls ?? this.socket;
    // Go's CloseWrite ends one direction only, e.g. after a snapshot request, and still reads the reply. Not earlier:
    // a peer that ends amid the handshake must end the connection.
    stream.allowHalfOpen = true;
    const conn: Accepted = {
      stream,
      remote: this.remote,
      local: this.#local,
      tls: this.#tls !== undefined,
      ...(to.kind === 'alpn' ? { alpn: to.alpn } : { typeByte: to.typeByte }),
      ...(sni && { sni }),
      ...(peer && { peer }),
    };
    this.#house.handedOver(this, peer !== undefined);
    try {
      this.#house.handlerOf(to)?.(conn);
    } catch (e) {
      // A bug behind one protocol must not close the port for all the others.
      this.#house.refused(
        'handler_threw',
        this.remote,
        e instanceof Error ? (e.stack ?? e.message) : String(e),
      );
      conn.stream.destroy();
    }
  }
}

/** The four numbers of a connection, while it is open. */
export const keyOf = (s: Socket): string =>
  `${s.remoteAddress} ${s.remotePort} ${s.localAddress} ${s.localPort}`;

/** IPv4 seen through an IPv6 socket is IPv4: a client must not count twice, nor look like two in a log. */
export function endpoint(address: string | undefined, port: number | undefined): HostPort | undefined {
  if (address === undefined || port === undefined) return undefined;
  return { host: address.startsWith('::ffff:') ? address.slice(7) : address, port };
}
