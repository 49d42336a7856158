/**
 * pool.ts: one connection per server abroad: the hands of destination.ts.
 *
 * Each destination has its own queue, dial and connection, so one that hangs delays no other (I8). One timer
 * serves all deadlines. A packet costs no promise and no timer.
 * Lives here: doing what a Destination decided. Must not live here: deciding it.
 */
import type { Duplex } from 'node:stream';
import { alpn } from '@fed/alpn-mux';
import { Alarm } from './alarm.ts';
import type { WanfedConfig } from './config.ts';
import { OutboundConnection } from './connection.ts';
import { Destination, type Effect } from './destination.ts';
import { WanfedError } from './errors.ts';
import { Evidence } from './evidence.ts';
import type { Outgoing } from './packet-queue.ts';
import type { Clock, Dial, Doubted, HostPort, Log, Millis, Rng } from './ports.ts';
import type { DatacenterTraffic, Tally, TrafficBook } from './traffic.ts';

const packetAlpn = alpn.wanGossipPacket;

interface Entry {
  readonly destination: Destination;
  readonly datacenter: string;
  readonly node: string;
  readonly traffic: Tally<DatacenterTraffic>;
  dialing: AbortController | undefined;
  connection: OutboundConnection | undefined;
  /** The batch the connection is taking, to be counted when it has. */
  writing: readonly Outgoing[];
}

const keyOf = ({ host, port }: HostPort): string => `${host} ${port}`;

/** Tells the sender, but later: it is probably still in the middle of sending. */
export function tellLater(packets: readonly Outgoing[], error: WanfedError): void {
  for (const { failed } of packets) if (failed) queueMicrotask(() => failed(error));
}

export class Pool implements AsyncDisposable {
  readonly #o: {
    readonly dial: Dial;
    readonly clock: Clock;
    readonly rng: Rng;
    readonly config: WanfedConfig;
    readonly traffic: TrafficBook;
    readonly log: Log;
    readonly doubted: Doubted;
  };
  readonly #entries = new Map<string, Entry>();
  readonly #alarm: Alarm;
  readonly #evidence = new Evidence();
  /** Connections saying goodbye, so that leaving can wait for them. */
  readonly #closing = new Set<Promise<void>>();
  #closed: Promise<void> | undefined;
  /** Called, while leaving, when the last connection has nothing left to write. */
  #quiet: (() => void) | undefined;

  constructor(o: {
    readonly dial: Dial;
    readonly clock: Clock;
    readonly rng: Rng;
    readonly config: WanfedConfig;
    readonly traffic: TrafficBook;
    readonly log: Log;
    readonly doubted: Doubted;
  }) {
    this.#o = o;
    this.#alarm = new Alarm(o.clock, (now) => this.#expire(now));
  }

  /** `name` is `<node>.<datacenter>` as it was given; it is the key. */
  send(name: string, to: { readonly datacenter: string; readonly node: string }, item: Outgoing): void {
    if (this.#closed !== undefined) {
      const error = new WanfedError('closed', 'the WAN transport has been shut down');
      this.#refuse(to.datacenter, item, error);
      return;
    }
    const entry = this.#entries.get(name) ?? this.#enter(name, to, item);
    if (entry) this.#run(entry, entry.destination.offer(item, this.#o.clock.now()));
  }

  drainDatacenter(datacenter: string): void {
    const now = this.#o.clock.now();
    for (const entry of [...this.#entries.values()]) {
      if (entry.datacenter === datacenter) this.#run(entry, entry.destination.drain(now));
    }
  }

  /** A member answered; so the gateway that carries what we send it is well. */
  answered(name: string): void {
    const entry = this.#entries.get(name);
    const via = entry?.connection?.gateway;
    if (entry && via) this.#evidence.answered(keyOf(via), entry.datacenter, this.#o.clock.now());
  }

  /** A member did not answer. */
  unanswered(name: string): void {
    const entry = this.#entries.get(name);
    const now = this.#o.clock.now();
    if (!entry?.connection || !entry.destination.isSteady(now)) return;
    const { datacenter, connection } = entry;
    const via = connection.gateway;
    // The server may be dead, and this one connection as well: whoever lives is worth a dial.
    if (via === undefined || this.#evidence.judge(keyOf(via), datacenter, now) === 'server') {
      this.#run(entry, entry.destination.doubt(now));
      return;
    }
    // First the blame, so that what is dialed anew takes another way if there is one.
    this.#o.doubted({ gateway: via, datacenter });
    for (const each of [...this.#entries.values()]) {
      const same = each.connection?.gateway && keyOf(each.connection.gateway) === keyOf(via);
      if (same && each.datacenter === datacenter) this.#run(each, each.destination.doubt(now));
    }
  }

  stats(): { readonly connections: number; readonly queued: number } {
    let connections = 0;
    let queued = 0;
    for (const { connection, destination } of this.#entries.values()) {
      if (connection) connections++;
      queued += destination.queued;
    }
    return { connections, queued };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#retire();
    return this.#closed;
  }

  #enter(
    name: string,
    to: { readonly datacenter: string; readonly node: string },
    item: Outgoing,
  ): Entry | undefined {
    const { config, rng, traffic } = this.#o;
    if (this.#entries.size >= config.destinationsMax) {
      const detail = `more than ${config.destinationsMax} destinations in use, so not ${name}`;
      this.#refuse(to.datacenter, item, new WanfedError('too_many_destinations', detail));
      return undefined;
    }
    const entry: Entry = {
      destination: new Destination(name, { config, rng }),
      datacenter: to.datacenter,
      node: to.node,
      traffic: traffic.of(to.datacenter),
      dialing: undefined,
      connection: undefined,
      writing: [],
    };
    this.#entries.set(name, entry);
    return entry;
  }

  #refuse(datacenter: string, item: Outgoing, error: WanfedError): void {
    this.#o.traffic.of(datacenter).packetsFailed++;
    tellLater([item], error);
  }

  #run(entry: Entry, effects: readonly Effect[]): void {
    for (const effect of effects) this.#do(entry, effect);
    this.#alarm.want(entry.destination.deadline);
    this.#checkQuiet();
  }

  #do(entry: Entry, effect: Effect): void {
    switch (effect.kind) {
      case 'dial':
        this.#dial(entry);
        break;
      case 'abandonDial':
        entry.dialing?.abort(new WanfedError('aborted', `dialing ${entry.destination.name} was given up`));
        entry.dialing = undefined;
        break;
      case 'gather':
        queueMicrotask(() => this.#run(entry, entry.destination.gathered(this.#o.clock.now())));
        break;
      case 'write':
        entry.writing = effect.batch;
        entry.connection!.write(effect.batch);
        break;
      case 'close':
        this.#close(entry);
        break;
      case 'destroy':
        entry.connection?.destroy();
        entry.connection = undefined;
        break;
      case 'fail':
        entry.traffic.packetsFailed += effect.packets.length;
        if (effect.error.code === 'queue_full') entry.traffic.packetsDropped += effect.packets.length;
        tellLater(effect.packets, effect.error);
        break;
      case 'forget':
        this.#entries.delete(entry.destination.name);
        break;
    }
  }

  #wrote(entry: Entry): void {
    const { traffic, writing } = entry;
    traffic.writes++;
    traffic.packetsOut += writing.length;
    for (const { packet } of writing) traffic.bytesOut += packet.length;
    entry.writing = [];
    this.#run(entry, entry.destination.wrote(this.#o.clock.now()));
  }

  #dial(entry: Entry): void {
    const { dial, clock, log } = this.#o;
    const { destination, datacenter, node } = entry;
    const attempt = new AbortController();
    entry.dialing = attempt;
    entry.traffic.dials++;
    const current = (): boolean => entry.dialing === attempt;
    const failed = (cause: unknown): void => {
      entry.dialing = undefined;
      entry.traffic.dialsFailed++;
      const text = `no connection for gossip packets to ${destination.name}`;
      log({ level: 'debug', code: 'dial_failed', text, cause });
      this.#run(entry, destination.dialFailed(clock.now(), cause));
    };
    const request = { datacenter, node, alpn: packetAlpn, signal: attempt.signal };
    new Promise<Duplex>((resolve) => resolve(dial(request))).then(
      // a dial that throws has failed, no more
      (stream) => {
        if (!current()) {
          stream.on('error', () => {}); // nobody waits for it any more, so nobody cares how it ends
          stream.destroy();
        } else if (stream.destroyed) {
          failed(stream.errored ?? new Error('the connection was closed as soon as it was open'));
        } else {
          entry.dialing = undefined;
          entry.connection = new OutboundConnection(stream, {
            wrote: () => this.#wrote(entry),
            broke: (cause) => {
              entry.connection = undefined;
              entry.writing = [];
              this.#run(entry, destination.broke(clock.now(), cause));
            },
          });
          this.#run(entry, destination.dialed(clock.now()));
        }
      },
      (cause: unknown) => {
        if (current()) failed(cause);
      },
    );
  }

  #close(entry: Entry): void {
    const { clock, config } = this.#o;
    const gone = entry.connection!.close(clock, config.closeMs);
    entry.connection = undefined;
    const tracked = gone.then(() => {
      this.#closing.delete(tracked);
    });
    this.#closing.add(tracked);
  }

  #expire(now: Millis): Millis {
    let next = Number.POSITIVE_INFINITY;
    for (const entry of [...this.#entries.values()]) {
      if (entry.destination.deadline <= now) this.#run(entry, entry.destination.expire(now));
      if (this.#entries.has(entry.destination.name)) next = Math.min(next, entry.destination.deadline);
    }
    return next;
  }

  async #retire(): Promise<void> {
    const { clock, config } = this.#o;
    const entries = [...this.#entries.values()];
    const late = clock.at(clock.now() + config.closeMs, () => {
      const now = clock.now();
      for (const entry of entries) if (entry.connection) this.#run(entry, entry.destination.abandon(now));
    });
    await new Promise<void>((resolve) => {
      this.#quiet = resolve;
      for (const entry of entries) this.#run(entry, entry.destination.retire(clock.now()));
      this.#checkQuiet();
    });
    await Promise.all(this.#closing);
    late[Symbol.dispose]();
    this.#alarm[Symbol.dispose]();
    this.#entries.clear();
  }

  #checkQuiet(): void {
    if (!this.#quiet) return;
    for (const { connection } of this.#entries.values()) if (connection) return;
    this.#quiet();
    this.#quiet = undefined;
  }
}
