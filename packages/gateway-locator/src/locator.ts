/**
 * locator.ts: which gateways to try for a datacenter, in which order, and what it learned from trying.
 *
 * It listens: to the federation states in our store, to our own catalog, to discovery, to gossip, to
 * replication, to every dial. It never asks, opens nothing, waits for nothing; the first address that becomes known is usable
 * at once, leader or not.
 * Lives here: putting lists, policy and memory together. Must not live here: I/O, timers, gossip,
 * replication.
 * Source: Consul agent/consul/gateway_locator.go.
 */
import { renderHostPort, sortedUnique } from './address.ts';
import { type Attempt, type Diagnosis, diagnose } from './diagnosis.ts';
import { type Explanation, explainWays, whyNoGateway } from './explanation.ts';
import { type GatewayList, gatewayList, lanAddress, noGateways, wanAddress } from './gateways.ts';
import { History } from './history.ts';
import { Memory } from './memory.ts';
import type { News } from './news.ts';
import { type RankedWay, rank } from './order.ts';
import type { FederationState, HostPort, Millis, Rng } from './ports.ts';
import { type Knowledge, waysTo } from './ways.ts';

export interface Locator {
  hear(news: News): void;
  /**
   * Ordered candidates, best first; [] when none is known. Call it when about to dial: it may hand out a
   * trial.
   */
  waysTo(datacenter: string): readonly HostPort[];
  /** Which candidates, from which source, why in this order, what was learned. Asking changes nothing. */
  explain(datacenter: string): Explanation;
  /** Why `datacenter` cannot be reached, naming the hop, given what a dial learned. */
  diagnose(datacenter: string, attempts: readonly Attempt[]): Diagnosis;
  /** Calls with the datacenters whose candidates or whose own gateways changed. */
  onRoutes(listener: (datacenters: readonly string[]) => void): Disposable;
  /** Calls when a dial succeeds towards a datacenter that was failing, or was never reached before. */
  onReachable(listener: (datacenter: string) => void): Disposable;
  /**
   * Ways worth a probe now: those whose rest is over and that nobody is trying, and doors of the primary that nobody has
   * tried for a while. Each is handed out once, until it is tried or 10 s have passed.
   */
  toProbe(): readonly Probe[];
}

/** A cheap dial, whose outcome is news like any other's. */
export interface Probe {
  readonly gateway: HostPort;
  readonly datacenter: string;
}

export interface LocatorOptions {
  readonly datacenter: string;
  readonly primary: string;
  readonly clock: { now(): Millis };
  readonly rng: Rng;
}

/** Replication rounds that must fail in a row before our own gateways count as broken. */
const brokenRounds = 3;
/** A gateway that led somewhere within this time is not hanging. */
const latelyMs = 60_000;
/** Gossip is made by others, and a gateway that is not among so many is in the record. */
const toldMax = 64;
/** A door of the primary that nobody used for this long is tried before it is needed. */
const idleMs = 5 * 60_000;
/** Probes handed out at a time: a handshake each. */
const probesMax = 8;
/** Datacenters we remember having been asked for or told about: names come from peers. */
const datacentersMax = 1024;

/** A datacenter's record, with what was made of it: of two hundred records one changes at a time. */
interface Published {
  readonly state: FederationState;
  readonly list: GatewayList;
  readonly text: string;
}

export function createLocator(o: LocatorOptions): Locator {
  return new ListeningLocator(o);
}

class ListeningLocator implements Locator {
  readonly #here: string;
  readonly #primary: string;
  readonly #clock: { now(): Millis };
  readonly #rng: Rng;
  readonly #memory: Memory;
  readonly #history = new History();
  #statesHeard = false;
  /** What each datacenter published, by its name, as seen from outside. */
  #published: ReadonlyMap<string, Published> = new Map();
  #ownRecord: GatewayList = noGateways;
  #catalog: GatewayList | undefined;
  #told: readonly HostPort[] = [];
  #fallbacks: readonly HostPort[] = [];
  #roundsFailed = 0;
  /** Datacenters somebody asked a way to, and whether the last dial there succeeded. */
  readonly #asked = new Map<string, boolean>();
  #routes: ReadonlyMap<string, string> = new Map();
  /** The addresses of all lists, as they were when memory was last told which to keep. */
  #retained = '';
  readonly #routeListeners = new Set<(datacenters: readonly string[]) => void>();
  readonly #reachListeners = new Set<(datacenter: string) => void>();

  constructor(o: LocatorOptions) {
    this.#here = o.datacenter.toLowerCase();
    this.#primary = o.primary.toLowerCase();
    this.#clock = o.clock;
    this.#rng = o.rng;
    this.#memory = new Memory(o.rng);
  }

  hear(news: News): void {
    switch (news.kind) {
      case 'states':
        this.#hearStates(news.states);
        this.#routesChanged();
        break;
      case 'localGateways':
        this.#catalog = gatewayList(news.gateways, lanAddress);
        this.#routesChanged();
        break;
      case 'told':
        this.#told = sortedUnique(news.addresses).slice(0, toldMax);
        this.#routesChanged();
        break;
      case 'fallbacks':
        this.#fallbacks = sortedUnique(news.addresses);
        this.#routesChanged();
        break;
      case 'round':
        if (news.ok) this.#roundsFailed = 0;
        else if (news.transport !== false) this.#roundsFailed++;
        break;
      case 'tried':
        this.#hearTried(news);
        break;
    }
  }

  waysTo(datacenter: string): readonly HostPort[] {
    this.#ask(datacenter);
    const now = this.#clock.now();
    const ranked = rank(this.#judged(datacenter, now), this.#rng);
    const [first] = ranked;
    if (first?.verdict.standing === 'due') this.#memory.beginTrial(first.gateway, datacenter, now);
    return ranked.map((way) => way.gateway);
  }

  explain(datacenter: string): Explanation {
    const now = this.#clock.now();
    return explainWays({
      datacenter,
      ranked: rank(this.#judged(datacenter, now), undefined),
      remoteGateways: this.#remoteGateways(datacenter),
      whyNone: this.#whyNone(datacenter),
      now,
    });
  }

  diagnose(datacenter: string, attempts: readonly Attempt[]): Diagnosis {
    const local = new Set(this.#local().addresses.map(renderHostPort));
    const since = this.#clock.now() - latelyMs;
    return diagnose(attempts, {
      datacenter,
      isLocal: (gateway) => local.has(renderHostPort(gateway)),
      remoteGateways: this.#remoteGateways(datacenter),
      remoteCritical: this.#published.get(datacenter)?.list.critical ?? 0,
      leadsElsewhere: (gateway) => this.#memory.ledSomewhereSince(gateway, since),
      whyNone: this.#whyNone(datacenter),
    });
  }

  toProbe(): readonly Probe[] {
    const now = this.#clock.now();
    const probes: Probe[] = [];
    for (const datacenter of new Set([this.#primary, ...this.#published.keys()])) {
      if (datacenter === this.#here) continue;
      for (const { gateway, verdict } of this.#judged(datacenter, now)) {
        if (probes.length >= probesMax) return probes;
        const idle = now - (verdict.okAt ?? Number.NEGATIVE_INFINITY) >= idleMs;
        const wanted = verdict.standing === 'due' || (datacenter === this.#primary && idle);
        if (!wanted || verdict.standing === 'resting' || this.#memory.isOnTrial(gateway, datacenter, now))
          continue;
        this.#memory.beginTrial(gateway, datacenter, now);
        probes.push({ gateway, datacenter });
      }
    }
    return probes;
  }

  onRoutes(listener: (datacenters: readonly string[]) => void): Disposable {
    return listen(this.#routeListeners, listener);
  }

  onReachable(listener: (datacenter: string) => void): Disposable {
    return listen(this.#reachListeners, listener);
  }

  #hearStates(states: readonly FederationState[]): void {
    this.#statesHeard = true;
    const published = new Map<string, Published>();
    this.#ownRecord = noGateways;
    for (const state of states.slice(0, datacentersMax)) {
      const datacenter = state.Datacenter.toLowerCase();
      const known = this.#published.get(datacenter);
      published.set(datacenter, known?.state === state ? known : readRecord(state));
      if (datacenter === this.#here) this.#ownRecord = gatewayList(state.MeshGateways, lanAddress);
    }
    this.#published = published;
  }

  #hearTried(news: News & { readonly kind: 'tried' }): void {
    const now = this.#clock.now();
    const { gateway, datacenter, ok } = news;
    if (!ok) {
      const code = news.code ?? 'unknown';
      this.#memory.failed(gateway, datacenter, code, now);
      if (code !== 'aborted') this.#ask(datacenter, false);
      return;
    }
    this.#memory.succeeded(gateway, datacenter, news.tookMs, now);
    if (datacenter === this.#primary && this.#isDoor(gateway, now)) this.#history.led(gateway, now);
    const reached = this.#asked.get(datacenter) === true;
    this.#ask(datacenter, true);
    if (!reached) for (const listener of [...this.#reachListeners]) listener(datacenter);
  }

  /** Of the primary. What is in no list may be a gateway of ours that was taken out while the dial was under way. */
  #isDoor(gateway: HostPort, now: Millis): boolean {
    const { primaryRecord, told, fallbacks, history } = this.#knowledge(this.#history.addresses(now));
    const same = ({ host, port }: HostPort): boolean => host === gateway.host && port === gateway.port;
    return [primaryRecord, told, fallbacks, history].some((list) => list.some(same));
  }

  #ask(datacenter: string, reached?: boolean): void {
    const known = this.#asked.has(datacenter);
    if (known && reached === undefined) return;
    if (!known && this.#asked.size >= datacentersMax) return;
    this.#asked.set(datacenter, reached ?? false);
    if (!known) this.#routes = this.#currentRoutes(); // being asked for is no change of routes
  }

  /**
   * Our own gateways: from our own catalog as soon as it was heard, so that a replaced one needs no round
   * trip abroad.
   */
  #local(): Knowledge['local'] & { readonly list: GatewayList } {
    return this.#catalog
      ? { source: 'local_catalog', addresses: this.#catalog.addresses, list: this.#catalog }
      : { source: 'own_record', addresses: this.#ownRecord.addresses, list: this.#ownRecord };
  }

  #knowledge(history: readonly HostPort[] = []): Knowledge {
    return {
      here: this.#here,
      primary: this.#primary,
      local: this.#local(),
      primaryRecord: this.#published.get(this.#primary)?.list.addresses ?? [],
      told: this.#told,
      fallbacks: this.#fallbacks,
      history,
      localBroken: this.#roundsFailed >= brokenRounds,
    };
  }

  #judged(datacenter: string, now: Millis): readonly RankedWay[] {
    return waysTo(datacenter, this.#knowledge(this.#history.addresses(now))).map((way) => ({
      ...way,
      verdict: this.#memory.verdict(way.gateway, datacenter, now),
    }));
  }

  #remoteGateways(datacenter: string): readonly HostPort[] {
    return this.#published.get(datacenter)?.list.addresses ?? [];
  }

  #whyNone(datacenter: string): string {
    return whyNoGateway({
      toPrimary: datacenter === this.#primary && this.#here !== this.#primary,
      local: this.#local().list,
      primaryRecord: this.#published.get(this.#primary)?.list,
      statesHeard: this.#statesHeard && this.#published.size > 0,
    });
  }

  /** Without history: a gateway that left every list is let go, even if it is remembered. */
  #currentRoutes(): ReadonlyMap<string, string> {
    const knowledge = this.#knowledge();
    const datacenters = new Set([...this.#published.keys(), this.#primary, ...this.#asked.keys()]);
    datacenters.delete(this.#here);
    const candidates = (datacenter: string): string =>
      textOf(sortedUnique(waysTo(datacenter, knowledge).map((way) => way.gateway)));
    const toPrimary = candidates(this.#primary);
    const toOthers = candidates(''); // the same for all of them
    const routes = new Map<string, string>();
    for (const datacenter of datacenters) {
      const ways = datacenter === this.#primary ? toPrimary : toOthers;
      routes.set(datacenter, `${ways} > ${this.#published.get(datacenter)?.text ?? ''}`);
    }
    return routes;
  }

  #routesChanged(): void {
    const history = this.#history.addresses(this.#clock.now());
    const doors = [this.#fallbacks, this.#told, this.#remoteGateways(this.#primary), history];
    const known = [this.#local().addresses, ...doors].flat().map(renderHostPort);
    const retained = known.join();
    if (retained !== this.#retained) this.#memory.retain(new Set(known));
    this.#retained = retained;
    const before = this.#routes;
    this.#routes = this.#currentRoutes();
    const nothing = ' > ';
    const changed: string[] = [];
    for (const [dc, route] of this.#routes) if (route !== (before.get(dc) ?? nothing)) changed.push(dc);
    for (const [dc, route] of before) if (!this.#routes.has(dc) && route !== nothing) changed.push(dc);
    changed.sort();
    if (changed.length > 0) for (const listener of [...this.#routeListeners]) listener(changed);
  }
}

function readRecord(state: FederationState): Published {
  const list = gatewayList(state.MeshGateways, wanAddress);
  return { state, list, text: textOf(list.addresses) };
}

/** Of sorted addresses, so that equal lists are equal texts. */
const textOf = (addresses: readonly HostPort[]): string => addresses.map(renderHostPort).join();

function listen<T>(listeners: Set<T>, listener: T): Disposable {
  listeners.add(listener);
  return { [Symbol.dispose]: () => listeners.delete(listener) };
}
