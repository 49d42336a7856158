/**
 * original.ts: a small model of the original's rules, as they were measured and read, on the same simulated network.
 *
 * It is no copy of its code, and kinder than it: gateways always have the right routes, answers need no way back, gossip between
 * those who have joined takes no time. What is modelled are the rules that hurt: one random gateway a dial, no deadline after the TCP
 * connect, a failed server set aside until a rebalance, an end of file that is no evidence, a join every 30 s, a back-off blind to
 * reachability, addresses frozen at the first discovery, own gateways learned through the primary.
 * Lives here: those rules. Must not live here: scenarios. Source: Consul 1.8 to 1.9 (gateway_locator.go, wanfed.go, pool.go,
 * router/manager.go, retry_join.go, replication.go, leader_federation_state_ae.go), and runs of 1.9.8.
 */
import { DialError } from '@fed/alpn-mux';
import { SeededRng } from '../seeded-rng.ts';
import { Transcript } from '../transcript.ts';
import { VirtualClock } from '../virtual-clock.ts';
import type { ConduitEnd } from './conduit.ts';
import { dial } from './dial.ts';
import {
  FedNetwork,
  type Found,
  type HostPort,
  type Identity,
  type Listener,
  type RouteRequest,
  type SimHost,
} from './network.ts';
import { PlainGateway } from './plain-gateway.ts';
import { SimProcess } from './process.ts';
import type { Subject } from './subject.ts';

const joinEveryMs = 30_000;
const populatedMs = 10_000;
const probeEveryMs = 5_000;
const suspicionMs = 30_000;
const reconnectEveryMs = 30_000;
const rebalanceMs = 120_000;
const keepaliveMs = 35_000;
const connectMs = 10_000;
const port = 8443;

interface OriginalDc {
  readonly name: string;
  readonly host: SimHost;
  gateways: PlainGateway[];
  server: OriginalServer | undefined;
  writes: number;
}

export class Original implements Subject {
  readonly clock: VirtualClock = new VirtualClock();
  readonly net: FedNetwork;
  readonly rng: SeededRng;
  readonly dcs: readonly OriginalDc[];
  /** What secondaries were told once. */
  readonly fallback: readonly HostPort[];
  /** The primary's records: gateways by datacenter, and their number of writes. */
  readonly published: Map<string, readonly HostPort[]> = new Map();
  #addresses = 0;

  constructor(o: { readonly seed: number; readonly datacenters: number; readonly gateways: number }) {
    this.rng = new SeededRng(o.seed);
    this.net = new FedNetwork({ clock: this.clock, rng: this.rng.fork(), transcript: new Transcript() });
    this.dcs = Array.from({ length: o.datacenters }, (_, at) => {
      const name = `dc${at + 1}`;
      return { name, host: this.net.addHost(name, '10.0.0.1'), gateways: [], server: undefined, writes: 0 };
    });
    for (const dc of this.dcs) for (let i = 0; i < o.gateways; i++) this.#addGateway(dc);
    this.fallback = addressesOf(this.dcs[0]!);
  }

  dc(name: string): OriginalDc {
    return this.dcs.find((dc) => dc.name === name)!;
  }

  start({ gatewaysOf }: { readonly gatewaysOf: readonly string[] }): void {
    for (const name of gatewaysOf) this.startGateways(name);
    for (const { name } of this.dcs) this.startServer(name);
  }

  startServer(name: string): void {
    const dc = this.dc(name);
    dc.server ??= new OriginalServer(this, dc);
  }

  async killServer(name: string): Promise<void> {
    const dc = this.dc(name);
    dc.server?.process.kill();
    dc.server = undefined;
    this.net.died(dc.host);
  }

  startGateways(name: string): void {
    for (const gateway of this.dc(name).gateways) {
      gateway.host.alive = true;
      gateway.host.listeners.set(port, gateway);
    }
    this.publish(this.dc(name));
  }

  async killGateways(name: string, o: { readonly onlyFirst?: boolean } = {}): Promise<void> {
    for (const { host } of this.dc(name).gateways.slice(0, o.onlyFirst === true ? 1 : undefined))
      this.net.died(host);
  }

  freezeGateways(name: string, on: boolean): void {
    for (const { host } of this.dc(name).gateways) {
      host.frozen = on;
      if (on) this.net.sever(host);
    }
  }

  darkenGateways(name: string, on: boolean, o: { readonly onlyFirst?: boolean } = {}): void {
    for (const { host } of this.dc(name).gateways.slice(0, o.onlyFirst === true ? 1 : undefined))
      host.dark = on;
  }

  breakConnections(name: string): void {
    for (const { host } of this.dc(name).gateways) this.net.sever(host);
  }

  cutLink(one: string, other: string, on: boolean): void {
    this.net.cutLink(one, other, on);
  }

  async replaceGateways(name: string): Promise<void> {
    const dc = this.dc(name);
    const old = dc.gateways;
    dc.gateways = [];
    for (const { host } of old) this.net.removeHost(host);
    for (const _ of old) this.#addGateway(dc);
    this.startGateways(name);
  }

  read(from: string, to: string): Promise<unknown> {
    const { server } = this.dc(from);
    return server === undefined ? Promise.reject(new Error('not up')) : server.read(to);
  }

  status(at: string, of: string): 'alive' | 'failed' | 'unknown' {
    return this.dc(at).server?.members.get(of)?.status ?? 'unknown';
  }

  knowsGateways(at: string, of: string): boolean {
    const known = of === 'dc1' ? this.dc(at).server?.primaryGateways : this.dc(at).server?.localGateways;
    return JSON.stringify(known) === JSON.stringify(addressesOf(this.dc(of)));
  }

  async mumble(name: string): Promise<void> {
    this.dc(name).writes++; // the output of checks is part of what is compared
  }

  writes(): number {
    return this.dcs.reduce((sum, { writes }) => sum + writes, 0);
  }

  copies(name: string): number {
    return this.dc(name).server?.copies ?? 0;
  }

  async end(): Promise<void> {
    for (const { name } of this.dcs) await this.killServer(name);
  }

  /** The record of a datacenter, as soon as its server can tell the primary. */
  publish(dc: OriginalDc): void {
    if (dc.name === 'dc1' || dc.server?.joined === true) {
      this.published.set(dc.name, addressesOf(dc));
      dc.writes++;
    }
  }

  #addGateway(dc: OriginalDc): void {
    const n = ++this.#addresses;
    const host = this.net.addHost(dc.name, `10.0.1.${n}`, `198.18.0.${n}`);
    const routes = (to: string): readonly HostPort[] =>
      to === dc.name
        ? [{ host: dc.host.address, port: 8300 }]
        : this.dcs.filter(({ name }) => name === to).flatMap(addressesOf);
    dc.gateways.push(new PlainGateway(this.net, host, routes));
  }
}

const addressesOf = ({ gateways }: OriginalDc): readonly HostPort[] =>
  gateways.map(({ host }) => ({ host: host.publicAddress!, port }));

interface Member {
  status: 'alive' | 'failed';
  suspectSince: number | undefined;
}

class OriginalServer implements Listener {
  readonly process: SimProcess;
  readonly host: SimHost;
  readonly members: Map<string, Member> = new Map();
  joined = false;
  copies = 0;
  primaryGateways: readonly HostPort[] = [];
  localGateways: readonly HostPort[] = [];
  readonly #world: Original;
  readonly #dc: OriginalDc;
  readonly #isPrimary: boolean;
  readonly #populatedAt: number;
  /** Servers set aside after a failed call, until the lists are arranged anew. */
  readonly #offline = new Set<string>();
  readonly #sessions = new Map<string, ConduitEnd>();
  #failures = 0;

  constructor(world: Original, dc: OriginalDc) {
    this.#world = world;
    this.#dc = dc;
    this.host = dc.host;
    this.#isPrimary = dc.name === 'dc1';
    this.process = new SimProcess(dc.host, world.clock);
    this.#populatedAt = this.process.now() + populatedMs;
    dc.host.listeners.set(8300, this);
    this.#every(rebalanceMs, () => this.#offline.clear());
    this.#every(reconnectEveryMs, () => this.#reconnect());
    this.process.at(this.process.now() + probeEveryMs, () => void this.#probe(0));
    if (this.#isPrimary) this.primaryGateways = this.localGateways = addressesOf(dc);
    else {
      void this.#join();
      void this.#replicate();
    }
  }

  route(o: RouteRequest, done: (found: Found) => void): void {
    done({ kind: 'server', hops: o.hops, identity: this.#identity, accept: () => {} });
  }

  /** Asked over the one session there is, or a new one. Nothing here has a deadline but the TCP connect. */
  async read(to: string): Promise<void> {
    if (!this.members.has(to)) throw new Error('No path to datacenter');
    if (this.#offline.has(to)) throw new Error('Remote DC has no server currently reachable');
    try {
      await this.#call(to);
    } catch (error) {
      this.#offline.add(to);
      throw error;
    }
  }

  async #call(to: string): Promise<void> {
    const session = await this.#session(to);
    await new Promise<void>((resolve, reject) => {
      const lost = (): void => reject(new Error('rpc error making call: EOF'));
      session.once('close', lost);
      const look = (until: number): void => {
        if (session.conduit.flows) {
          session.off('close', lost);
          resolve();
        } else if (this.process.now() >= until) session.destroy();
        else this.process.at(this.process.now() + 100, () => look(until));
      };
      this.process.at(this.process.now() + 2 * session.conduit.delayMs, () =>
        look(this.process.now() + keepaliveMs),
      );
    });
  }

  async #session(to: string): Promise<ConduitEnd> {
    const known = this.#sessions.get(to);
    if (known !== undefined && !known.destroyed) return known;
    const session = (await this.#dial(to)) as ConduitEnd;
    this.#sessions.set(to, session);
    return session;
  }

  #dial(to: string): ReturnType<typeof dial> {
    const ways = this.#ways(to);
    if (ways.length === 0) return Promise.reject(new Error('Remote DC has no server currently reachable'));
    const { net, rng } = this.#world;
    const sni = `server.${to}.consul`;
    return dial(net, this.process, this.#identity, {
      to: rng.pick(ways),
      sni,
      alpn: 'consul/rpc-multi',
      connectMs,
      handshakeMs: Number.POSITIVE_INFINITY,
    });
  }

  /** Nothing at all before the first read of the state; then one list, from which one is drawn. */
  #ways(to: string): readonly HostPort[] {
    if (this.process.now() < this.#populatedAt) return [];
    if (to !== 'dc1') return this.localGateways;
    if (this.#failures < 3 && this.localGateways.length > 0) return this.localGateways;
    return [...this.primaryGateways, ...this.#world.fallback];
  }

  async #join(): Promise<void> {
    try {
      await this.#dial('dc1');
      this.joined = true;
      this.#world.publish(this.#dc);
      for (const { name, server } of this.#world.dcs) {
        if (server === undefined || server === this || (!server.joined && !server.#isPrimary)) continue;
        this.#alive(name);
        server.#alive(this.#dc.name);
      }
    } catch {
      this.process.at(this.process.now() + joinEveryMs, () => void this.#join());
    }
  }

  /** Once what it asked for has come it asks again; once it failed it waits, longer each time, whatever happens meanwhile. */
  async #replicate(): Promise<void> {
    let waitMs = 1_000;
    try {
      if (!this.joined) throw new Error('No path to datacenter');
      await this.#call('dc1');
      if (this.#failures > 0 || this.copies === 0) this.copies += this.#world.published.size; // a full sync writes all
      this.#failures = 0;
      this.primaryGateways = this.#world.published.get('dc1') ?? [];
      this.localGateways = this.#world.published.get(this.#dc.name) ?? [];
    } catch {
      this.#failures++;
      waitMs = Math.min(120_000, 1_000 * 2 ** (this.#failures - 1));
    }
    this.process.at(this.process.now() + waitMs, () => void this.#replicate());
  }

  /** One after the other, and the next only when this one is done with: a dial that hangs holds up all. */
  async #probe(turn: number): Promise<void> {
    const names = [...this.members].filter(([, { status }]) => status === 'alive').map(([name]) => name);
    const name = names[turn % Math.max(1, names.length)];
    const member = name === undefined ? undefined : this.members.get(name);
    if (name !== undefined && member !== undefined) {
      try {
        const session = await this.#session(name);
        if (session.conduit.flows) member.suspectSince = undefined;
        else this.#suspect(member);
      } catch (error) {
        // An end of file, or no gateway known, is a local error and no evidence.
        if (error instanceof DialError && error.code.startsWith('connect')) this.#suspect(member);
      }
    }
    for (const each of this.members.values())
      if (each.suspectSince !== undefined && this.process.now() - each.suspectSince >= suspicionMs)
        each.status = 'failed';
    this.process.at(this.process.now() + probeEveryMs, () => void this.#probe(turn + 1));
  }

  #suspect(member: Member): void {
    member.suspectSince ??= this.process.now();
  }

  #reconnect(): void {
    for (const [name, { status }] of this.members) {
      if (status !== 'failed') continue;
      this.#session(name).then(
        () => this.#alive(name),
        () => {},
      );
    }
  }

  #alive(name: string): void {
    this.members.set(name, { status: 'alive', suspectSince: undefined });
  }

  #every(ms: number, then: () => void): void {
    this.process.at(this.process.now() + ms, () => {
      then();
      this.#every(ms, then);
    });
  }

  get #identity(): Identity {
    return { node: 'n1', datacenter: this.#dc.name, validFrom: 0, wallMs: () => this.process.now() };
  }
}
