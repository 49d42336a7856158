/**
 * server.ts: the ADS server: gRPC streams on one side, gateways' worlds on the other.
 *
 * Per gateway (and token) there is one feed, which settles, builds and keeps the newest snapshot; per stream one
 * session, which decides. This file only carries bytes and wakes them up. A slow client costs one response per type:
 * what happens meanwhile is not queued, the difference is taken when it answers.
 * Lives here: sockets, timers, the lists of streams and feeds. Must not live here: any decision about resources.
 * Source: Consul agent/xds/server.go (limits and identification); grpc-js server API.
 */
import type * as Grpc from '@grpc/grpc-js';
import type { Holding } from './core/holdings.ts';
import { type Profile, recommended } from './core/profile.ts';
import { ClientFault } from './core/request.ts';
import type { ResourceType } from './core/resource.ts';
import { type Authorize, Session, type TypeStatus } from './core/session.ts';
import type { GatewayWorld } from './core/world.ts';
import { Feeds, type WatchedNode } from './feed.ts';
import {
  aggregatedDiscoveryService,
  type GrpcModule,
  hostPortText,
  keepaliveOptions,
  loadGrpc,
  requestBytesMax,
} from './grpc.ts';
import type { Clock, HostPort, Notice } from './ports.ts';
import { ReplaceableCredentials, type XdsServerMaterial } from './server-credentials.ts';
import { systemClock } from './system.ts';

/** Streams open at a time; one per gateway process is normal. */
const streamsMaxDefault = 2_048;
/** How long orderly ends of streams may take when the server closes, in ms. */
const closeGraceMs = 1_000;

export interface XdsServerOptions {
  /** Plain text, for a loopback address or a network that is trusted. Port 0: any free one. Absent: not served. */
  readonly bind?: HostPort;
  /** The same over TLS. */
  readonly tls?: XdsServerMaterial & {
    readonly bind: HostPort;
    /** Turns away clients without a certificate of `ca`. Default: the token is what counts. */
    readonly requireClientCertificate?: boolean;
  };
  /**
   * Tells every state of the gateway's world, the first as soon as it is known; undefined while it is not registered.
   * May call back before it returns. Called once per gateway and token, not once per stream.
   */
  readonly watchGateway: (
    node: WatchedNode,
    onWorld: (world: GatewayWorld | undefined) => void,
  ) => Disposable;
  /** Absent: everybody may. */
  readonly authorize?: Authorize;
  readonly profile?: Profile;
  /** Least time between two configurations of one gateway, in ms. After a quiet time a change waits 10 ms at most. */
  readonly coalesceMs?: number;
  readonly streamsMax?: number;
  readonly clock?: Clock;
  readonly log?: (n: Notice) => void;
}

export interface XdsClientStatus {
  readonly nodeId: string | undefined;
  readonly cluster: string | undefined;
  readonly userAgent: string | undefined;
  /** Address of the other end, as text. */
  readonly peer: string;
  readonly mode: 'delta' | 'sotw';
  readonly ageMs: number;
  /** Whether the gateway is registered; undefined before the client has said which one it is. */
  readonly registered: boolean | undefined;
  readonly types: Partial<Record<ResourceType, TypeStatus>>;
  readonly responses: number;
  readonly responseBytes: number;
  /** The newest refusal of any type, in words. */
  readonly lastError: string | undefined;
}

export interface XdsHoldings {
  readonly nodeId: string | undefined;
  readonly peer: string;
  readonly types: Partial<Record<ResourceType, readonly Holding[]>>;
}

export interface XdsServer extends AsyncDisposable {
  /** Where it answers: in plain text if it does that, else over TLS. */
  readonly address: HostPort;
  readonly tlsAddress: HostPort | undefined;
  /** For TLS connections from now on. Nothing happens where there is no TLS. */
  replaceCertificate(material: XdsServerMaterial): void;
  /** Open streams, oldest first. Times inside are the server's clock. */
  clients(): readonly XdsClientStatus[];
  /** What each of them has, in the same order; of one gateway, if its id is given. */
  holdings(nodeId?: string): readonly XdsHoldings[];
  /** Counters since the start. */
  stats(): {
    readonly streams: number;
    readonly refused: Readonly<Record<string, number>>;
    readonly feeds: number;
  };
}

export class XdsServerError extends Error {
  override readonly name = 'XdsServerError';
  readonly code = 'bind_failed';
  /** Which of the two ports. */
  readonly over: 'plain' | 'tls';
  constructor(over: XdsServerError['over'], detail: string, options?: ErrorOptions) {
    super(detail, options);
    this.over = over;
  }
}

export async function openXdsServer(o: XdsServerOptions): Promise<XdsServer> {
  const grpc = await loadGrpc();
  const server = new grpc.Server({
    ...keepaliveOptions,
    'grpc.max_receive_message_length': requestBytesMax,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': o.streamsMax ?? streamsMaxDefault,
  });
  const hub = new Hub(grpc, o);
  server.addService(aggregatedDiscoveryService, {
    DeltaAggregatedResources: (call: Call) => hub.accept(call, 'delta'),
    StreamAggregatedResources: (call: Call) => hub.accept(call, 'sotw'),
  });
  const certificate = o.tls === undefined ? undefined : new ReplaceableCredentials(o.tls);
  let plainAddress: HostPort | undefined;
  let tlsAddress: HostPort | undefined;
  try {
    if (o.bind !== undefined)
      plainAddress = await bind(server, 'plain', o.bind, grpc.ServerCredentials.createInsecure());
    if (o.tls !== undefined && certificate !== undefined) {
      const credentials = certificate.of(grpc, o.tls.requireClientCertificate ?? false);
      tlsAddress = await bind(server, 'tls', o.tls.bind, credentials);
    }
  } catch (cause) {
    server.forceShutdown();
    throw cause;
  }
  const address = plainAddress ?? tlsAddress;
  if (address === undefined) throw new XdsServerError('plain', 'neither bind nor tls says where to listen');
  return {
    address,
    tlsAddress,
    replaceCertificate: (material) => certificate?.replace(material),
    clients: () => hub.clients(),
    holdings: (nodeId) => hub.holdings(nodeId),
    stats: () => hub.stats(),
    async [Symbol.asyncDispose]() {
      hub.close();
      await new Promise<void>((resolve) => {
        const clock = o.clock ?? systemClock;
        const force = clock.at(clock.now() + closeGraceMs, () => server.forceShutdown());
        server.tryShutdown(() => {
          force[Symbol.dispose]();
          resolve();
        });
      });
    },
  };
}

async function bind(
  server: Grpc.Server,
  over: XdsServerError['over'],
  at: HostPort,
  credentials: Grpc.ServerCredentials,
): Promise<HostPort> {
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(hostPortText(at), credentials, (cause, bound) => {
      if (cause === null) resolve(bound);
      else
        reject(new XdsServerError(over, `cannot listen on ${hostPortText(at)}: ${cause.message}`, { cause }));
    });
  });
  return { host: at.host, port };
}

type Call = Grpc.ServerDuplexStream<Uint8Array, Uint8Array>;

/** All streams of one server. */
class Hub {
  readonly #grpc: GrpcModule;
  readonly #o: XdsServerOptions;
  readonly #clock: Clock;
  readonly #streams = new Set<Stream>();
  readonly #feeds: Feeds;
  readonly #refused: Record<string, number> = {};
  #accepted = 0;
  #closed = false;

  constructor(grpc: GrpcModule, o: XdsServerOptions) {
    this.#grpc = grpc;
    this.#o = o;
    this.#clock = o.clock ?? systemClock;
    this.#feeds = new Feeds({
      watchGateway: o.watchGateway,
      profile: o.profile ?? recommended,
      ...(o.coalesceMs !== undefined ? { coalesceMs: o.coalesceMs } : {}),
      clock: this.#clock,
      log: (n) => o.log?.(n),
    });
  }

  accept(call: Call, mode: 'delta' | 'sotw'): void {
    call.on('error', () => undefined); // also how a status is sent; the end of the stream is seen by 'close'
    const { status } = this.#grpc;
    if (this.#closed) {
      end(call, status.UNAVAILABLE, 'the server is closing');
      return;
    }
    if (this.#streams.size >= (this.#o.streamsMax ?? streamsMaxDefault)) {
      this.#count('resource_exhausted');
      end(call, status.RESOURCE_EXHAUSTED, 'too many streams; try another server');
      return;
    }
    const [token] = call.metadata.get('x-consul-token');
    const stream = new Stream({
      call,
      mode,
      ...(typeof token === 'string' && token !== '' ? { token } : {}),
      authorize: this.#o.authorize ?? (() => 'allow'),
      feeds: this.#feeds,
      clock: this.#clock,
      log: (n) => this.#o.log?.(n),
      fail: (cause) => this.#fail(call, cause),
      ended: () => this.#streams.delete(stream),
    });
    this.#accepted++;
    this.#streams.add(stream);
    stream.start();
  }

  clients(): readonly XdsClientStatus[] {
    return [...this.#streams].map((s) => s.status());
  }

  holdings(nodeId: string | undefined): readonly XdsHoldings[] {
    const all = [...this.#streams].map((stream) => stream.holdings());
    return nodeId === undefined ? all : all.filter((held) => held.nodeId === nodeId);
  }

  stats(): { streams: number; refused: Readonly<Record<string, number>>; feeds: number } {
    return { streams: this.#accepted, refused: { ...this.#refused }, feeds: this.#feeds.size };
  }

  close(): void {
    this.#closed = true;
    for (const stream of [...this.#streams])
      stream.end(this.#grpc.status.UNAVAILABLE, 'the server is closing');
  }

  /** Whatever goes wrong on a stream ends that stream, never the process. */
  #fail(call: Call, cause: unknown): void {
    const { status } = this.#grpc;
    if (cause instanceof ClientFault) {
      this.#count(cause.code);
      end(call, status[cause.code.toUpperCase() as keyof typeof status] as number, cause.message);
      return;
    }
    this.#count('internal');
    this.#o.log?.({
      level: 'warn',
      code: 'internal',
      text: `xds stream ended by a bug: ${(cause as Error).stack}`,
    });
    end(call, status.INTERNAL, 'internal error');
  }

  #count(code: string): void {
    this.#refused[code] = (this.#refused[code] ?? 0) + 1;
  }
}

/** One stream: bytes in, the session's answers out. */
class Stream {
  readonly #o: StreamOptions;
  readonly #since: number;
  #session: Session | undefined;
  #feed: Disposable | undefined;
  #registered: boolean | undefined;
  #timer: Disposable | undefined;
  #over = false;

  constructor(o: StreamOptions) {
    this.#o = o;
    this.#since = o.clock.now();
  }

  start(): void {
    const { call, clock, mode, token, authorize, log } = this.#o;
    call.on('close', () => this.#release());
    call.on('cancelled', () => this.#release());
    call.on('end', () => this.end(0, ''));
    this.#guard(() => {
      const who = token !== undefined ? { token } : {};
      this.#session = new Session({ mode, ...who, authorize, notice: log, now: clock.now() });
      call.on('drain', () => call.resume());
      call.on('data', (bytes: Uint8Array) => this.#guard((session) => this.#request(session, bytes)));
      return [];
    });
  }

  end(code: number, details: string): void {
    if (this.#over) return;
    this.#release();
    if (code === 0) this.#o.call.end();
    else end(this.#o.call, code, details);
  }

  status(): XdsClientStatus {
    const session = this.#session;
    const types = session?.types() ?? {};
    const nacks = Object.entries(types).flatMap(([type, s]) => (s.lastNack ? [{ type, ...s.lastNack }] : []));
    const newest = nacks.toSorted((a, b) => b.at - a.at)[0];
    return {
      nodeId: session?.node?.id,
      cluster: session?.node?.cluster,
      userAgent: session?.node?.userAgent,
      peer: this.#o.call.getPeer(),
      mode: this.#o.mode,
      ageMs: this.#o.clock.now() - this.#since,
      registered: this.#registered,
      types,
      responses: session?.responses ?? 0,
      responseBytes: session?.responseBytes ?? 0,
      lastError: newest === undefined ? undefined : `${newest.type} refused: ${newest.message}`,
    };
  }

  holdings(): XdsHoldings {
    const session = this.#session;
    return { nodeId: session?.node?.id, peer: this.#o.call.getPeer(), types: session?.holdings() ?? {} };
  }

  #request(session: Session, bytes: Uint8Array): readonly Uint8Array[] {
    const known = session.node;
    const answers = session.request(bytes, this.#o.clock.now());
    if (known === undefined && session.node !== undefined) {
      const { id, cluster, nodeName } = session.node;
      const node: WatchedNode = {
        id,
        cluster,
        ...(nodeName !== undefined ? { nodeName } : {}),
        ...(this.#o.token !== undefined ? { token: this.#o.token } : {}),
      };
      this.#registered = false;
      this.#feed = this.#o.feeds.join(node, (snapshot) => {
        this.#registered = true;
        this.#guard((s) => s.offer(snapshot, this.#o.clock.now()));
      });
      if (this.#over) this.#feed[Symbol.dispose](); // refused by the very first snapshot
    }
    return answers;
  }

  /** Runs one decision, sends what it says, and arms the timer for the next. */
  #guard(run: (session: Session) => readonly Uint8Array[]): void {
    if (this.#over) return;
    const { call, clock, fail } = this.#o;
    try {
      const answers = run(this.#session as Session);
      if (this.#over) return;
      for (const bytes of answers) call.write(bytes);
      if (call.writableNeedDrain) call.pause(); // I10: a client that does not read is not read from
      const deadline = this.#session?.deadline();
      this.#timer?.[Symbol.dispose]();
      if (deadline !== undefined)
        this.#timer = clock.at(deadline, () => this.#guard((session) => session.wake(clock.now())));
    } catch (cause) {
      this.#release();
      fail(cause);
    }
  }

  #release(): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer?.[Symbol.dispose]();
    this.#feed?.[Symbol.dispose]();
    this.#o.ended();
  }
}

interface StreamOptions {
  readonly call: Call;
  readonly mode: 'delta' | 'sotw';
  readonly token?: string;
  readonly authorize: Authorize;
  readonly feeds: Feeds;
  readonly clock: Clock;
  readonly log: (n: Notice) => void;
  readonly fail: (cause: unknown) => void;
  readonly ended: () => void;
}

/** grpc-js sends a status when the stream is told of an error that has a code. */
function end(call: Call, code: number, details: string): void {
  call.emit('error', Object.assign(new Error(details), { code, details }));
}
