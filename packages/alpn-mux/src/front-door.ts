/**
 * front-door.ts: the server port, opened: accept, look, secure, hand over.
 *
 * Each connection becomes a visitor with a door of its own.
 * Lives here: the listening socket, the limit per client, counters. Must not live here: one connection's life
 * (visitor.ts), which byte means what (door.ts), TLS (tls-servers.ts).
 * Source: Consul agent/consul/rpc.go (listen, handleConn); connlimit (limits.rpc_max_conns_per_client).
 */
import { createServer, type Server, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Alpn } from './alpn.ts';
import { Deadlines } from './deadlines.ts';
import type { Destination, DoorRules, RefusalCode } from './door.ts';
import { FrontDoorError } from './errors.ts';
import type { TypeByte } from './first-byte.ts';
import type { PeerIdentity } from './peer-identity.ts';
import { PeerMemory } from './peer-memory.ts';
import { PenaltyBox, type PenaltyBoxSettings } from './penalty-box.ts';
import { type Clock, type HostPort, renderHostPort } from './ports.ts';
import { type Refusal, Refusals } from './refusals.ts';
import { Standing } from './standing.ts';
import { systemClock } from './system.ts';
import type { TlsIdentity, TlsPolicy } from './tls-identity.ts';
import { TlsServers } from './tls-servers.ts';
import { Turns } from './turns.ts';
import { endpoint, type Handler, type House, unheard, Visitor } from './visitor.ts';

/** What may change while the door is open, for connections accepted from then on. */
export interface DoorSettings {
  /** Default: everything verified if `tls` is given, else nothing. */
  readonly policy?: TlsPolicy;
  /** From accept to hand-off; starts again after the TLS of type byte 3. Default 5 s. */
  readonly handshakeTimeoutMs?: number;
  /** Open connections per remote address. A gateway counts as one client, with all the servers behind it. Default 100. */
  readonly perClientConnectionsMax?: number;
  /**
   * What an address may fail with before it is turned away at once (penalty-box.ts). Default: ten times, and once more each
   * second; `Infinity` a second: never turned away.
   */
  readonly failures?: PenaltyBoxSettings;
}

export interface FrontDoorOptions extends DoorSettings {
  /** Port 0: any free one. */
  readonly bind: HostPort;
  /** Without it only plain type bytes are served. */
  readonly tls?: TlsIdentity;
  /** The DNS domain, for reading server names off certificates. */
  readonly domain: string;
  readonly alpn: Partial<Record<Alpn, Handler>>;
  readonly typeBytes?: Partial<Record<TypeByte, Handler>>;
  /** At most ten calls per code and second; the rest is counted. Must not throw. */
  readonly onRefused?: (r: Refusal) => void;
  readonly clock?: Clock;
  /** Addresses that are never turned away for failures, e.g. gateways', which stand for many. Must not throw. */
  readonly vouchedFor?: (host: string) => boolean;
}

export interface FrontDoorStats {
  readonly accepted: number;
  readonly open: number;
  readonly handshaking: number;
  readonly handedOver: number;
  /** Came and went without a byte, as health checks do. */
  readonly leftEarly: number;
  /** Addresses, of IPv6 networks, with failures that are not forgiven yet. */
  readonly addressesWatched: number;
  /** Errors of accept itself, e.g. no file descriptor left. */
  readonly acceptErrors: number;
  readonly refused: Readonly<Partial<Record<RefusalCode, number>>>;
}

export interface FrontDoor extends AsyncDisposable {
  readonly address: HostPort;
  stats(): FrontDoorStats;
  /** Nobody comes in any more; who came stays, until disposal. */
  shut(): void;
  /** What is left out stays. Throws a FrontDoorError, and changes nothing, for a policy that needs TLS without any. */
  reconfigure(o: DoorSettings): void;
}

const handshakeTimeoutMsDefault = 5_000;
const perClientConnectionsMaxDefault = 100;
const failuresDefault: PenaltyBoxSettings = { perSecond: 1, burst: 10 };
/** Well below the 350 s after which common NATs and load balancers forget a silent connection. */
const keepAliveMs = 30_000;

const strict: TlsPolicy = { verifyIncoming: true, verifyOutgoing: true, verifyServerHostname: true };
const lax: TlsPolicy = { verifyIncoming: false, verifyOutgoing: false, verifyServerHostname: false };

/** Resolves once listening. Throws a FrontDoorError. Disposing closes the port and every connection that came by it. */
export async function openFrontDoor(o: FrontDoorOptions): Promise<FrontDoor> {
  const policy = o.policy ?? (o.tls ? strict : lax);
  requireTls(o.tls, policy);
  const server = createServer({
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: keepAliveMs,
  });
  const shell = new Shell(o, server, policy);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new FrontDoorError('bind_failed', `cannot listen on ${renderHostPort(o.bind)}: ${cause.message}`, {
          cause,
        }),
      ),
    );
    server.listen(o.bind.port, o.bind.host, resolve);
  });
  shell.start();
  return shell;
}

function requireTls(tls: TlsIdentity | undefined, policy: TlsPolicy): void {
  if (policy.verifyIncoming && tls === undefined) {
    throw new FrontDoorError(
      'policy_needs_tls',
      'verify_incoming is on: configure a CA, a certificate and a key',
    );
  }
}

/** Refusals that say nothing against the address they befall. */
const ours: ReadonlySet<RefusalCode> = new Set(['too_many_connections', 'tls_unavailable', 'handler_threw']);

class Shell implements FrontDoor, House {
  rules: DoorRules;
  readonly #clock: Clock;
  deadlines: Deadlines<Visitor>;
  readonly #options: FrontDoorOptions;
  #policy: TlsPolicy;
  #handedOver = 0;
  #leftEarly = 0;
  readonly #server: Server;
  readonly #tlsServers: TlsServers | undefined;
  readonly #refusals: Refusals;
  readonly #peers: PeerMemory;
  readonly #box: PenaltyBox;
  readonly #turns = new Turns();
  readonly #visitors = new Set<Visitor>();
  readonly #perClient = new Map<string, number>();
  #perClientMax: number;
  #accepted = 0;
  #acceptErrors = 0;
  #address: HostPort = { host: '', port: 0 };
  /** Our end of every connection, unless we listen on all addresses. */
  #local: HostPort | undefined;

  constructor(options: FrontDoorOptions, server: Server, policy: TlsPolicy) {
    this.#options = options;
    this.#policy = policy;
    this.rules = rulesOf(options, policy);
    this.#clock = options.clock ?? systemClock;
    this.deadlines = this.#deadlinesOf(options.handshakeTimeoutMs ?? handshakeTimeoutMsDefault);
    this.#server = server;
    this.#perClientMax = options.perClientConnectionsMax ?? perClientConnectionsMaxDefault;
    if (options.tls !== undefined) this.#tlsServers = new TlsServers(options.tls, this.rules.alpn);
    this.#peers = new PeerMemory(options.domain);
    this.#box = new PenaltyBox(options.failures ?? failuresDefault, options.vouchedFor);
    this.#refusals = new Refusals((r) => options.onRefused?.(r));
    server.on('connection', (socket) => this.#accept(socket));
  }

  start(): void {
    const bound = this.#server.address();
    if (bound !== null && typeof bound !== 'string')
      this.#address = { host: bound.address, port: bound.port };
    if (!anyAddress.has(this.#address.host)) this.#local = this.#address;
    this.#server.removeAllListeners('error');
    this.#server.on('error', () => {
      this.#acceptErrors += 1;
    });
  }

  get address(): HostPort {
    return this.#address;
  }

  stats(): FrontDoorStats {
    return {
      accepted: this.#accepted,
      open: this.#visitors.size,
      handshaking: [...this.#visitors].filter((v) => v.undecided).length,
      handedOver: this.#handedOver,
      leftEarly: this.#leftEarly,
      addressesWatched: this.#box.watched,
      acceptErrors: this.#acceptErrors,
      refused: this.#refusals.counts(),
    };
  }

  reconfigure(o: DoorSettings): void {
    if (o.policy) {
      requireTls(this.#options.tls, o.policy);
      this.#policy = o.policy;
      this.rules = rulesOf(this.#options, o.policy);
    }
    if (o.handshakeTimeoutMs !== undefined) this.deadlines = this.#deadlinesOf(o.handshakeTimeoutMs);
    this.#perClientMax = o.perClientConnectionsMax ?? this.#perClientMax;
    if (o.failures) this.#box.settings = o.failures;
  }

  shut(): void {
    this.#server.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const visitor of this.#visitors) visitor.socket.destroy();
    await closed;
  }

  refused(code: RefusalCode, remote: HostPort, detail: string): void {
    const now = this.#clock.now();
    if (!ours.has(code)) this.#box.failed(remote.host, now);
    this.#refusals.add(code, remote, detail, now);
  }

  leftEarly(): void {
    this.#leftEarly += 1;
  }

  handedOver(): void {
    this.#handedOver += 1;
  }

  /** Whether he may come in, as far as others from his address have behaved. */
  #admit(remote: HostPort): 'welcome' | 'onProbation' | undefined {
    const now = this.#clock.now();
    const admission = this.#box.admit(remote.host, now);
    if (admission === 'welcome' || admission === 'onProbation') return admission;
    if (admission === 'turnedAway') this.#refusals.count('too_many_failures');
    else
      this.#refusals.add(
        'too_many_failures',
        remote,
        'too many connections from there came to nothing: mend that client; now and then one is let in, and its fault is told',
        now,
      );
    return undefined;
  }

  #deadlinesOf(afterMs: number): Deadlines<Visitor> {
    return new Deadlines(this.#clock, afterMs, (visitor) => visitor.step({ kind: 'deadline' }));
  }

  identityOf(tls: TLSSocket): PeerIdentity | undefined {
    return this.#peers.identityOf(tls);
  }

  handlerOf(to: Destination): Handler | undefined {
    return to.kind === 'alpn' ? this.#options.alpn[to.alpn] : this.#options.typeBytes?.[to.typeByte];
  }

  #accept(socket: Socket): void {
    socket.on('error', unheard); // from the first moment on: its 'close' follows and says all there is to do
    const remote = endpoint(socket.remoteAddress, socket.remotePort);
    const local = this.#local ?? endpoint(socket.localAddress, socket.localPort);
    if (remote === undefined || local === undefined) {
      socket.destroy(); // gone before we looked
      return;
    }
    this.#accepted += 1;
    const mine = (this.#perClient.get(remote.host) ?? 0) + 1;
    if (mine > this.#perClientMax) {
      socket.destroy();
      this.refused('too_many_connections', remote, `more than ${this.#perClientMax} open connections`);
      return;
    }
    const admission = this.#admit(remote);
    if (admission === undefined) {
      socket.destroy();
      return;
    }
    this.#perClient.set(remote.host, mine);
    const standing = new Standing(this.#box, this.#clock, remote.host, admission);
    const visitor = new Visitor(this, socket, remote, local, standing);
    this.#visitors.add(visitor);
    socket.on('close', () => this.#closed(visitor));
    visitor.begin();
  }

  #closed(visitor: Visitor): void {
    const { host } = visitor.remote;
    this.#visitors.delete(visitor);
    visitor.standing.closed();
    const left = (this.#perClient.get(host) ?? 1) - 1;
    if (left === 0) this.#perClient.delete(host);
    else this.#perClient.set(host, left);
    if (!visitor.undecided) return;
    // The TLS layer closes as a listener of this same event, and tells its reason while it does.
    process.nextTick(() => visitor.step({ kind: 'ended' }));
  }

  secure(visitor: Visitor, mode: 'native' | 'typeByte'): void {
    const verified = mode === 'typeByte' && this.#policy.verifyIncoming;
    this.#turns.take(() => {
      // The rules let nobody come here without TLS.
      if (!visitor.socket.destroyed) this.#tlsServers?.secure(visitor, verified ? 'typeByteVerified' : mode);
    });
  }
}

/** What is bound to one of these takes connections to every address of the machine. */
const anyAddress: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

function rulesOf(o: FrontDoorOptions, policy: TlsPolicy): DoorRules {
  return {
    tlsCapable: o.tls !== undefined,
    verifyIncoming: policy.verifyIncoming,
    alpn: new Set(Object.keys(o.alpn) as Alpn[]),
    typeBytes: new Set(Object.keys(o.typeBytes ?? {}).map(Number) as TypeByte[]),
  };
}
