/**
 * tls-servers.ts: the handshakes of those who come in.
 *
 * TLS is done by real `tls.Server`s that are fed sockets by hand, because only those enforce the client's certificate. What they
 * hand back has no name: a handshake's outcome is told as an event of the server. So each connection is fed to an object of its
 * own that is that server in all but whom it belongs to, and listeners are called with it.
 * Lives here: those servers, by what they ask of the peer. Must not live here: who may come in (door.ts), which error means
 * what (tls-failure.ts).
 */
import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { type Alpn, alpnPreference } from './alpn.ts';
import type { DoorEvent } from './door.ts';
import { judgeIncomingTls } from './tls-failure.ts';
import type { TlsIdentity } from './tls-identity.ts';

/** How TLS began: at once, or after the type byte for it; then a certificate may be asked for, or not. */
export type TlsMode = 'native' | 'typeByte' | 'typeByteVerified';

export interface Secured {
  readonly socket: Socket;
  secured(tls: TLSSocket): void;
  step(failed: DoorEvent & { readonly kind: 'tlsFailed' }): void;
}

/** The server, for one connection. */
interface Attending extends Server {
  owner?: Secured;
}

export class TlsServers {
  readonly #identity: TlsIdentity;
  readonly #alpn: ReadonlySet<Alpn>;
  readonly #servers = new Map<TlsMode, { readonly server: Server; generation: number }>();

  /** `alpn`: the protocols of native TLS. */
  constructor(identity: TlsIdentity, alpn: ReadonlySet<Alpn>) {
    this.#identity = identity;
    this.#alpn = alpn;
  }

  /** Begins the handshake on his socket; exactly one of `secured` and `tlsFailed` follows, unless the socket is closed before. */
  secure(owner: Secured, mode: TlsMode): void {
    const attending: Attending = Object.create(this.#server(mode));
    attending.owner = owner;
    attending.emit('connection', owner.socket);
  }

  #server(mode: TlsMode): Server {
    const identity = this.#identity;
    const known = this.#servers.get(mode);
    if (known !== undefined) {
      if (known.generation !== identity.generation) {
        known.server.setSecureContext(identity.serverOptions);
        known.generation = identity.generation;
      }
      return known.server;
    }
    const demandCertificate = mode !== 'typeByte';
    const server = createServer({
      ...identity.serverOptions,
      requestCert: demandCertificate,
      rejectUnauthorized: demandCertificate,
      ...(mode === 'native' && { ALPNProtocols: alpnPreference.filter((name) => this.#alpn.has(name)) }),
    });
    // I3: unauthorised peers do not come this far, and door.ts looks once more.
    server.on('secureConnection', function (this: Attending, tls) {
      if (this.owner === undefined) tls.destroy();
      else this.owner.secured(tls);
    });
    server.on('tlsClientError', function (this: Attending, e, tls) {
      this.owner?.step({ kind: 'tlsFailed', ...judgeIncomingTls(e, tls.authorizationError) });
    });
    this.#servers.set(mode, { server, generation: identity.generation });
    return server;
  }
}
