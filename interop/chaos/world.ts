/**
 * world.ts: a federation whose datacenters can reach each other's gateways and nothing else.
 *
 * dc1 is the primary and has two gateways; the others have one. All servers have one private address, all are called n1
 * within their datacenter, and a secondary knows of the world outside what a file tells it. A server may be Consul's, which
 * reads no file: it is told the primary's gateways once; and up to 1.16 it takes servers of one name and address
 * for one server, so with it names and addresses differ. The gateways are always ours.
 * Lives here: certificates, configuration, starting and asking. Must not live here: expectations (stories.ts).
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { closedPorts } from '@fed/tooling/consul';
import { fedCli, gatewayCli } from '@fed/tooling/federation';
import { program } from '../lib/peers.ts';
import { TempFolder } from '../lib/temp-folder.ts';
import { until } from '../lib/until.ts';
import { Network } from './network.ts';
import { Program } from './program.ts';

/** Another build may be tried by naming its cli.js. */
const serverProgram = process.env['FED_SERVER_CLI'] ?? fedCli;
const gatewayProgram = process.env['FED_GATEWAY_CLI'] ?? gatewayCli;

export const datacenters = ['dc1', 'dc2', 'dc3'] as const;
export type Datacenter = (typeof datacenters)[number];
export const primary = 'dc1';

/** Whose server a datacenter runs. */
export type Kind = 'ours' | 'consul';
export type Kinds = Readonly<Record<Datacenter, Kind>>;
export const allOurs: Kinds = { dc1: 'ours', dc2: 'ours', dc3: 'ours' };

const ports = { http: 8500, grpc: 8502, gateway: 8443, admin: 19_000 } as const;
/** An answer that takes longer than this is none: well beyond every budget of ours. */
const answerMs = 20_000;

interface Gateway {
  /** Its WAN address. Changed by whoever moves it. */
  address: string;
  program: Program | undefined;
}

interface Site {
  readonly node: string;
  readonly folder: string;
  readonly kind: Kind;
  readonly gateways: readonly Gateway[];
  server: Program | undefined;
  /** By how much the clock of its programs is wrong, as libfaketime writes it; for those started from now on. */
  skew: string | undefined;
}

interface Member {
  readonly Name: string;
  /** 1 alive, 2 leaving, 3 left, 4 failed. */
  readonly Status: number;
}

export class World implements AsyncDisposable {
  readonly network: Network;
  readonly #sites: ReadonlyMap<Datacenter, Site>;
  readonly #folder: TempFolder;
  readonly #doors: string;

  private constructor(network: Network, folder: TempFolder, kinds: Kinds) {
    this.network = network;
    this.#folder = folder;
    this.#doors = join(folder.path, 'primary-gateways');
    const tls = join(folder.path, 'tls');
    mkdirSync(tls);
    // Made yesterday, so that they are valid already where clocks are slow.
    const env = { ...process.env, ...falseClock('-1d') };
    const fed = (...args: string[]): void =>
      void execFileSync(process.execPath, [serverProgram, ...args], { cwd: tls, stdio: 'ignore', env });
    fed('tls', 'ca', 'create');
    const gossipKey = randomBytes(32).toString('base64');
    this.#sites = new Map(
      datacenters.map((datacenter, at) => {
        const node = Object.values(kinds).includes('consul') ? `n${at + 1}` : 'n1';
        fed('tls', 'cert', 'create', '--server', '--dc', datacenter, '--node', node);
        const site = join(folder.path, datacenter);
        mkdirSync(site);
        const kind = kinds[datacenter];
        const gateways = Array.from({ length: datacenter === primary ? 2 : 1 }, (_, at) => ({
          address: network.publicAddress(datacenter, at + 1),
          program: undefined,
        }));
        for (const { address } of gateways) network.own(datacenter, address, true);
        return [datacenter, { node, folder: site, kind, gateways, server: undefined, skew: undefined }];
      }),
    );
    for (const [datacenter, { folder }] of this.#sites)
      writeFileSync(join(folder, 'server.json'), JSON.stringify(this.#config(datacenter, tls, gossipKey)));
    this.tellDoors();
  }

  static async open(kinds: Kinds = allOurs): Promise<World> {
    const network = new Network(datacenters, !Object.values(kinds).includes('consul'));
    try {
      return new World(network, await TempFolder.open(), kinds);
    } catch (cause) {
      network[Symbol.dispose]();
      throw cause;
    }
  }

  site(datacenter: Datacenter): Site {
    return this.#sites.get(datacenter) as Site;
  }

  /** Writes the primary's gateways into the file that the secondaries read again and again. */
  tellDoors(): void {
    const lines = this.site(primary).gateways.map(({ address }) => `${address}:${ports.gateway}\n`);
    writeFileSync(`${this.#doors}.new`, lines.join(''));
    renameSync(`${this.#doors}.new`, this.#doors);
  }

  startServer(datacenter: Datacenter): void {
    const site = this.site(datacenter);
    const file = join(site.folder, 'server.json');
    site.server = this.#start(
      datacenter,
      'server',
      site.kind === 'ours'
        ? [process.execPath, serverProgram, 'server', '--config', file]
        : [program('FED_PEER_CONSUL'), 'agent', `-config-file=${file}`],
    );
  }

  startGateway(datacenter: Datacenter, which: number): void {
    const gateway = this.#gateway(datacenter, which);
    const control = this.network.controlAddress(datacenter);
    gateway.program = this.#start(datacenter, `gateway${which}`, [
      process.execPath,
      gatewayProgram,
      '--expose-servers',
      ...['--http-addr', `http://${control}:${ports.http}`],
      ...['--grpc-addr', `${control}:${ports.grpc}`],
      ...['--proxy-id', `gateway${which}`],
      ...['--address', `${this.network.privateAddresses(datacenter).gateways[which]}:${ports.gateway}`],
      ...['--wan-address', `${gateway.address}:${ports.gateway}`],
      ...['--admin-bind', `${control}:${ports.admin + which}`],
      ...['--drain-time', '0s'],
    ]);
  }

  /** Everything that does not run. */
  startAll(): void {
    for (const [datacenter, { server, gateways }] of this.#sites) {
      if (server?.running !== true) this.startServer(datacenter);
      for (const [which, { program }] of gateways.entries())
        if (program?.running !== true) this.startGateway(datacenter, which);
    }
  }

  /** Whatever was done to it is undone: no fault is left, everybody runs and finds everybody. */
  async mend(timeoutMs: number): Promise<void> {
    this.network.heal();
    for (const program of this.programs()) if (program.running) program.thaw();
    this.startAll();
    await this.formed(timeoutMs);
  }

  /** All gateways listen. What their checks say is up to ten seconds old. */
  async #listening(): Promise<boolean> {
    for (const [datacenter, { gateways }] of this.#sites)
      for (const which of gateways.keys()) if (!(await this.isReady(datacenter, which))) return false;
    return true;
  }

  /** Everything ends and begins again, with what it has on disk. */
  async restartAll(): Promise<void> {
    await Promise.all(this.programs().map((program) => program[Symbol.asyncDispose]()));
    this.startAll();
  }

  /** Everybody sees everybody alive and all gateways passing, and reads everybody's catalog. */
  async formed(timeoutMs: number): Promise<void> {
    await until('the federation has formed', timeoutMs, async () => {
      if (!(await this.#listening())) return false;
      for (const from of datacenters) {
        for (const of of datacenters) {
          if ((await this.status(from, of)) !== 1) return false;
          if ((await this.passingGateways(from, of)) !== this.site(of).gateways.length) return false;
          if (!(await this.reads(from, of))) return false;
        }
      }
      return true;
    });
  }

  /** What the gossip of `from` says of the server of `of`: 1 alive, 4 failed. */
  async status(from: Datacenter, of: Datacenter): Promise<number | undefined> {
    const members = await this.get<readonly Member[]>(from, '/v1/agent/members?wan=1');
    return members.find(({ Name }) => Name === `${this.site(of).node}.${of}`)?.Status;
  }

  /** Gateways of `of` that `from` knows to be well. */
  async passingGateways(from: Datacenter, of: Datacenter): Promise<number> {
    const states = await this.get<
      readonly {
        readonly Datacenter: string;
        readonly MeshGateways: readonly { readonly Checks: readonly { readonly Status: string }[] }[] | null;
      }[]
    >(from, '/v1/internal/federation-states');
    const gateways = states.find((state) => state.Datacenter === of)?.MeshGateways ?? [];
    return gateways.filter(({ Checks }) => Checks.every(({ Status }) => Status === 'passing')).length;
  }

  /** Whether `from` is told the nodes of `of`. Throws what the server says when it cannot. */
  async reads(from: Datacenter, of: Datacenter): Promise<boolean> {
    const nodes = await this.get<readonly { readonly Datacenter: string }[]>(
      from,
      `/v1/catalog/nodes?dc=${of}`,
    );
    return nodes.length === 1 && nodes[0]?.Datacenter === of;
  }

  /** Where the server of a datacenter is asked over HTTP. */
  url(datacenter: Datacenter, path: string): string {
    return `http://${this.network.controlAddress(datacenter)}:${ports.http}${path}`;
  }

  async get<T>(datacenter: Datacenter, path: string): Promise<T> {
    const response = await fetch(this.url(datacenter, path), { signal: AbortSignal.timeout(answerMs) });
    if (!response.ok) throw new Error((await response.text()).trim());
    return (await response.json()) as T;
  }

  /** Whether a gateway listens, as it says itself. */
  async isReady(datacenter: Datacenter, which: number): Promise<boolean> {
    const url = `http://${this.network.controlAddress(datacenter)}:${ports.admin + which}/ready`;
    return (await fetch(url, { signal: AbortSignal.timeout(answerMs) })).ok;
  }

  server(datacenter: Datacenter): Program {
    return this.site(datacenter).server as Program;
  }

  gateway(datacenter: Datacenter, which = 0): Program {
    return this.#gateway(datacenter, which).program as Program;
  }

  programs(): readonly Program[] {
    return [...this.#sites.values()]
      .flatMap(({ server, gateways }) => [server, ...gateways.map(({ program }) => program)])
      .filter((program) => program !== undefined);
  }

  tails(): string {
    return this.programs()
      .map((program) => program.tail())
      .join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.programs().map((program) => program[Symbol.asyncDispose]()));
    this.network[Symbol.dispose]();
    await this.#folder[Symbol.asyncDispose]();
  }

  #gateway(datacenter: Datacenter, which: number): Gateway {
    return this.site(datacenter).gateways[which] as Gateway;
  }

  #start(datacenter: Datacenter, name: string, command: readonly string[]): Program {
    const { folder, skew } = this.site(datacenter);
    const env = skew === undefined ? {} : falseClock(skew);
    const within = [...this.network.within(datacenter), ...command];
    return new Program(`${datacenter} ${name}`, within, join(folder, `${name}.log`), env);
  }

  #config(datacenter: Datacenter, tls: string, gossipKey: string): object {
    return {
      server: true,
      bootstrap_expect: 1,
      datacenter,
      primary_datacenter: primary,
      node_name: this.site(datacenter).node,
      data_dir: join(this.#folder.path, datacenter, 'data'),
      bind_addr: this.network.privateAddresses(datacenter).server,
      client_addr: this.network.controlAddress(datacenter),
      encrypt: gossipKey,
      ca_file: join(tls, 'consul-agent-ca.pem'),
      cert_file: join(tls, `${datacenter}-server-consul-0.pem`),
      key_file: join(tls, `${datacenter}-server-consul-0-key.pem`),
      verify_incoming: true,
      verify_outgoing: true,
      verify_server_hostname: true,
      connect: { enabled: true, enable_mesh_gateway_wan_federation: true },
      ...(datacenter === primary ? {} : this.#primaryGateways(datacenter)),
      ...(this.site(datacenter).kind === 'consul' && {
        // Bound to a private address it would dial gateways abroad from that, and no answer would find its way back.
        bind_addr: '0.0.0.0',
        advertise_addr: this.network.privateAddresses(datacenter).server,
        disable_update_check: true,
        retry_interval_wan: '2s', // usually 30 s, which only makes us wait longer for the beginning
        ports: { ...closedPorts(program('FED_PEER_CONSUL')), grpc: ports.grpc },
      }),
    };
  }

  #primaryGateways(datacenter: Datacenter): object {
    return this.site(datacenter).kind === 'ours'
      ? { primary_gateways: [`file:${this.#doors}`], primary_gateways_interval: '1s' }
      : { primary_gateways: this.site(primary).gateways.map(({ address }) => `${address}:${ports.gateway}`) };
  }
}

/** For a program's environment: its calendar is wrong, its monotonic clock is not. */
function falseClock(skew: string): Readonly<Record<string, string>> {
  return {
    LD_PRELOAD: program('FED_PEER_FAKETIME'),
    FAKETIME: skew,
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  };
}
