/**
 * ingest.ts: gossip packets that other datacenters send us, taken off their connections.
 *
 * A packet is delivered as if the gateway had sent it; whom to answer is written inside the packet. Nothing
 * is ever written back. A peer that goes away is daily life: closing, resetting and ending within a frame are
 * not errors.
 * Lives here: incoming packet connections. Must not live here: the framing (frame.ts), what a packet means.
 * Source: Consul agent/consul/rpc.go (handleALPN_WANGossipPacketStream).
 */
import type { Duplex } from 'node:stream';
import { Alarm } from './alarm.ts';
import type { WanfedConfig } from './config.ts';
import { closeGracefully } from './connection.ts';
import { FrameParser } from './frame.ts';
import type { Clock, HostPort, IncomingConnection, Log, Millis } from './ports.ts';
import type { TrafficBook } from './traffic.ts';

interface Source {
  readonly stream: Duplex;
  /** Moves with every whole packet, so a peer that drips bytes does not live for ever. */
  deadline: Millis;
}

export class Ingest implements AsyncDisposable {
  readonly #o: {
    readonly clock: Clock;
    readonly config: WanfedConfig;
    readonly traffic: TrafficBook;
    readonly log: Log;
    readonly deliver: (packet: Uint8Array, from: HostPort) => void;
  };
  readonly #sources = new Set<Source>();
  readonly #alarm: Alarm;
  #closed = false;

  constructor(o: {
    readonly clock: Clock;
    readonly config: WanfedConfig;
    readonly traffic: TrafficBook;
    readonly log: Log;
    readonly deliver: (packet: Uint8Array, from: HostPort) => void;
  }) {
    this.#o = o;
    this.#alarm = new Alarm(o.clock, (now) => this.#expire(now));
  }

  get connections(): number {
    return this.#sources.size;
  }

  accept(conn: IncomingConnection): void {
    const { clock, config, traffic, log, deliver } = this.#o;
    const { stream, remote } = conn;
    const where = `${remote.host}:${remote.port}`;
    stream.on('error', (cause) => {
      const text = `gossip packet connection from ${where} broke`;
      log({ level: 'debug', code: 'ingest_broke', text, cause });
    });
    if (this.#closed || this.#sources.size >= config.ingestConnectionsMax) {
      traffic.ingestRefused++;
      stream.destroy();
      return;
    }
    const parser = new FrameParser();
    const datacenter = conn.peer?.server?.datacenter ?? '';
    const tally = traffic.of(datacenter);
    const source: Source = { stream, deadline: clock.now() + config.receiverIdleMs };
    const onPacket = (packet: Uint8Array): void => {
      if (this.#closed) return;
      tally.packetsIn++;
      tally.bytesIn += packet.length;
      const now = clock.now();
      source.deadline = now + config.receiverIdleMs;
      traffic.heard(datacenter, now);
      deliver(packet, remote);
    };
    this.#sources.add(source);
    this.#alarm.want(source.deadline);
    stream.on('data', (chunk: Buffer) => {
      const fault = parser.push(chunk, onPacket);
      if (!fault || stream.destroyed) return;
      traffic.ingestFaults++;
      const text = `gossip packet connection from ${where} ended: ${fault.message}`;
      log({ level: 'warn', code: fault.code, text, cause: fault });
      stream.destroy();
    });
    stream.on('end', () => {
      if (parser.midFrame) {
        const text = `gossip packet connection from ${where} ended within a packet`;
        log({ level: 'debug', code: 'ingest_truncated', text });
      }
      stream.destroy();
    });
    stream.on('close', () => this.#sources.delete(source));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#alarm[Symbol.dispose]();
    const { clock, config } = this.#o;
    await Promise.all([...this.#sources].map(({ stream }) => closeGracefully(stream, clock, config.closeMs)));
  }

  #expire(now: Millis): Millis {
    let next = Number.POSITIVE_INFINITY;
    for (const source of this.#sources) {
      if (source.deadline <= now) {
        this.#sources.delete(source);
        void closeGracefully(source.stream, this.#o.clock, this.#o.config.closeMs);
      } else next = Math.min(next, source.deadline);
    }
    return next;
  }
}
