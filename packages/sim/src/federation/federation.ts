/**
 * federation.ts: datacenters that share no network, in one process, on virtual time, from one seed.
 *
 * Every datacenter has the same private addresses, because real ones do. Secondaries are told the primary's first gateways
 * and nothing else. Lives here: building it, looking into it, asking it. Must not live here: faults over time (day.ts), rules (checkers.ts).
 */
import type { TlsMaterial } from '@fed/alpn-mux';
import { createCa, createCertificate } from '@fed/pki';
import type { Config, Running } from '@fed/server/inside';
import type { Violation } from '../checkers/violation.ts';
import { SeededRng } from '../seeded-rng.ts';
import { Transcript } from '../transcript.ts';
import { VirtualClock } from '../virtual-clock.ts';
import { gatewayPort, SimGateway } from './gateway.ts';
import { FedNetwork, type SimHost } from './network.ts';
import { epochMs, SimServer } from './server.ts';

export interface Datacenter {
  readonly name: string;
  readonly server: SimServer;
  gateways: SimGateway[];
}

export interface FederationOptions {
  readonly seed: number;
  readonly datacenters: number;
  /** Per datacenter; default 1. */
  readonly gateways?: number;
  readonly encrypted?: boolean;
  readonly logLevel?: Config['logLevel'];
}

const serverAddress = '10.0.0.1';

export class Federation {
  readonly clock: VirtualClock = new VirtualClock();
  readonly rng: SeededRng;
  readonly transcript: Transcript = new Transcript();
  readonly net: FedNetwork;
  readonly datacenters: readonly Datacenter[];
  readonly violations: Violation[] = [];
  readonly #up: ((dc: Datacenter, running: Running) => void)[] = [];
  readonly #killed: ((dc: Datacenter, running: Running) => Promise<void>)[] = [];
  /** Public addresses the primary's gateways ever had. */
  readonly #ofPrimary = new Set<string>();
  #addresses = 0;
  #toldGateways: readonly string[] = [];

  constructor(o: FederationOptions, material: TlsMaterial) {
    this.rng = new SeededRng(o.seed);
    this.net = new FedNetwork({ clock: this.clock, rng: this.rng.fork(), transcript: this.transcript });
    const key = o.encrypted === true ? Buffer.from(this.rng.bytes(16)).toString('base64') : undefined;
    this.datacenters = Array.from({ length: o.datacenters }, (_, at): Datacenter => {
      const name = `dc${at + 1}`;
      const server = new SimServer({
        node: 'n1',
        datacenter: name,
        primary: 'dc1',
        primaryGateways: () => this.#toldGateways,
        net: this.net,
        rng: this.rng.fork(),
        host: this.net.addHost(name, serverAddress),
        gossipKey: key,
        material,
        logLevel: o.logLevel ?? 'warn',
        onUp: (running) => {
          for (const told of this.#up) told(this.dc(name), running);
        },
        onKilled: async (running) => {
          for (const told of this.#killed) await told(this.dc(name), running);
        },
      });
      return { name, server, gateways: [] };
    });
    for (const dc of this.datacenters) for (let i = 0; i < (o.gateways ?? 1); i++) this.addGateway(dc);
    this.#toldGateways = this.primary.gateways.map(publicAddress);
  }

  static async open(o: FederationOptions): Promise<Federation> {
    return new Federation(o, await sharedMaterial());
  }

  get primary(): Datacenter {
    return this.datacenters[0]!;
  }

  get secondaries(): readonly Datacenter[] {
    return this.datacenters.slice(1);
  }

  dc(name: string): Datacenter {
    const found = this.datacenters.find((dc) => dc.name === name);
    if (found === undefined) throw new Error(`there is no ${name}`);
    return found;
  }

  /** Called whenever a server is up. */
  onUp(told: (dc: Datacenter, running: Running) => void): void {
    this.#up.push(told);
  }

  onKilled(told: (dc: Datacenter, running: Running) => Promise<void>): void {
    this.#killed.push(told);
  }

  wasOfPrimary(address: string): boolean {
    return this.#ofPrimary.has(address);
  }

  startAll(): void {
    for (const { server, gateways } of this.datacenters) {
      server.start();
      for (const gateway of gateways) gateway.start();
    }
  }

  /** A gateway at an address nobody has heard of. */
  addGateway(dc: Datacenter): SimGateway {
    const n = ++this.#addresses;
    const host: SimHost = this.net.addHost(
      dc.name,
      `10.0.${1 + (n >> 8)}.${n & 255}`,
      `198.18.${n >> 8}.${n & 255}`,
    );
    const gateway = new SimGateway({
      id: `gw-${n}`,
      datacenter: dc.name,
      net: this.net,
      rng: this.rng.fork(),
      host,
      agent: serverAddress,
    });
    dc.gateways.push(gateway);
    if (dc === this.primary) this.#ofPrimary.add(publicAddress(gateway));
    return gateway;
  }

  /** All gateways of a datacenter are gone for good, and others are there, elsewhere. */
  async replaceGateways(dc: Datacenter): Promise<void> {
    const old = dc.gateways;
    dc.gateways = [];
    this.net.note(`replace gateways of ${dc.name}`);
    for (const gateway of old) {
      gateway.kill();
      this.net.removeHost(gateway.host);
      // Its operator takes it out of the catalog, as a rolling replacement does.
      await dc.server.running?.agent.deregister(gateway.id);
    }
    for (const _ of old) this.addGateway(dc).start();
  }

  /** A read of `to`, asked of the server of `from`. Resolves with how long it took; rejects as the client would see it. */
  async read(from: Datacenter, to: Datacenter): Promise<number> {
    const { running } = from.server;
    if (running === undefined) throw new Error(`${from.name} is not up`);
    const began = this.clock.now();
    const args = { Datacenter: to.name, AllowStale: true };
    await running.ask('Catalog.ListNodes', args, { signal: new AbortController().signal });
    return this.clock.now() - began;
  }

  /**
   * Datacenters that no chain of known addresses connects with the primary: both sides moved while they were apart. Nothing
   * a program can do finds the way again.
   */
  lost(): readonly Datacenter[] {
    const found = new Set([this.primary]);
    for (const one of found)
      for (const other of this.datacenters)
        if (this.#knowsWay(one, other) || this.#knowsWay(other, one)) found.add(other);
    return this.datacenters.filter((dc) => !found.has(dc));
  }

  /** What an operator does who finds his datacenter cut off: writes the primary's present gateways into its file, and restarts. */
  async correct(dc: Datacenter): Promise<void> {
    this.net.note(`primary_gateways of ${dc.name} are corrected`);
    this.#toldGateways = this.primary.gateways.map(publicAddress);
    await dc.server.kill();
    dc.server.start();
  }

  #knowsWay(from: Datacenter, to: Datacenter): boolean {
    const { running } = from.server;
    if (running === undefined) return false;
    const present = new Set(to.gateways.map(publicAddress));
    const { locator } = running.rooms;
    const explained = locator.explain(to.name);
    return [...explained.remoteGateways, ...explained.candidates.map(({ gateway }) => gateway)].some(
      ({ host, port }) => present.has(`${host}:${port}`),
    );
  }

  /** What keeps everybody who runs from knowing everybody who runs, and the same of all gateways. */
  disagreement(): string | undefined {
    const up = this.datacenters.filter(({ server }) => server.isStarted);
    for (const { name, server } of up) {
      const { running } = server;
      if (running === undefined) return `${name} is not up yet`;
      const members = running.rooms.wan.members();
      for (const other of this.datacenters) {
        const seen = members.find((member) => member.name === other.server.wanName);
        if (other.server.isStarted && seen?.status !== 'alive')
          return `${name} has ${other.server.wanName} as ${seen?.status ?? 'unknown'}`;
        if (!other.server.isStarted && seen?.status === 'alive')
          return `${name} still has ${other.server.wanName} as alive`;
      }
    }
    return this.recordsDiffer(up);
  }

  /** I1, I2: equal records everywhere, each with the primary's index. */
  recordsDiffer(among: readonly Datacenter[] = this.datacenters): string | undefined {
    const primary = this.primary.server.running?.rooms.fsm.store.federationStates().rows;
    if (primary === undefined) return undefined;
    for (const { name, server } of among) {
      const rows = server.running?.rooms.fsm.store.federationStates().rows;
      if (rows === undefined || server === this.primary.server) continue;
      if (rows.length !== primary.length) return `${name} has ${rows.length} records of ${primary.length}`;
      for (const row of primary) {
        const copy = rows.find(({ Datacenter: of }) => of === row.Datacenter);
        if (copy === undefined) return `${name} has no record of ${row.Datacenter}`;
        if (JSON.stringify(copy.MeshGateways) !== JSON.stringify(row.MeshGateways))
          return `${name} has other gateways of ${row.Datacenter} than the primary`;
        if (copy.PrimaryModifyIndex !== row.ModifyIndex)
          return `${name} has ${row.Datacenter} at ${copy.PrimaryModifyIndex}, the primary at ${row.ModifyIndex}`;
      }
      const own = server.running?.rooms.fsm.store.serviceKind('mesh-gateway').rows ?? [];
      const published = primary.find(({ Datacenter: of }) => of === name)?.MeshGateways ?? [];
      if (own.length !== published.length)
        return `${name} has ${own.length} gateways and ${published.length} of them are published`;
    }
    return undefined;
  }

  /** Lets time pass until nothing keeps them apart and every read works; how long that took, or why it did not. */
  async untilWhole(limitMs: number): Promise<number | string> {
    const began = this.clock.now();
    const end = began + limitMs;
    let why = 'no time was given';
    while (this.clock.now() < end) {
      why = this.disagreement() ?? (await this.readsFail()) ?? '';
      if (why === '') return this.clock.now() - began;
      await this.clock.run(Math.min(lookEveryMs, end - this.clock.now()));
    }
    return why;
  }

  /** The first read that does not work, of all pairs that run. */
  async readsFail(): Promise<string | undefined> {
    const up = this.datacenters.filter(({ server }) => server.isStarted);
    const reads = up.flatMap((from) =>
      up
        .filter((to) => to !== from)
        .map((to) =>
          this.read(from, to).then(
            () => undefined,
            (error: unknown) => `${from.name} cannot read ${to.name}: ${(error as Error).message}`,
          ),
        ),
    );
    return (await this.clock.until(Promise.all(reads))).find((failure) => failure !== undefined);
  }

  async close(): Promise<void> {
    for (const { server, gateways } of this.datacenters) {
      for (const gateway of gateways) gateway.kill();
      await server.kill();
    }
  }
}

/** How often a federation that is not whole yet is looked at. */
const lookEveryMs = 100;

function publicAddress({ host }: SimGateway): string {
  return `${host.publicAddress}:${gatewayPort}`;
}

let material: Promise<TlsMaterial> | undefined;

/** What it says is not looked at: names are checked as data (dial.ts). Made once, because it costs milliseconds. */
function sharedMaterial(): Promise<TlsMaterial> {
  material ??= (async () => {
    const bytes = new SeededRng(1);
    const maker = { randomBytes: (n: number) => bytes.bytes(n), now: () => epochMs };
    const ca = await createCa({}, maker);
    const made = await createCertificate({ kind: 'server' }, ca, maker);
    return { ca: [ca.certificate], cert: made.certificate, key: made.key };
  })();
  return material;
}
