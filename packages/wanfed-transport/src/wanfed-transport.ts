/**
 * wanfed-transport.ts: a memberlist transport for members that cannot be reached, except through gateways.
 *
 * What stays in the datacenter takes the ordinary transport, untouched. What leaves it is dialed by name:
 * packets over one long-lived connection per server, streams over a fresh one each. What comes from abroad is
 * handed in by whoever owns the server port.
 * Lives here: the shell that puts the parts together. Must not live here: decisions (route.ts,
 * destination.ts).
 * Source: Consul agent/consul/wanfed/wanfed.go.
 */
import type { Duplex } from 'node:stream';
import { alpn } from '@fed/alpn-mux';
import { type WanfedConfig, wanfedDefaults } from './config.ts';
import { dialStream } from './dial-stream.ts';
import { WanfedError } from './errors.ts';
import { framePayloadBytesMax } from './frame.ts';
import { Ingest } from './ingest.ts';
import { Pool, tellLater } from './pool.ts';
import type {
  Address,
  Clock,
  Dial,
  Doubted,
  HostPort,
  Inbound,
  IncomingConnection,
  Log,
  Rng,
  Silent,
  Transport,
} from './ports.ts';
import { RouteTable } from './route.ts';
import { systemClock, systemRng } from './system.ts';
import { TrafficBook, type WanfedStats } from './traffic.ts';

export interface WanfedOptions {
  /** Our own datacenter. */
  readonly datacenter: string;
  /** Carries what stays in the datacenter. Belongs to the WAN transport from now on and is closed with it. */
  readonly home: Transport;
  readonly dial: Dial;
  readonly clock?: Clock;
  readonly rng?: Rng;
  readonly log?: Log;
  readonly doubted?: Doubted;
  readonly silent?: Silent;
  readonly config?: Partial<WanfedConfig>;
}

export interface WanfedTransport extends Transport {
  /** A connection with ALPN `consul/wan-gossip/packet`. It belongs to us from now on. */
  ingestPackets(conn: IncomingConnection): void;
  /** A connection with ALPN `consul/wan-gossip/stream`. It belongs to memberlist from now on. */
  ingestStream(conn: IncomingConnection): void;
  /**
   * The ways to this datacenter changed: idle connections are closed, busy ones after their write, refusals
   * forgotten.
   */
  dropDatacenter(datacenter: string): void;
  /** A member answered a probe: whoever hears it from memberlist passes it on. */
  answered(name: string): void;
  stats(): WanfedStats;
}

/** Async so that the door stays the same should opening ever need I/O. Nothing is touched before `listen`. */
export async function openWanfedTransport(o: WanfedOptions): Promise<WanfedTransport> {
  return new GatewayTransport(o);
}

class GatewayTransport implements WanfedTransport {
  readonly #home: Transport;
  readonly #dial: Dial;
  readonly #clock: Clock;
  readonly #routes: RouteTable;
  readonly #traffic = new TrafficBook();
  readonly #pool: Pool;
  readonly #ingest: Ingest;
  readonly #silent: Silent;
  readonly #leaving = new AbortController();
  #inbound: Inbound | undefined;
  #closed: Promise<void> | undefined;

  constructor(o: WanfedOptions) {
    const clock = o.clock ?? systemClock;
    const log = o.log ?? (() => {});
    const config = { ...wanfedDefaults, ...o.config };
    this.#home = o.home;
    this.#dial = o.dial;
    this.#clock = clock;
    this.#routes = new RouteTable(o.datacenter);
    const traffic = this.#traffic;
    const doubted = o.doubted ?? (() => {});
    this.#silent = o.silent ?? (() => {});
    this.#pool = new Pool({ dial: o.dial, clock, rng: o.rng ?? systemRng, config, traffic, log, doubted });
    const deliver = (packet: Uint8Array, from: HostPort): void => this.#inbound?.packet(packet, from);
    this.#ingest = new Ingest({ clock, config, traffic, log, deliver });
  }

  get advertise(): HostPort {
    return this.#home.advertise;
  }

  /** The packet must not be changed any more: it may wait in a queue. */
  sendPacket(to: Address, packet: Uint8Array, failed?: (cause: Error) => void): void {
    const route = this.#routes.find(to.name);
    switch (route.kind) {
      case 'home':
        this.#traffic.home.packetsOut++;
        this.#traffic.home.bytesOut += packet.length;
        this.#home.sendPacket(to, packet, failed);
        break;
      case 'abroad': {
        const error = unsendable(packet);
        if (!error) {
          this.#pool.send(to.name, route, { packet, failed });
        } else {
          this.#traffic.of(route.datacenter).packetsFailed++;
          tellLater([{ packet, failed }], error);
        }
        break;
      }
      case 'nowhere':
        this.#traffic.packetsUnroutable++;
        tellLater([{ packet, failed }], unroutable(route.code, to));
        break;
    }
  }

  async dialStream(
    to: Address,
    o: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<Duplex> {
    const route = this.#routes.find(to.name);
    switch (route.kind) {
      case 'home':
        this.#traffic.home.streamsOut++;
        return this.#home.dialStream(to, o);
      case 'abroad': {
        const { datacenter, node } = route;
        this.#traffic.of(datacenter).streamsOut++;
        const signals = o.signal ? [this.#leaving.signal, o.signal] : [this.#leaving.signal];
        const request = { datacenter, node, alpn: alpn.wanGossipStream };
        return dialStream(this.#dial, request, { clock: this.#clock, timeoutMs: o.timeoutMs, signals });
      }
      case 'nowhere':
        throw unroutable(route.code, to);
    }
  }

  listen(inbound: Inbound): void {
    this.#inbound = inbound;
    const { home } = this.#traffic;
    this.#home.listen({
      packet: (bytes, from) => {
        home.packetsIn++;
        home.bytesIn += bytes.length;
        inbound.packet(bytes, from);
      },
      stream: (conn, from) => {
        home.streamsIn++;
        inbound.stream(conn, from);
      },
    });
  }

  /**
   * Packets to other datacenters travel over TCP already, so a second ping over TCP would prove our half of the way only: it
   * would be answered over the same stream, also by who cannot reach us. `silent` tells of that instead.
   */
  readonly disableTcpPings = (to: Address): boolean =>
    this.#routes.find(to.name).kind !== 'home' || (this.#home.disableTcpPings?.(to) ?? false);

  ingestPackets(conn: IncomingConnection): void {
    if (this.#inbound) this.#ingest.accept(conn);
    else this.#refuse(conn);
  }

  ingestStream(conn: IncomingConnection): void {
    if (!this.#inbound || this.#closed !== undefined) {
      this.#refuse(conn);
    } else {
      const datacenter = conn.peer?.server?.datacenter ?? '';
      this.#traffic.of(datacenter).streamsIn++;
      this.#traffic.heard(datacenter, this.#clock.now());
      this.#inbound.stream(conn.stream, conn.remote);
    }
  }

  /** memberlist's word on a probe that stayed unanswered. */
  unanswered(to: Address): void {
    const route = this.#routes.find(to.name);
    if (route.kind !== 'abroad') return;
    this.#pool.unanswered(to.name);
    this.#silent({ datacenter: route.datacenter, node: route.node });
  }

  answered(name: string): void {
    this.#pool.answered(name);
  }

  dropDatacenter(datacenter: string): void {
    this.#pool.drainDatacenter(datacenter);
  }

  stats(): WanfedStats {
    const { connections, queued } = this.#pool.stats();
    const { home, packetsUnroutable, ingestFaults, ingestRefused } = this.#traffic;
    return {
      home: { ...home },
      datacenters: this.#traffic.datacenters(),
      connectionsOut: connections,
      connectionsIn: this.#ingest.connections,
      packetsQueued: queued,
      packetsUnroutable,
      ingestFaults,
      ingestRefused,
      heardAt: this.#traffic.heardAt(),
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#leaving.abort(new WanfedError('closed', 'the WAN transport has been shut down'));
    await Promise.all([this.#pool[Symbol.asyncDispose](), this.#ingest[Symbol.asyncDispose]()]);
    await this.#home[Symbol.asyncDispose]();
  }

  /** Nobody is listening, or not any more. The other side will come again. */
  #refuse({ stream }: IncomingConnection): void {
    this.#traffic.ingestRefused++;
    stream.on('error', () => {});
    stream.destroy();
  }
}

function unsendable(packet: Uint8Array): WanfedError | undefined {
  if (packet.length === 0) return new WanfedError('empty_packet', 'a gossip packet has at least one byte');
  if (packet.length <= framePayloadBytesMax) return undefined;
  const detail = `gossip packet size ${packet.length} exceeds threshold of ${framePayloadBytesMax} bytes`;
  return new WanfedError('frame_too_large', detail);
}

function unroutable(code: 'node_name_required' | 'bad_node_name', to: Address): WanfedError {
  const address = `${to.host}:${to.port}`;
  return code === 'node_name_required'
    ? new WanfedError(code, `who is at ${address}? Members of other datacenters are reached by name`)
    : new WanfedError(
        code,
        `node name does not encode a datacenter: "${to.name}" is not <node>.<datacenter>`,
      );
}
