/**
 * client.ts: the ADS client of the embedded relay.
 *
 * It holds one delta stream to the server, opens another when that is lost (0.25 to 5 s later, spread by chance), and
 * says what it already has. Between streams the relay runs on what it was given last.
 * Lives here: the stream, back-off, timers. Must not live here: what responses mean (core/subscriber.ts).
 * Source: xDS protocol documentation; grpc-js client API.
 */
import type { Client, ClientDuplexStream } from '@grpc/grpc-js';
import type { Refusal, RelayConfig } from './core/relay-config.ts';
import { ServerFault, Subscriber } from './core/subscriber.ts';
import {
  deltaPath,
  deserialize,
  type GrpcModule,
  keepaliveOptions,
  loadGrpc,
  responseBytesMax,
  serialize,
} from './grpc.ts';
import type { Clock, Notice, Rng } from './ports.ts';
import { systemClock, systemRng } from './system.ts';

/** First and longest wait before the next stream, in ms; up to half of it is chance. */
const backoffMsMin = 250;
const backoffMsMax = 5_000;
/** Source: grpc-go internal/transport/defaults.go (defaultKeepalivePolicyMinTime). */
const keepaliveMsDefault = 310_000;
/** HTTP/2 window of our side, in bytes: the default of 64 KiB costs a round trip per 64 KiB of a first response. */
const windowBytes = 4 * 1024 * 1024;

export interface XdsClientOptions {
  /** host:port, [v6]:port or unix:///path. */
  readonly target: string;
  /** Service id and service name of the gateway. */
  readonly nodeId: string;
  readonly cluster: string;
  /** The catalog node the gateway is registered on. Absent: the server's own. */
  readonly nodeName?: string;
  readonly token?: string;
  /**
   * How long nothing may be heard before the server is asked for a sign of life, in ms. By default longer than the five
   * minutes more often than which a gRPC server in Go, unless told otherwise, ends the connection for it: Consul before 1.13.
   */
  readonly keepaliveMs?: number;
  /** PEM. Absent: plain text. */
  readonly credentials?: {
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
    readonly serverName?: string;
  };
  /**
   * Every new configuration, as soon as it is usable. What is returned or thrown is told to the server as a refusal.
   * Must not block: it is answered in the same turn.
   */
  readonly onConfig: (c: RelayConfig) => readonly Refusal[] | undefined;
  readonly clock?: Clock;
  readonly rng?: Rng;
  readonly log?: (n: Notice) => void;
}

export interface XdsClientState {
  readonly phase: 'connecting' | 'connected' | 'backingOff' | 'closed';
  readonly target: string;
  /** Streams opened since the start. */
  readonly attempts: number;
  /** Configurations handed out since the start. */
  readonly configurations: number;
  readonly refusals: readonly Refusal[];
  readonly held: { readonly clusters: number; readonly endpoints: number; readonly listeners: number };
  readonly lastError?: { readonly code: string; readonly text: string; readonly at: number };
}

/** Where the server is and how it is spoken to. */
export type XdsServerAddress = Pick<XdsClientOptions, 'target' | 'credentials' | 'keepaliveMs'>;

export interface XdsClient extends AsyncDisposable {
  /**
   * From now on another server is asked: the stream to the present one ends, the next begins at once. What is configured stays,
   * and the new server is told of it.
   */
  redirect(to: XdsServerAddress): void;
  state(): XdsClientState;
}

export function openXdsClient(o: XdsClientOptions): XdsClient {
  const client = new AdsClient(o);
  client.start();
  return client;
}

class AdsClient implements XdsClient {
  readonly #o: XdsClientOptions;
  readonly #clock: Clock;
  readonly #rng: Rng;
  readonly #subscriber: Subscriber;
  #server: XdsServerAddress;
  #phase: XdsClientState['phase'] = 'connecting';
  #attempts = 0;
  /** Streams lost since the last response. */
  #failures = 0;
  #configurations = 0;
  #refusals: readonly Refusal[] = [];
  #lastError: XdsClientState['lastError'];
  #grpc: GrpcModule | undefined;
  #channel: Client | undefined;
  #call: ClientDuplexStream<Uint8Array, Uint8Array> | undefined;
  #retry: Disposable | undefined;
  #warm: Disposable | undefined;
  /** Requests of this stream that wait to be sent. */
  readonly #late = new Set<Disposable>();

  constructor(o: XdsClientOptions) {
    this.#o = o;
    this.#server = o;
    this.#clock = o.clock ?? systemClock;
    this.#rng = o.rng ?? systemRng;
    const { nodeId, cluster, nodeName } = o;
    const identity = {
      nodeId,
      cluster,
      ...(nodeName !== undefined ? { nodeName } : {}),
      userAgent: 'fed-mesh-gateway',
    };
    this.#subscriber = new Subscriber({ identity, apply: (config) => this.#hand(config) });
  }

  start(): void {
    void this.#load();
  }

  state(): XdsClientState {
    return {
      phase: this.#phase,
      target: this.#server.target,
      attempts: this.#attempts,
      configurations: this.#configurations,
      refusals: this.#refusals,
      held: this.#subscriber.held(),
      ...(this.#lastError !== undefined ? { lastError: this.#lastError } : {}),
    };
  }

  redirect(to: XdsServerAddress): void {
    if (this.#phase === 'closed') return;
    this.#server = to;
    if (this.#grpc === undefined) return; // not begun yet
    this.#retry?.[Symbol.dispose]();
    this.#hangUp();
    this.#failures = 0;
    this.#connect(this.#grpc);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#phase = 'closed';
    this.#retry?.[Symbol.dispose]();
    this.#warm?.[Symbol.dispose]();
    this.#hangUp();
  }

  async #load(): Promise<void> {
    this.#grpc = await loadGrpc();
    if (this.#phase !== 'closed') this.#connect(this.#grpc);
  }

  #connect(grpc: GrpcModule): void {
    this.#phase = 'connecting';
    this.#attempts++;
    try {
      // A channel of its own per stream: the library's pool would add its own, longer back-off to ours.
      const { target, credentials, keepaliveMs } = this.#server;
      const channel = new grpc.Client(target, credentialsOf(grpc, credentials), {
        ...keepaliveOptions,
        'grpc.keepalive_time_ms': keepaliveMs ?? keepaliveMsDefault,
        'grpc.use_local_subchannel_pool': 1,
        'grpc.enable_http_proxy': 0,
        'grpc.max_receive_message_length': responseBytesMax,
        'grpc-node.flow_control_window': windowBytes,
        ...(credentials?.serverName ? { 'grpc.ssl_target_name_override': credentials.serverName } : {}),
      });
      const metadata = new grpc.Metadata();
      if (this.#o.token !== undefined) metadata.set('x-consul-token', this.#o.token);
      const call = channel.makeBidiStreamRequest(deltaPath, serialize, deserialize, metadata);
      this.#channel = channel;
      this.#call = call;
      const lost = (code: string, text: string) => this.#call === call && this.#lost(code, text);
      call.on('data', (bytes: Uint8Array) => this.#call === call && this.#receive(bytes));
      call.on('error', (e: Error & { code?: number; details?: string }) =>
        lost((grpc.status[e.code ?? grpc.status.UNKNOWN] ?? 'UNKNOWN').toLowerCase(), e.details || e.message),
      );
      call.on('end', () => lost('ended', 'the server ended the stream'));
      for (const request of this.#subscriber.open()) call.write(request);
    } catch (cause) {
      this.#lost('connect_failed', (cause as Error).message); // a target that cannot be parsed
    }
  }

  #receive(bytes: Uint8Array): void {
    this.#phase = 'connected';
    this.#failures = 0;
    try {
      const now = this.#clock.now();
      const { requests, delayMs, refusals } = this.#subscriber.receive(bytes, now);
      this.#note(refusals);
      if (delayMs === 0) this.#send(requests);
      else this.#sendLater(requests, now + delayMs);
      this.#rearm();
    } catch (cause) {
      if (!(cause instanceof ServerFault)) throw cause;
      this.#lost(cause.code, cause.message);
    }
  }

  #send(requests: readonly Uint8Array[]): void {
    for (const request of requests) this.#call?.write(request);
  }

  #sendLater(requests: readonly Uint8Array[], when: number): void {
    const waiting = this.#clock.at(when, () => {
      this.#late.delete(waiting);
      this.#send(requests);
    });
    this.#late.add(waiting);
  }

  #rearm(): void {
    this.#warm?.[Symbol.dispose]();
    const deadline = this.#subscriber.deadline();
    if (deadline === undefined) return;
    this.#warm = this.#clock.at(deadline, () => {
      this.#note(this.#subscriber.wake(this.#clock.now()));
      this.#rearm();
    });
  }

  #hand(config: RelayConfig): readonly Refusal[] {
    this.#configurations++;
    try {
      return this.#o.onConfig(config) ?? [];
    } catch (cause) {
      return [{ resource: '', field: '', reason: (cause as Error).message }];
    }
  }

  #note(refusals: readonly Refusal[]): void {
    this.#refusals = refusals;
    for (const { resource, field, reason } of refusals)
      this.#o.log?.({
        level: 'warn',
        code: 'refused',
        text: `${resource}: ${field === '' ? '' : `${field}: `}${reason}`,
      });
  }

  #lost(code: string, text: string): void {
    this.#hangUp();
    if (this.#phase === 'closed') return;
    this.#phase = 'backingOff';
    this.#lastError = { code, text, at: this.#clock.now() };
    const ceiling = Math.min(backoffMsMax, backoffMsMin * 2 ** Math.min(this.#failures, 10));
    const delay = Math.ceil(ceiling / 2) + this.#rng.below(Math.floor(ceiling / 2) + 1);
    this.#failures++;
    this.#o.log?.({
      level: 'warn',
      code: 'stream_lost',
      text: `xds stream to ${this.#server.target} lost (${code}: ${text}); trying again in ${delay} ms, configuration kept`,
    });
    this.#retry?.[Symbol.dispose]();
    this.#retry = this.#clock.at(this.#clock.now() + delay, () => {
      if (this.#phase !== 'closed' && this.#grpc !== undefined) this.#connect(this.#grpc);
    });
  }

  #hangUp(): void {
    for (const waiting of this.#late) waiting[Symbol.dispose]();
    this.#late.clear();
    const call = this.#call;
    this.#call = undefined;
    call?.on('error', () => undefined); // cancelling reports itself as an error
    call?.cancel();
    this.#channel?.close();
    this.#channel = undefined;
  }
}

function credentialsOf(grpc: GrpcModule, c: XdsClientOptions['credentials']) {
  if (c === undefined) return grpc.credentials.createInsecure();
  const buffer = (pem: string | undefined) => (pem === undefined ? null : Buffer.from(pem));
  return grpc.credentials.createSsl(buffer(c.ca), buffer(c.key), buffer(c.cert));
}
