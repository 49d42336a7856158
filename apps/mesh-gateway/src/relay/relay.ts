/**
 * relay.ts: the data plane: listeners, the routes behind them, and every connection on its way through.
 *
 * A new configuration is checked as a whole, then takes effect at once for new connections; open ones are never
 * touched by it (R1). A listener that leaves the configuration stops accepting and lets its connections go on for
 * the drain time, then cuts them a few at a time, because all who lose a connection come back at once.
 * Lives here: the shell. Must not live here: matching (routes.ts), choosing (balance.ts), one connection (passage.ts).
 * Source: Envoy listener_manager (drain), overload manager (downstream connections).
 */
import type { Socket } from 'node:net';
import { type HostPort, renderHostPort } from '@fed/alpn-mux';
import { Clusters } from './clusters.ts';
import { Counters } from './counters.ts';
import { Journal, type Note } from './journal.ts';
import { Listener } from './listener.ts';
import { type Entrance, type House, type Outcome, Passage } from './passage.ts';
import {
  type Clock,
  type RelayConfig,
  RelayConfigError,
  type RelayListener,
  type Resolve,
  type Rng,
} from './ports.ts';
import { RouteTable } from './routes.ts';

export interface RelayLimits {
  /** Client connections of the process; each costs two file descriptors. */
  readonly connectionsMax: number;
  /** Clients that have not said yet whom they want; beyond it the oldest must go. */
  readonly hellosMax?: number;
  /** How long connections of a removed listener go on. */
  readonly drainMs?: number;
}

export type RelayEvent =
  | { readonly kind: 'listening'; readonly listener: string; readonly bind: HostPort }
  | { readonly kind: 'bindFailed'; readonly listener: string; readonly bind: HostPort; readonly cause: Error }
  | { readonly kind: 'closed'; readonly outcome: Outcome; readonly note: Note }
  | { readonly kind: 'full' | 'roomAgain'; readonly connections: number };

export interface RelayOptions {
  readonly clock: Clock;
  readonly wallMs: () => number;
  readonly rng: Rng;
  readonly resolve: Resolve;
  readonly limits: RelayLimits;
  /** Other processes of ours listen on the same ports. */
  readonly sharedPorts?: boolean;
  readonly onEvent: (e: RelayEvent) => void;
}

const hellosMaxDefault = 512;
const drainMsDefault = 600_000;
/** Share of the connections to drain that are cut per second. */
const drainSlice = 0.05;
const resumeShare = 0.9;

interface Gate extends Entrance {
  name: string;
  /** How Envoy labels it: `127.0.0.1_8443`. */
  readonly label: string;
  readonly listener: Listener;
  proxyProtocol: RelayListener['proxyProtocol'];
  helloTimeoutMs: number;
  routes: RouteTable;
}
type Wanted = Pick<Gate, 'name' | 'proxyProtocol' | 'helloTimeoutMs' | 'routes'> & {
  readonly bind: HostPort;
};

export class Relay implements House, AsyncDisposable {
  readonly clock: Clock;
  readonly wallMs: () => number;
  readonly counters: Counters = new Counters();
  readonly journal: Journal = new Journal();
  readonly clusters: Clusters;
  readonly #onEvent: (e: RelayEvent) => void;
  readonly #limits: Required<RelayLimits>;
  readonly #sharedPorts: boolean;
  readonly #openedAtMs: number;
  readonly #gates = new Map<string, Gate>();
  readonly #passages = new Set<Passage>();
  /** In order of arrival. */
  readonly #hellos = new Set<Passage>();
  readonly #drains = new Set<Disposable>();
  #configured = false;
  #stopping = false;
  #full = false;
  #onEmpty: (() => void) | undefined;

  constructor(o: RelayOptions) {
    this.clock = o.clock;
    this.wallMs = o.wallMs;
    this.#onEvent = o.onEvent;
    this.#limits = { hellosMax: hellosMaxDefault, drainMs: drainMsDefault, ...o.limits };
    this.#sharedPorts = o.sharedPorts ?? false;
    this.#openedAtMs = o.clock.now();
    this.clusters = new Clusters(o, this.counters);
  }

  /** Throws a RelayConfigError, and then changes nothing (R2). Ports are bound in the background: see onEvent. */
  apply(config: RelayConfig): void {
    const wanted = checked(config);
    if (this.#stopping) return;
    this.clusters.apply(config.clusters);
    const chains = config.listeners.flatMap((l) => l.chains);
    this.counters.keepOnly('tcp', new Set(chains.map((c) => c.statPrefix)));
    this.#configured = true;
    for (const [key, gate] of this.#gates) {
      if (!wanted.has(key)) this.#remove(key, gate);
    }
    for (const [key, { bind, ...rest }] of wanted) {
      const gate = this.#gates.get(key);
      if (gate) {
        Object.assign(gate, rest);
        gate.listener.open(); // another try at once, if the address was taken
        this.counters.add('listener_manager.listener_in_place_updated');
      } else {
        this.#add(key, bind, rest);
      }
    }
  }

  /** A configuration is in force and all its listeners listen. */
  get ready(): boolean {
    return (
      this.#configured &&
      !this.#stopping &&
      this.#gates.size > 0 &&
      [...this.#gates.values()].every((g) => g.listener.listening)
    );
  }

  get connections(): number {
    return this.#passages.size;
  }

  /** The counters, brought up to this moment. */
  measure(): Counters {
    const { counters } = this;
    for (const passage of this.#passages) passage.account();
    this.clusters.measure(this.clock.now());
    const listening = [...this.#gates.values()].filter((g) => g.listener.listening).length;
    counters.set('listener_manager.total_listeners_active', '', listening);
    counters.set('listener_manager.total_listeners_draining', '', this.#drains.size);
    counters.set('server.live', '', this.#stopping ? 0 : 1);
    counters.set('server.state', '', this.#stopping ? 1 : this.ready ? 0 : 3); // live, draining, initializing
    counters.set('server.uptime', '', Math.floor((this.clock.now() - this.#openedAtMs) / 1_000));
    counters.set('server.total_connections', '', this.#passages.size);
    return counters;
  }

  /** Stops accepting; resolves once all connections have ended, or `withinMs` later, when the rest is cut. */
  async drain(withinMs: number): Promise<void> {
    this.#stopping = true;
    for (const gate of this.#gates.values()) gate.listener.close();
    for (const passage of this.#passages) if (!passage.dialingOrOpen) passage.cut();
    if (this.#passages.size === 0) return;
    await new Promise<void>((resolve) => {
      const deadline = this.clock.at(this.clock.now() + withinMs, resolve);
      this.#onEmpty = () => {
        deadline[Symbol.dispose]();
        resolve();
      };
    });
    await this[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = true;
    for (const gate of this.#gates.values()) gate.listener.close();
    this.#gates.clear();
    for (const drain of this.#drains) drain[Symbol.dispose]();
    this.#drains.clear();
    this.clusters[Symbol.dispose]();
    if (this.#passages.size === 0) return;
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    for (const passage of this.#passages) passage.cut();
    await empty;
  }

  helloOver(p: Passage): void {
    this.#hellos.delete(p);
  }

  closed(p: Passage, outcome: Outcome, note: Note): void {
    this.#passages.delete(p);
    this.#onEvent({ kind: 'closed', outcome, note });
    if (this.#full && this.#passages.size < this.#limits.connectionsMax * resumeShare) {
      this.#full = false;
      this.#onEvent({ kind: 'roomAgain', connections: this.#passages.size });
      if (!this.#stopping) for (const gate of this.#gates.values()) gate.listener.resume();
    }
    if (this.#passages.size === 0) this.#onEmpty?.();
  }

  #add(key: string, bind: HostPort, rest: Omit<Wanted, 'bind'>): void {
    const gate: Gate = {
      ...rest,
      label: `${bind.host}_${bind.port}`,
      listener: new Listener({
        bind,
        shared: this.#sharedPorts,
        clock: this.clock,
        onConnection: (socket) => this.#accept(socket, gate),
        onState: (_listener, cause) => {
          if (cause) this.counters.add('listener_manager.listener_create_failure');
          this.#onEvent(
            cause
              ? { kind: 'bindFailed', listener: gate.name, bind, cause }
              : { kind: 'listening', listener: gate.name, bind },
          );
        },
      }),
    };
    this.#gates.set(key, gate);
    this.counters.add('listener_manager.listener_added');
    if (this.#full) gate.listener.suspend();
    gate.listener.open();
  }

  #remove(key: string, gate: Gate): void {
    gate.listener.close();
    this.#gates.delete(key);
    this.counters.add('listener_manager.listener_removed');
    this.#drainLater([...this.#passages].filter((p) => p.cameBy === gate.label));
  }

  /** Cuts these after the drain time, a slice per second. */
  #drainLater(passages: readonly Passage[]): void {
    if (passages.length === 0) return;
    const slice = Math.max(1, Math.ceil(passages.length * drainSlice));
    const cutFrom = (index: number, when: number): void => {
      const alarm = this.clock.at(when, () => {
        this.#drains.delete(alarm);
        const left = passages.slice(index).filter((p) => this.#passages.has(p));
        for (const passage of left.slice(0, slice)) passage.cut();
        if (left.length > slice) cutFrom(passages.indexOf(left[slice] as Passage), when + 1_000);
      });
      this.#drains.add(alarm);
    };
    cutFrom(0, this.clock.now() + this.#limits.drainMs);
  }

  #accept(socket: Socket, gate: Gate): void {
    if (socket.remoteAddress === undefined) {
      socket.destroy(); // gone before we looked
      return;
    }
    const passage = new Passage(this, socket, gate);
    this.#passages.add(passage);
    this.#hellos.add(passage);
    // R5
    if (this.#hellos.size > this.#limits.hellosMax) {
      const [oldest] = this.#hellos;
      oldest?.crowdOut();
    }
    if (this.#passages.size >= this.#limits.connectionsMax && !this.#full) {
      this.#full = true;
      this.counters.add('listener.downstream_cx_overflow', gate.label);
      this.#onEvent({ kind: 'full', connections: this.#passages.size });
      for (const g of this.#gates.values()) g.listener.suspend();
    }
  }
}

/** Listeners by address. Throws a RelayConfigError if they contradict each other or themselves. */
function checked(config: RelayConfig): ReadonlyMap<string, Wanted> {
  const wanted = new Map<string, Wanted>();
  for (const { name, bind, proxyProtocol, helloTimeoutMs, chains } of config.listeners) {
    const key = renderHostPort(bind);
    if (wanted.has(key)) throw new RelayConfigError('listener_twice', `two listeners on ${key}`);
    wanted.set(key, { name, bind, proxyProtocol, helloTimeoutMs, routes: new RouteTable(chains) });
  }
  return wanted;
}

/** Whether a relay would take it: throws a RelayConfigError if not. */
export const checkConfig = (config: RelayConfig): void => void checked(config);
