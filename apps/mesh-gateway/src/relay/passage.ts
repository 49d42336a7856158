/**
 * passage.ts: one client from accept to close.
 *
 *   hello ──name──► dialing ──connected──► open ──► closed
 *     └── not TLS, no route, too slow ────────────────┘
 *
 * A client whose first bytes are no hello is reset without a byte: a relay is no TLS endpoint and has no alert to send.
 * One that comes and goes without a hello, as the agent's TCP check does every ten seconds, is nobody (R6).
 * Lives here: that life and what is counted along it. Must not live here: listeners, limits of the process (relay.ts).
 * Source: Envoy tls_inspector, tcp_proxy.
 */
import type { Socket } from 'node:net';
import { type HostPort, type Peek, renderHostPort } from '@fed/alpn-mux';
import type { Cluster, Clusters } from './clusters.ts';
import type { Counters } from './counters.ts';
import { dial, StopDialing } from './dial.ts';
import { HelloReader } from './hello-reader.ts';
import type { Journal, Note } from './journal.ts';
import { type Pipe, type PipeEnd, pipe } from './pipe.ts';
import type { Clock, RelayChain, RelayListener } from './ports.ts';
import { ProxyHeaderReader } from './proxy-protocol.ts';
import { reset } from './reset.ts';
import { clusterOf, type RouteTable } from './routes.ts';

/** Read ahead from a client while its upstream is being dialled. A TLS client has nothing more to say by then. */
const earlyBytesMax = 65_536;
const nothing: Buffer = Buffer.alloc(0);

export type Outcome =
  | PipeEnd
  | 'left_early'
  | 'hello_timeout'
  | 'hello_crowded_out'
  | 'no_proxy_header'
  | 'not_tls'
  | 'hello_invalid'
  | 'hello_too_large'
  | 'no_filter_chain_match'
  | 'no_route'
  | 'overflow'
  | 'none_healthy'
  | 'connect_failed'
  | 'client_left';

/** What a passage needs of the house. */
export interface House {
  readonly clock: Clock;
  readonly wallMs: () => number;
  readonly counters: Counters;
  readonly journal: Journal;
  readonly clusters: Clusters;
  /** The hello is over, one way or the other. */
  helloOver(p: Passage): void;
  closed(p: Passage, outcome: Outcome, note: Note): void;
}

/** Where it came in. */
export interface Entrance {
  readonly name: string;
  readonly label: string;
  readonly proxyProtocol: RelayListener['proxyProtocol'];
  /** From accept to the end of the hello, not prolonged by bytes; 0: no limit. */
  readonly helloTimeoutMs: number;
  readonly routes: RouteTable;
}

export class Passage {
  readonly #house: House;
  /** The client, until the pipe has it. */
  readonly #socket: Socket;
  readonly #gate: Entrance;
  readonly #routes: RouteTable;
  /** The other end of the socket. */
  readonly #peer: string;
  /** For whom it connects, as a load balancer said. */
  #source: string | undefined;
  readonly #id: number;
  readonly #openedAtMs: number;
  readonly #openedAtWallMs: number;
  /** While a PROXY protocol header may come. */
  #proxyHeader: ProxyHeaderReader | undefined;
  readonly #reader = new HelloReader();
  readonly #stopDialing = new StopDialing();
  #deadline: Disposable | undefined;
  #state: Note['state'] = 'hello';
  #hello: Extract<Peek, { kind: 'hello' }> | undefined;
  #chain: RelayChain | undefined;
  #cluster: Cluster | undefined;
  #upstream: { endpoint: HostPort; local: string; attempts: number; openedAtMs: number } | undefined;
  #pipe: Pipe | undefined;
  /** Bytes already added to the counters, in each direction. */
  #counted = { client: 0, upstream: 0 };

  constructor(house: House, socket: Socket, gate: Entrance) {
    this.#house = house;
    this.#socket = socket;
    this.#gate = gate;
    this.#routes = gate.routes; // the table of this moment: a later one does not concern it
    if (gate.proxyProtocol !== undefined) this.#proxyHeader = new ProxyHeaderReader();
    this.#peer = renderHostPort({ host: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 });
    this.#openedAtMs = house.clock.now();
    this.#openedAtWallMs = house.wallMs();
    this.#id = house.journal.open(() => this.#note());
    house.counters.add('listener.downstream_cx_total', gate.label);
    house.counters.add('listener.downstream_cx_active', gate.label);
    house.counters.add('listener.downstream_pre_cx_active', gate.label);
    if (gate.helloTimeoutMs > 0) {
      this.#deadline = house.clock.at(this.#openedAtMs + gate.helloTimeoutMs, () => {
        house.counters.add('listener.downstream_pre_cx_timeout', gate.label);
        this.#refuse('hello_timeout');
      });
    }
    socket.on('readable', this.#onReadable);
    socket.on('end', this.#onEnd);
    socket.on('close', this.#onGone);
  }

  /** The label of its listener. */
  get cameBy(): string {
    return this.#gate.label;
  }

  get dialingOrOpen(): boolean {
    return this.#state === 'dialing' || this.#state === 'open';
  }

  /** Gives way to younger ones while many hellos are pending. */
  crowdOut(): void {
    this.#refuse('hello_crowded_out');
  }

  /** Ends it now, whatever it is doing. */
  cut(): void {
    if (this.#pipe) this.#pipe.cut();
    else this.#refuse('cut');
  }

  readonly #onReadable = (): void => {
    for (let chunk = this.#socket.read(); chunk !== null; chunk = this.#socket.read()) {
      const bytes = this.#proxyHeader ? this.#withoutProxyHeader(this.#proxyHeader, chunk) : chunk;
      if (bytes.length === 0) continue;
      const peek = this.#reader.add(bytes);
      if (this.#state === 'hello') this.#judge(peek);
      if (this.#reader.bytes > earlyBytesMax) this.#socket.off('readable', this.#onReadable);
    }
  };

  /** What follows the header, if it is over; the header itself goes no further. */
  #withoutProxyHeader(reader: ProxyHeaderReader, chunk: Buffer): Buffer {
    const { counters } = this.#house;
    const { header, rest } = reader.add(chunk);
    if (header.kind === 'needMore') return nothing;
    this.#proxyHeader = undefined;
    switch (header.kind) {
      case 'header':
        counters.add(`proxy_proto.versions_v${header.version}_found`);
        if (header.source !== undefined) this.#source = renderHostPort(header.source);
        return rest;
      case 'absent':
        if (this.#gate.proxyProtocol === 'optional') {
          counters.add('proxy_proto.not_found_allowed');
          return rest;
        }
        counters.add('proxy_proto.not_found_disallowed');
        this.#refuse('no_proxy_header');
        return nothing;
      case 'invalid':
        counters.add('proxy_proto.versions_error');
        this.#refuse('no_proxy_header', header.reason);
        return nothing;
    }
  }

  /** A TLS client that ends before the server has spoken wants nothing any more. */
  readonly #onEnd = (): void => {
    if (this.#state === 'hello') this.#leftEarly();
    else this.#refuse('client_left');
  };

  readonly #onGone = (): void => {
    if (this.#state === 'hello') this.#leftEarly();
    else if (this.#state === 'dialing') this.#close('client_left');
  };

  #leftEarly(): void {
    if (this.#state !== 'hello') return;
    this.#house.counters.add('listener.downstream_pre_cx_closed', this.#gate.label);
    this.#socket.destroy();
    this.#close('left_early');
  }

  #judge(peek: Peek): void {
    const { counters } = this.#house;
    switch (peek.kind) {
      case 'needMore':
        return;
      case 'notTls':
        counters.add('tls_inspector.tls_not_found');
        this.#refuse('not_tls', `first byte ${peek.typeByte}`);
        return;
      case 'invalid':
        counters.add('tls_inspector.tls_not_found');
        this.#refuse('hello_invalid', peek.reason);
        return;
      case 'tooLarge':
        counters.add('tls_inspector.client_hello_too_large');
        this.#refuse('hello_too_large');
        return;
      case 'hello':
        counters.add('tls_inspector.tls_found');
        counters.add(peek.sni === undefined ? 'tls_inspector.sni_not_found' : 'tls_inspector.sni_found');
        counters.add(peek.alpn.length === 0 ? 'tls_inspector.alpn_not_found' : 'tls_inspector.alpn_found');
        counters.add('tls_inspector.bytes_processed', '', peek.bytes);
        this.#hello = peek;
        this.#route(peek.sni);
        return;
    }
  }

  #route(sni: string | undefined): void {
    const { counters, clusters } = this.#house;
    this.#helloOver('dialing');
    this.#chain = this.#routes.match(sni);
    if (this.#chain === undefined) {
      counters.add('listener.no_filter_chain_match', this.#gate.label);
      this.#turnAway('no_filter_chain_match');
      return;
    }
    counters.add('tcp.downstream_cx_total', this.#prefix);
    const name = clusterOf(this.#chain, sni);
    const cluster = name === undefined ? undefined : clusters.get(name);
    if (cluster === undefined) {
      counters.add('tcp.downstream_cx_no_route', this.#prefix);
      this.#turnAway('no_route', name === undefined ? 'no server name' : `no cluster ${name}`);
      return;
    }
    if (cluster.active >= cluster.config.maxConnections) {
      counters.add('cluster.upstream_cx_overflow', cluster.name);
      this.#turnAway('overflow');
      return;
    }
    this.#cluster = cluster;
    cluster.active += 1;
    void this.#dial(cluster, this.#chain);
  }

  async #dial(cluster: Cluster, chain: RelayChain): Promise<void> {
    const { clock, counters } = this.#house;
    const dialled = await dial(cluster, {
      clock,
      counters,
      stop: this.#stopDialing,
      attemptsMax: chain.connectAttemptsMax,
    });
    if (this.#state !== 'dialing') {
      if (dialled.kind === 'connected') dialled.socket.destroy(); // the client left in the same turn
      return;
    }
    switch (dialled.kind) {
      case 'connected':
        this.#open(dialled, chain);
        return;
      case 'noneHealthy':
        this.#turnAway('none_healthy');
        return;
      case 'failed':
        this.#turnAway(
          'connect_failed',
          `after ${dialled.attempts} attempts, the last to ${dialled.lastError}`,
        );
        return;
      case 'aborted':
        return;
    }
  }

  #open(dialled: { socket: Socket; endpoint: HostPort; attempts: number }, chain: RelayChain): void {
    const { clock, counters } = this.#house;
    const { socket, endpoint, attempts } = dialled;
    this.#state = 'open';
    const local = renderHostPort({ host: socket.localAddress ?? '', port: socket.localPort ?? 0 });
    this.#upstream = { endpoint, local, attempts, openedAtMs: clock.now() };
    this.#socket.off('readable', this.#onReadable);
    this.#socket.off('end', this.#onEnd);
    this.#socket.off('close', this.#onGone);
    this.#pipe = pipe(this.#socket, socket, this.#reader.take(), {
      clock,
      idleMs: chain.idleTimeoutMs,
      onFlow: (side, flow) => {
        if (side === 'client')
          counters.add(`tcp.downstream_flow_control_${flow}_reading_total`, this.#prefix);
        else counters.add(`cluster.upstream_flow_control_${flow}_reading_total`, this.#cluster?.name ?? '');
      },
    });
    void this.#pipe.ended.then((end) => {
      if (end === 'idle') counters.add('tcp.idle_timeout', this.#prefix);
      this.#close(end);
    });
  }

  /** Closed by reset: not a word to something that is no client of ours. */
  #refuse(outcome: Outcome, detail?: string): void {
    if (this.#state === 'closed') return;
    reset(this.#socket);
    this.#close(outcome, detail);
  }

  /** Closed in order: a client that did nothing wrong, and may try elsewhere. */
  #turnAway(outcome: Outcome, detail?: string): void {
    this.#socket.destroy();
    this.#close(outcome, detail);
  }

  #helloOver(next: Note['state']): void {
    if (this.#state === 'hello') {
      this.#deadline?.[Symbol.dispose]();
      this.#house.counters.add('listener.downstream_pre_cx_active', this.#gate.label, -1);
      this.#house.helloOver(this);
    }
    this.#state = next;
  }

  #close(outcome: Outcome, detail?: string): void {
    if (this.#state === 'closed') return;
    const { clock, counters, journal } = this.#house;
    this.#account();
    this.#helloOver('closed');
    this.#stopDialing.stop();
    this.#socket.off('readable', this.#onReadable);
    if (this.#cluster) this.#cluster.active -= 1;
    if (this.#upstream && this.#cluster) {
      const byUpstream = outcome === 'upstream_reset' || outcome === 'completed';
      counters.add(`cluster.upstream_cx_destroy_${byUpstream ? 'remote' : 'local'}`, this.#cluster.name);
      const lengthMs = clock.now() - this.#upstream.openedAtMs;
      counters.observe('cluster.upstream_cx_length_ms', this.#cluster.name, lengthMs);
    }
    counters.add('listener.downstream_cx_active', this.#gate.label, -1);
    counters.add('listener.downstream_cx_destroy', this.#gate.label);
    counters.observe('listener.downstream_cx_length_ms', this.#gate.label, clock.now() - this.#openedAtMs);
    const note = this.#note(outcome, detail);
    if (outcome === 'left_early') journal.forget(this.#id);
    else journal.close(this.#id, note);
    this.#house.closed(this, outcome, note);
  }

  /** Adds the bytes moved since the last time to the counters. */
  account(): void {
    if (this.#state === 'open') this.#account();
  }

  #account(): void {
    if (!this.#upstream || !this.#cluster) return;
    const { counters } = this.#house;
    const { client, upstream } = this.#bytes();
    counters.add('tcp.downstream_cx_rx_bytes_total', this.#prefix, client - this.#counted.client);
    counters.add('tcp.downstream_cx_tx_bytes_total', this.#prefix, upstream - this.#counted.upstream);
    counters.add('cluster.upstream_cx_tx_bytes_total', this.#cluster.name, client - this.#counted.client);
    counters.add('cluster.upstream_cx_rx_bytes_total', this.#cluster.name, upstream - this.#counted.upstream);
    this.#counted = { client, upstream };
  }

  #bytes(): { client: number; upstream: number } {
    const { client, upstream } = this.#pipe?.sockets ?? { client: this.#socket, upstream: undefined };
    return { client: client.bytesRead, upstream: upstream?.bytesRead ?? 0 };
  }

  get #prefix(): string {
    return this.#chain?.statPrefix ?? '';
  }

  /** `outcome`: it is closed from now on. */
  #note(outcome?: Outcome, detail?: string): Note {
    const bytes = this.#bytes();
    const upstream = this.#upstream;
    return {
      id: this.#id,
      state: this.#state,
      listener: this.#gate.name,
      client: this.#source ?? this.#peer,
      balancer: this.#source === undefined ? undefined : this.#peer,
      openedAtMs: this.#openedAtWallMs,
      closedAtMs: outcome === undefined ? undefined : this.#house.wallMs(),
      sni: this.#hello?.sni,
      ech: this.#hello?.ech || undefined,
      chain: this.#chain && (this.#chain.serverNames[0] ?? ''),
      cluster: this.#cluster?.name,
      upstream: upstream && renderHostPort(upstream.endpoint),
      upstreamLocal: upstream?.local,
      attempts: upstream?.attempts,
      clientBytes: bytes.client,
      upstreamBytes: bytes.upstream,
      outcome,
      detail,
    };
  }
}
