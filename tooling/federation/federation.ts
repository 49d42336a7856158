/**
 * federation.ts: a whole federation on this machine, as separate processes, the way an operator would start it.
 *
 * Each datacenter has one server and one mesh gateway. Certificates come from `fed tls`, the gossip key from
 * `fed keygen`. A secondary is told the address of the primary's gateway and nothing else of the world outside.
 * The demo, the tests of whole stories and the benchmarks all stand on this one file.
 * Must not live here: what is expected of a federation.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePorts } from './ports.ts';
import { Program } from './process.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
export const fedCli: string = join(root, 'apps/server/dist/cli.js');
export const gatewayCli: string = join(root, 'apps/mesh-gateway/dist/cli.js');
const node = process.execPath;
const host = '127.0.0.1';

/** A new folder for a federation's files. Not below macOS's own temporary folder: its paths are too long for sockets. */
export function temporaryFolder(name: string): string {
  return mkdtempSync(join(process.platform === 'win32' ? tmpdir() : '/tmp', `${name}-`));
}

export interface Site {
  readonly datacenter: string;
  readonly nodeName: string;
  readonly configFile: string;
  readonly httpUrl: string;
  readonly serverPort: number;
  readonly wanPort: number;
  /** Where its next gateway will listen; a test that moves a gateway changes it. */
  gatewayPort: number;
  readonly adminUrl: string;
  readonly dataPlane: DataPlane;
  server: Program | undefined;
  gateway: Program | undefined;
}

/** What relays: the gateway's own process, or a real Envoy beside it. */
export type DataPlane = 'embedded' | 'envoy';

export interface Member {
  readonly Name: string;
  readonly Status: number;
  readonly Tags: Readonly<Record<string, string>>;
}

export interface FederationState {
  readonly Datacenter: string;
  readonly MeshGateways?: readonly { readonly Checks: readonly { readonly Status: string }[] }[];
}

export interface FederationOptions {
  /** The first is the primary. */
  readonly datacenters: readonly string[];
  /** Configurations, certificates, state and logs go below it. */
  readonly folder: string;
  /** Laid over every server's configuration. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** By datacenter; embedded where nothing is said. */
  readonly dataPlane?: Readonly<Record<string, DataPlane>>;
  /** Default: the envoy on PATH. */
  readonly envoyBinary?: string;
  /** Further flags of every gateway. */
  readonly gatewayFlags?: readonly string[];
  readonly step?: (text: string) => void;
}

export class Federation implements AsyncDisposable {
  readonly sites: ReadonlyMap<string, Site>;
  readonly primary: string;
  readonly folder: string;
  readonly #envoyBinary: string | undefined;
  readonly #gatewayFlags: readonly string[];

  private constructor(sites: ReadonlyMap<string, Site>, primary: string, o: FederationOptions) {
    this.sites = sites;
    this.primary = primary;
    this.folder = o.folder;
    this.#envoyBinary = o.envoyBinary;
    this.#gatewayFlags = o.gatewayFlags ?? [];
  }

  /** Everything a federation needs on disk; nothing runs yet. */
  static async prepare(o: FederationOptions): Promise<Federation> {
    const primary = o.datacenters[0] as string;
    const tls = join(o.folder, 'tls');
    mkdirSync(tls, { recursive: true });
    const fed = (...args: string[]): string =>
      execFileSync(node, [fedCli, ...args], { cwd: tls, encoding: 'utf8' });
    o.step?.('making a certificate authority, one certificate per server, and a gossip key');
    fed('tls', 'ca', 'create');
    const gossipKey = fed('keygen').trim();

    const sites = new Map<string, Site>();
    const perSite = 7;
    const ports = await freePorts(o.datacenters.length * perSite);
    const port = (at: number, which: number): number => ports[at * perSite + which] as number;
    for (const [at, datacenter] of o.datacenters.entries()) {
      const nodeName = `n${at + 1}`;
      fed('tls', 'cert', 'create', '--server', '--dc', datacenter, '--node', nodeName);
      const dataDir = join(o.folder, datacenter);
      mkdirSync(dataDir, { recursive: true });
      const configFile = join(dataDir, 'server.json');
      const config = {
        server: true,
        bootstrap_expect: 1,
        datacenter,
        primary_datacenter: primary,
        node_name: nodeName,
        data_dir: join(dataDir, 'data'),
        bind_addr: host,
        encrypt: gossipKey,
        ca_file: join(tls, 'consul-agent-ca.pem'),
        cert_file: join(tls, `${datacenter}-server-consul-0.pem`),
        key_file: join(tls, `${datacenter}-server-consul-0-key.pem`),
        verify_incoming: true,
        verify_outgoing: true,
        verify_server_hostname: true,
        connect: { enabled: true, enable_mesh_gateway_wan_federation: true },
        ports: {
          server: port(at, 0),
          serf_lan: port(at, 1),
          serf_wan: port(at, 2),
          http: port(at, 3),
          grpc: port(at, 4),
        },
        ...(datacenter === primary ? {} : { primary_gateways: [`${host}:${port(0, 5)}`] }),
        ...o.config,
      };
      writeFileSync(configFile, `${JSON.stringify(config, undefined, 2)}\n`);
      sites.set(datacenter, {
        datacenter,
        nodeName,
        configFile,
        httpUrl: `http://${host}:${port(at, 3)}`,
        serverPort: port(at, 0),
        wanPort: port(at, 2),
        gatewayPort: port(at, 5),
        adminUrl: `http://${host}:${port(at, 6)}`,
        dataPlane: o.dataPlane?.[datacenter] ?? 'embedded',
        server: undefined,
        gateway: undefined,
      });
    }
    return new Federation(sites, primary, o);
  }

  site(datacenter: string): Site {
    const site = this.sites.get(datacenter);
    if (site === undefined) throw new Error(`no datacenter ${datacenter} in this federation`);
    return site;
  }

  startServer(datacenter: string): void {
    const site = this.site(datacenter);
    site.server = this.#program(
      `${datacenter} server`,
      [node, fedCli, 'server', '--config', site.configFile],
      'server.log',
      datacenter,
    );
  }

  startGateway(datacenter: string): void {
    const site = this.site(datacenter);
    const address = `${host}:${site.gatewayPort}`;
    site.gateway = this.#program(
      `${datacenter} gateway`,
      [
        node,
        gatewayCli,
        '--expose-servers',
        ...['--http-addr', site.httpUrl],
        ...['--address', address],
        ...['--wan-address', address],
        ...['--admin-bind', site.adminUrl.replace('http://', '')],
        ...['--drain-time', '0s'],
        ...(site.dataPlane === 'envoy' ? ['--data-plane', 'envoy'] : []),
        ...(site.dataPlane === 'envoy' && this.#envoyBinary ? ['--envoy-binary', this.#envoyBinary] : []),
        ...this.#gatewayFlags,
      ],
      'gateway.log',
      datacenter,
    );
  }

  startAll(): void {
    for (const datacenter of this.sites.keys()) {
      this.startServer(datacenter);
      this.startGateway(datacenter);
    }
  }

  /** All servers answer HTTP and all gateways say they are ready. */
  async up(timeoutMs = 30_000): Promise<void> {
    for (const site of this.sites.values()) {
      await this.until(
        `${site.datacenter}: the server answers`,
        timeoutMs,
        async () => (await this.get(site.datacenter, '/v1/status/leader')) !== '',
      );
      await this.until(
        `${site.datacenter}: the gateway is up`,
        timeoutMs,
        async () => (await fetch(`${site.adminUrl}/ready`)).status > 0,
      );
    }
  }

  /** JSON from a server. Throws with status and text when it refuses. */
  async get<T>(datacenter: string, path: string): Promise<T> {
    return json(await fetch(`${this.site(datacenter).httpUrl}${path}`));
  }

  async put(datacenter: string, path: string, body?: unknown): Promise<void> {
    const response = await fetch(`${this.site(datacenter).httpUrl}${path}`, {
      method: 'PUT',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`PUT ${path}: ${response.status} ${await response.text()}`);
  }

  /** Alive members of the WAN pool as `datacenter` sees it, by name. */
  async wanMembers(datacenter: string): Promise<readonly string[]> {
    const members = await this.get<readonly Member[]>(datacenter, '/v1/agent/members?wan=1');
    return members
      .filter((m) => m.Status === 1)
      .map((m) => m.Name)
      .sort();
  }

  /** Gateways listed per datacenter as `datacenter` sees it. */
  async federationStates(datacenter: string): Promise<Record<string, number>> {
    const states = await this.get<readonly FederationState[]>(datacenter, '/v1/internal/federation-states');
    return Object.fromEntries(states.map((s) => [s.Datacenter, s.MeshGateways?.length ?? 0]));
  }

  /** Everybody sees everybody alive, and one gateway of each datacenter, and can read everybody's catalog. */
  async formed(): Promise<boolean> {
    const all = [...this.sites.values()];
    const names = all.map((s) => `${s.nodeName}.${s.datacenter}`).sort();
    for (const { datacenter } of all) {
      if (String(await this.wanMembers(datacenter)) !== String(names)) return false;
      const states = await this.federationStates(datacenter);
      if (!all.every((s) => states[s.datacenter] === 1)) return false;
      for (const of of all)
        if (
          (await this.get<readonly unknown[]>(datacenter, `/v1/catalog/nodes?dc=${of.datacenter}`)).length !==
          1
        )
          return false;
    }
    return true;
  }

  /**
   * Connections and packets that came to a server from another datacenter without passing a gateway: counted from
   * what servers saw (remote port) and what gateways dialled (local port). There is one server per datacenter, so
   * whatever arrived on a WAN gossip port came from abroad.
   */
  async directForeignConnections(): Promise<number> {
    interface Seen {
      readonly connections: readonly { readonly remoteHost: string; readonly remotePort: number }[];
      readonly gossipPort: { readonly packetsIn: number; readonly streamsIn: number };
    }
    // Servers first: whatever they have seen by now, a gateway has dialled before.
    const seen: Seen[] = [];
    for (const { datacenter } of this.sites.values())
      seen.push(await this.get<Seen>(datacenter, '/v1/agent/foreign-connections'));
    const dialled = new Set<string>();
    for (const { adminUrl } of this.sites.values()) {
      const relays = await json<readonly { readonly upstreamLocal?: string }[]>(
        await fetch(`${adminUrl}/connections`),
      );
      for (const { upstreamLocal } of relays) if (upstreamLocal !== undefined) dialled.add(upstreamLocal);
    }
    let direct = 0;
    for (const { connections, gossipPort } of seen) {
      direct += connections.filter((c) => !dialled.has(`${c.remoteHost}:${c.remotePort}`)).length;
      direct += gossipPort.packetsIn + gossipPort.streamsIn;
    }
    return direct;
  }

  /** Asks again and again, soon, until the answer is true; says what it waited for when time is up. */
  async until(what: string, timeoutMs: number, check: () => Promise<boolean>): Promise<number> {
    const began = performance.now();
    let last: unknown;
    for (;;) {
      try {
        if (await check()) return performance.now() - began;
        last = undefined;
      } catch (error) {
        last = error;
      }
      for (const program of this.programs())
        if (!program.running && !this.#stopped.has(program))
          throw new Error(`${program.name} ended by itself:\n${program.tail()}`);
      if (performance.now() - began > timeoutMs)
        throw new Error(
          `not within ${timeoutMs} ms: ${what}${last instanceof Error ? ` (${last.message})` : ''}`,
        );
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  programs(): readonly Program[] {
    return [...this.sites.values()].flatMap((s) => [s.gateway, s.server].filter((p) => p !== undefined));
  }

  async stop(datacenter: string, which: 'server' | 'gateway', signal: NodeJS.Signals): Promise<void> {
    const program = this.site(datacenter)[which];
    if (program === undefined) return;
    this.#stopped.add(program);
    await program.stop(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.programs().map((program) => program[Symbol.asyncDispose]()));
  }

  readonly #stopped = new Set<Program>();

  #program(name: string, command: readonly string[], logName: string, datacenter: string): Program {
    const cwd = join(this.folder, datacenter);
    return new Program(name, command, { cwd, logFile: join(cwd, logName) });
  }
}

async function json<T>(response: Response): Promise<T> {
  if (!response.ok)
    throw new Error(
      `${new URL(response.url).pathname}: ${response.status} ${(await response.text()).trim()}`,
    );
  return (await response.json()) as T;
}
