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
import type { Deadlines } from './deadlines.ts';
import {
  type Destination,
  Door,
  type DoorEffect,
  type DoorEvent,
  type DoorRules,
  type RefusalCode,
} from './door.ts';
import type { TypeByte } from './first-byte.ts';
import type { PeerIdentity } from './peer-identity.ts';
import type { HostPort } from './ports.ts';
import type { Standing } from './standing.ts';

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
  /**
   * For a handler whose peer broke the rules of its protocol, before the connection ends: to the peer's address it counts as a
   * failure, and for it as no recommendation (penalty-box.ts).
   */
  blame(): void;
}
export type Handler = (conn: Accepted) => void;

/** What a visitor needs of the house. */
export interface House {
  readonly rules: DoorRules;
  /** The time of those who come now; `step` tells a visitor when his is over. */
  readonly deadlines: Deadlines<Visitor>;
  handlerOf(to: Destination): Handler | undefined;
  /** Runs the handshake of `visitor`, whose unread bytes were put back into its socket. */
  secure(visitor: Visitor, mode: 'native' | 'typeByte'): void;
  /** Whom the certificate he showed names. */
  identityOf(tls: TLSSocket): PeerIdentity | undefined;
  refused(code: RefusalCode, remote: HostPort, detail: string): void;
  leftEarly(): void;
  handedOver(): void;
}

/** Whoever listens hears 'close' next; without a listener an error would end the process. */
export function unheard(): void {}

const noBytes: Buffer = Buffer.alloc(0);

/** One connection until it is decided. */
export class Visitor {
  readonly socket: Socket;
  readonly remote: HostPort;
  readonly local: HostPort;
  readonly standing: Standing;
  readonly #house: House;
  readonly #door: Door;
  readonly #deadlines: Deadlines<Visitor>;
  #tls: TLSSocket | undefined;
  /** Bytes looked at and not yet given on. */
  #peeked: Buffer = noBytes;

  constructor(house: House, socket: Socket, remote: HostPort, local: HostPort, standing: Standing) {
    this.#house = house;
    this.socket = socket;
    this.remote = remote;
    this.local = local;
    this.standing = standing;
    this.#door = new Door(house.rules);
    this.#deadlines = house.deadlines;
  }

  get undecided(): boolean {
    return this.#deadlines.has(this);
  }

  begin(): void {
    this.#deadlines.start(this);
    this.#readFirst(this.socket);
  }

  step(event: DoorEvent): void {
    for (const effect of this.#door.step(event)) this.#run(effect);
  }

  secured(tls: TLSSocket): void {
    tls.on('error', unheard);
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
        this.#deadlines.start(this);
        return;
      case 'handOff':
        this.#deadlines.stop(this);
        this.#replay(this.#tls ?? this.socket, effect.consume);
        this.#handOff(effect.to);
        return;
      case 'refuse':
        this.#deadlines.stop(this);
        this.#house.refused(effect.code, this.remote, effect.detail);
        (this.#tls ?? this.socket).destroy();
        return;
      case 'close':
        this.#deadlines.stop(this);
        this.#house.leftEarly();
        (this.#tls ?? this.socket).destroy();
        return;
    }
  }

  /** Waits for the first bytes of `stream`, without making it flow. */
  #readFirst(stream: Duplex): void {
    const onReadable = (): void => {
      const chunk: Buffer | null = stream.read();
      if (chunk === null) return; // at the end of the stream 'end' follows
      stream.off('readable', onReadable);
      this.#peeked = chunk;
      this.step({ kind: 'bytes', firstByte: chunk[0] as number });
    };
    stream.on('readable', onReadable);
    // Left there: who is decided takes no notice, and taking it away costs more.
    stream.on('end', this.#onEnd);
  }

  readonly #onEnd = (): void => this.step({ kind: 'ended' });

  /** Puts what was looked at back in front of `stream`, but for the first `consume` bytes. */
  #replay(stream: Duplex, consume: 0 | 1): void {
    const rest = this.#peeked.subarray(consume);
    this.#peeked = noBytes;
    if (rest.length > 0) stream.unshift(rest);
  }

  #handOff(to: Destination): void {
    const tls = this.#tls;
    const stream = tls ?? this.socket;
    // Go's CloseWrite ends one direction only, e.g. after a snapshot request, and still reads the reply. Not earlier:
    // a peer that ends amid the handshake must end the connection.
    stream.allowHalfOpen = true;
    const conn: { -readonly [K in keyof Accepted]: Accepted[K] } = {
      stream,
      remote: this.remote,
      local: this.local,
      tls: tls !== undefined,
      blame: () => this.standing.blamed(),
    };
    if (to.kind === 'alpn') conn.alpn = to.alpn;
    else conn.typeByte = to.typeByte;
    if (tls !== undefined) {
      const sni = (tls as { servername?: string | false | null }).servername;
      const peer = this.#house.identityOf(tls);
      if (sni) conn.sni = sni;
      if (peer !== undefined) conn.peer = peer;
    }
    this.#house.handedOver();
    this.standing.handedOver(conn.peer !== undefined);
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

/** IPv4 seen through an IPv6 socket is IPv4: a client must not count twice, nor look like two in a log. */
export function endpoint(address: string | undefined, port: number | undefined): HostPort | undefined {
  if (address === undefined || port === undefined) return undefined;
  return { host: address.startsWith('::ffff:') ? address.slice(7) : address, port };
}
