/**
 * network.ts: datacenters that share no network, and a network between their gateways.
 *
 * A site is a private network: its addresses mean something within it only, and every site may use the same ones. A host
 * may have a public address besides, which everybody can dial. A program on a host may be dead (its port refuses), frozen (its port
 * accepts, nothing answers), or its host dark (nothing comes, nothing goes, nobody is told).
 * Lives here: hosts, who reaches whom, dialling. Must not live here: what listens (gateway.ts, server.ts), which fault when.
 */

import type { SeededRng } from '../seeded-rng.ts';
import type { Transcript } from '../transcript.ts';
import type { VirtualClock } from '../virtual-clock.ts';
import { Conduit, type ConduitPorts, type Hop } from './conduit.ts';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** What answers at a port. */
export interface Listener {
  readonly host: SimHost;
  /** Where the connection goes on from here: here, or over another hop. Calls back once, or never. */
  route(o: RouteRequest, done: (found: Found) => void): void;
}

export interface RouteRequest {
  readonly sni: string;
  readonly alpn: string;
  /** Who dials, as its certificate says. */
  readonly client: Identity;
  readonly hops: readonly Hop[];
}

export interface Identity {
  readonly node: string;
  readonly datacenter: string;
  /** Of the certificate, in Unix milliseconds, and what time its owner believes it is. */
  readonly validFrom: number;
  readonly wallMs: () => number;
}

export type Found =
  | {
      readonly kind: 'server';
      readonly hops: readonly Hop[];
      readonly identity: Identity;
      accept(conduit: Conduit): void;
    }
  /** It closed without a word: no route, or nobody behind it. */
  | { readonly kind: 'closed' }
  | { readonly kind: 'alpnRefused' };

export interface Faults {
  /** Between two sites, one way, in milliseconds. */
  readonly wanMsMin: number;
  readonly wanMsMax: number;
  /** Probability that a segment has to be sent again. */
  readonly loss: number;
  /** Probability that what was written arrives in pieces. */
  readonly chunking: number;
}

export const calmFaults: Faults = { wanMsMin: 5, wanMsMax: 30, loss: 0, chunking: 0.1 };
const lanMs = 0.3;
/** A connect that got lost is tried again after a second, and then after twice as long each time. RFC 6298. */
const synRetryMs = 1_000;
const synRetriesMax = 3;
/** How long TCP takes to notice a lost segment. */
const lossMs = 250;

export class SimHost {
  readonly site: string;
  readonly address: string;
  readonly publicAddress: string | undefined;
  readonly listeners: Map<number, Listener> = new Map();
  readonly conduits: Set<Conduit> = new Set();
  /** The program runs. */
  alive = true;
  /** Programs that ended on it: what one began, the next knows nothing of. */
  deaths = 0;
  /** The program stands still; its machine does not. */
  frozen = false;
  /** Nothing gets to this host or from it. */
  dark = false;

  constructor(site: string, address: string, publicAddress: string | undefined) {
    this.site = site;
    this.address = address;
    this.publicAddress = publicAddress;
  }

  get name(): string {
    return this.publicAddress ?? `${this.site}/${this.address}`;
  }
}

export interface NetworkTaps {
  readonly opened?: (conduit: Conduit) => void;
  readonly written?: ConduitPorts['written'];
  readonly arrived?: ConduitPorts['arrived'];
}

export class FedNetwork {
  readonly clock: VirtualClock;
  readonly rng: SeededRng;
  readonly transcript: Transcript;
  faults: Faults = calmFaults;
  /** Streams and datagrams that reached a host, for measuring. */
  delivered = 0;
  taps: NetworkTaps = {};
  readonly #hosts = new Map<string, SimHost>();
  readonly #public = new Map<string, SimHost>();
  /** `from>to` between sites: connections dialled that way get nowhere. */
  readonly #blocked = new Set<string>();
  readonly #slowness = new Map<string, number>();
  readonly #distance = new Map<string, number>();
  readonly #ports: ConduitPorts;

  constructor(o: { readonly clock: VirtualClock; readonly rng: SeededRng; readonly transcript: Transcript }) {
    this.clock = o.clock;
    this.rng = o.rng;
    this.transcript = o.transcript;
    this.#ports = {
      clock: o.clock,
      rng: o.rng,
      passes: (hop) => this.passes(hop.from, hop.to),
      delayMs: (hops) => hops.reduce((sum, hop) => sum + this.delayMs(hop.from, hop.to), 0),
      chunking: () => this.faults.chunking,
      written: (end, bytes) => this.taps.written?.(end, bytes),
      arrived: (end, bytes) => {
        this.delivered++;
        this.taps.arrived?.(end, bytes);
      },
    };
  }

  note(line: string): void {
    this.transcript.add(this.clock.now(), line);
  }

  addHost(site: string, address: string, publicAddress?: string): SimHost {
    const host = new SimHost(site, address, publicAddress);
    this.#hosts.set(`${site} ${address}`, host);
    if (publicAddress !== undefined) this.#public.set(publicAddress, host);
    return host;
  }

  removeHost(host: SimHost): void {
    this.died(host);
    host.dark = true;
    this.#hosts.delete(`${host.site} ${host.address}`);
    if (host.publicAddress !== undefined) this.#public.delete(host.publicAddress);
  }

  /** The host that answers to `address` when it is dialled from `site`. */
  find(site: string, address: string): SimHost | undefined {
    return this.#hosts.get(`${site} ${address}`) ?? this.#public.get(address);
  }

  /** The program on it is gone, its ports refuse, its connections break. */
  died(host: SimHost): void {
    host.alive = false;
    host.deaths++;
    host.frozen = false;
    host.listeners.clear();
    for (const conduit of [...host.conduits]) {
      conduit.broke(host);
      for (const end of [conduit.near, conduit.far]) if (end.host === host) end.destroy();
      if (conduit.hops.length > 1) host.conduits.delete(conduit);
    }
  }

  /** Its connections break; it goes on listening. */
  sever(host: SimHost): void {
    for (const conduit of [...host.conduits]) {
      if (conduit.near.host !== host && conduit.far.host !== host) conduit.broke(host);
    }
  }

  block(fromSite: string, toSite: string): void {
    this.#blocked.add(`${fromSite}>${toSite}`);
  }

  unblock(fromSite: string, toSite: string): void {
    this.#blocked.delete(`${fromSite}>${toSite}`);
  }

  cutLink(one: string, other: string, on: boolean): void {
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const) {
      if (on) this.block(from, to);
      else this.unblock(from, to);
    }
  }

  unblockAll(): void {
    this.#blocked.clear();
  }

  slow(site: string, extraMs: number): void {
    this.#slowness.set(site, extraMs);
  }

  /** Whether a segment of a connection that `from` dialled gets over. */
  passes(from: SimHost, to: SimHost): boolean {
    if (from.dark || to.dark || from.frozen || to.frozen || !from.alive || !to.alive) return false;
    return !this.#blocked.has(`${from.site}>${to.site}`);
  }

  /** The same for the hands of the operating system: a frozen program's port still accepts. */
  #connects(from: SimHost, to: SimHost): boolean {
    return !from.dark && !to.dark && !this.#blocked.has(`${from.site}>${to.site}`);
  }

  /** One way, this time. */
  delayMs(from: SimHost, to: SimHost): number {
    if (from.site === to.site) return lanMs + this.rng.below(200) / 1_000;
    const { loss } = this.faults;
    const lost = loss > 0 && this.rng.chance(loss) ? lossMs : 0;
    const slow = (this.#slowness.get(from.site) ?? 0) + (this.#slowness.get(to.site) ?? 0);
    return this.#distanceMs(from.site, to.site) + this.rng.below(2_000) / 1_000 + slow + lost;
  }

  /** Cities do not move: two sites are as far apart as they were when the run began. */
  #distanceMs(a: string, b: string): number {
    const key = a < b ? `${a} ${b}` : `${b} ${a}`;
    let ms = this.#distance.get(key);
    if (ms === undefined) {
      ms = this.rng.between(this.faults.wanMsMin, this.faults.wanMsMax);
      this.#distance.set(key, ms);
    }
    return ms;
  }

  /** A TCP connect. Silence is no answer: whoever waits has a limit. */
  connect(from: SimHost, to: HostPort, done: (answer: Listener | 'refused') => void): void {
    const host = this.find(from.site, to.host);
    if (host === undefined) return; // nobody has that address
    const attempt = (again: number): void => {
      const roundTripMs = this.delayMs(from, host) + this.delayMs(host, from);
      this.clock.at(this.clock.now() + roundTripMs, () => {
        if (!from.alive) return;
        if (this.#connects(from, host)) done(host.listeners.get(to.port) ?? 'refused');
        else if (again < synRetriesMax)
          this.clock.at(this.clock.now() + synRetryMs * 2 ** again, () => attempt(again + 1));
      });
    };
    attempt(0);
  }

  open(hops: readonly Hop[], protocol: string): Conduit {
    const conduit = new Conduit(this.#ports, hops, protocol);
    this.taps.opened?.(conduit);
    return conduit;
  }

  /** One datagram within a site. */
  datagram(from: SimHost, to: HostPort, deliver: (host: SimHost) => void): void {
    const host = this.find(from.site, to.host);
    if (host === undefined || host.site !== from.site) return;
    this.clock.at(this.clock.now() + this.delayMs(from, host), () => {
      if (this.passes(from, host)) {
        this.delivered++;
        deliver(host);
      }
    });
  }
}
