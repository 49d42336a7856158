/**
 * datacenters.ts: a federation whose datacenters have several servers each, as the programs an operator starts.
 *
 * Every datacenter keeps its log below a prefix of its own in one etcd; its servers are told of each other's LAN addresses,
 * those of a secondary of the primary's gateways, and nothing else. Gateways stand beside the first servers of each: one
 * that registers with a server is as good as that server's node, so one alone would go with it.
 * Lives here: files, ports, starting, asking. Must not live here: what is expected.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fedCli, gatewayCli } from '@fed/tooling/federation';
import { freePorts } from '@fed/tooling/ports';
import { Child } from '../lib/child.ts';
import { TempFolder } from '../lib/temp-folder.ts';
import { until } from '../lib/until.ts';

const host = '127.0.0.1';
/** How long the whole may take to be as it should, in ms: two cores may be shared by several such tests. */
export const patienceMs = 90_000;

export interface Server {
  readonly datacenter: string;
  readonly name: string;
  readonly configFile: string;
  readonly httpUrl: string;
  /** As its log calls it. */
  readonly address: string;
  readonly gossip: string;
  child: Child | undefined;
}

export interface Gateway {
  readonly datacenter: string;
  readonly id: string;
  /** Whose agent it registers with, and whose routes it takes. */
  readonly server: string;
  readonly address: string;
  readonly adminUrl: string;
  child: Child | undefined;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
}

export class Datacenters implements AsyncDisposable {
  readonly servers: readonly Server[];
  readonly gateways: readonly Gateway[];
  readonly folder: string;
  readonly #folder: TempFolder;

  private constructor(folder: TempFolder, servers: readonly Server[], gateways: readonly Gateway[]) {
    this.#folder = folder;
    this.folder = folder.path;
    this.servers = servers;
    this.gateways = gateways;
  }

  /** The first datacenter is the primary. Nothing runs yet. */
  static async prepare(o: {
    readonly datacenters: readonly string[];
    readonly serversEach: number;
    readonly gatewaysEach: number;
    readonly etcd: readonly string[];
    readonly config?: Readonly<Record<string, unknown>>;
  }): Promise<Datacenters> {
    const folder = await TempFolder.open();
    const tls = join(folder.path, 'tls');
    mkdirSync(tls);
    const fed = (...args: string[]): string =>
      execFileSync(process.execPath, [fedCli, ...args], { cwd: tls, encoding: 'utf8' });
    fed('tls', 'ca', 'create');
    const encrypt = fed('keygen').trim();
    const perServer = 5;
    const perGateway = 2;
    const perDatacenter = perServer * o.serversEach + perGateway * o.gatewaysEach;
    const ports = await freePorts(o.datacenters.length * perDatacenter);
    const take = (d: number, at: number, count: number): readonly number[] =>
      ports.slice(d * perDatacenter + at, d * perDatacenter + at + count);
    const gateways = o.datacenters.flatMap((datacenter, d) =>
      Array.from({ length: o.gatewaysEach }, (_, g): Gateway => {
        const [address, admin] = take(d, g * perGateway, perGateway);
        return {
          datacenter,
          id: `gateway-${g + 1}`,
          server: `n${g + 1}`,
          address: `${host}:${address}`,
          adminUrl: `http://${host}:${admin}`,
          child: undefined,
        };
      }),
    );
    const portsOf = (d: number, s: number): readonly number[] =>
      take(d, perGateway * o.gatewaysEach + s * perServer, perServer);
    const primary = o.datacenters[0] as string;
    const servers: Server[] = [];
    for (const [d, datacenter] of o.datacenters.entries())
      for (let s = 0; s < o.serversEach; s++) {
        // The same names in every datacenter: who somebody is, is a datacenter and a name.
        const name = `n${s + 1}`;
        fed('tls', 'cert', 'create', '--server', '--dc', datacenter, '--node', name);
        const [server, lan, wan, http, grpc] = portsOf(d, s);
        const dir = join(folder.path, `${datacenter}-${name}`);
        mkdirSync(dir);
        const configFile = join(dir, 'server.json');
        const config = {
          server: true,
          bootstrap_expect: o.serversEach,
          datacenter,
          primary_datacenter: primary,
          node_name: name,
          data_dir: join(dir, 'data'),
          bind_addr: host,
          encrypt,
          engine: { type: 'etcd', endpoints: o.etcd, compact_history: false },
          retry_join: Array.from({ length: o.serversEach }, (_, i) => `${host}:${portsOf(d, i)[1]}`),
          ca_file: join(tls, 'consul-agent-ca.pem'),
          cert_file: join(tls, `${datacenter}-server-consul-${s}.pem`),
          key_file: join(tls, `${datacenter}-server-consul-${s}-key.pem`),
          verify_incoming: true,
          verify_outgoing: true,
          verify_server_hostname: true,
          connect: { enabled: true, enable_mesh_gateway_wan_federation: true },
          ports: { server, serf_lan: lan, serf_wan: wan, http, grpc },
          ...(datacenter === primary
            ? {}
            : { primary_gateways: gateways.slice(0, o.gatewaysEach).map(({ address }) => address) }),
          ...o.config,
        };
        writeFileSync(configFile, JSON.stringify(config, undefined, 2));
        servers.push({
          datacenter,
          name,
          configFile,
          httpUrl: `http://${host}:${http}`,
          address: `${host}:${server}`,
          gossip: `${host}:${lan}`,
          child: undefined,
        });
      }
    return new Datacenters(folder, servers, gateways);
  }

  of(datacenter: string): readonly Server[] {
    return this.servers.filter((server) => server.datacenter === datacenter);
  }

  alive(datacenter: string): readonly Server[] {
    return this.of(datacenter).filter(({ child }) => child?.running);
  }

  start(server: Server): void {
    const args = [fedCli, 'server', '--config', server.configFile];
    server.child = new Child(`${server.name}.${server.datacenter}`, process.execPath, {
      args,
      cwd: this.folder,
    });
  }

  startGateway(gateway: Gateway): void {
    const beside = this.of(gateway.datacenter).find(({ name }) => name === gateway.server) as Server;
    const args = [
      gatewayCli,
      '--expose-servers',
      '--http-addr',
      beside.httpUrl,
      '--address',
      gateway.address,
    ];
    args.push('--proxy-id', gateway.id, '--wan-address', gateway.address, '--drain-time', '0s');
    gateway.child = new Child(`${gateway.id} of ${gateway.datacenter}`, process.execPath, {
      args: [...args, '--admin-bind', gateway.adminUrl.replace('http://', '')],
      cwd: this.folder,
    });
  }

  startAll(): void {
    for (const server of this.servers) this.start(server);
    for (const gateway of this.gateways) this.startGateway(gateway);
  }

  async ask(server: Server, path: string, body?: unknown): Promise<Answer> {
    const init = body === undefined ? {} : { method: 'PUT', body: JSON.stringify(body) };
    const response = await fetch(server.httpUrl + path, { ...init, signal: AbortSignal.timeout(30_000) });
    return { status: response.status, text: await response.text(), headers: response.headers };
  }

  /** JSON, or an error that says what the server said. */
  async get<T>(server: Server, path: string): Promise<T> {
    const { status, text } = await this.ask(server, path);
    if (status !== 200) throw new Error(`${server.name}.${server.datacenter} ${path}: ${status} ${text}`);
    return JSON.parse(text) as T;
  }

  async put(server: Server, path: string, body: unknown): Promise<void> {
    const { status, text } = await this.ask(server, path, body);
    if (status !== 200) throw new Error(`${server.name}.${server.datacenter} ${path}: ${status} ${text}`);
  }

  /** Whom all servers of the datacenter that run agree on. */
  async leader(datacenter: string): Promise<Server> {
    return await this.until(`a leader of ${datacenter}`, async () => {
      const servers = this.alive(datacenter);
      const told = await Promise.all(servers.map((server) => this.get<string>(server, '/v1/status/leader')));
      return new Set(told).size === 1 ? servers.find(({ address }) => address === told[0]) : undefined;
    });
  }

  /** Every server reads every datacenter, sees all members alive, and every gateway is published as passing. */
  async formed(): Promise<boolean> {
    const members = this.servers.map(({ name, datacenter }) => `${name}.${datacenter}`).sort();
    const datacenters = [...new Set(this.servers.map(({ datacenter }) => datacenter))];
    for (const server of this.servers) {
      const wan = await this.get<readonly { readonly Name: string; readonly Status: number }[]>(
        server,
        '/v1/agent/members?wan=1',
      );
      const seen = wan.filter(({ Status }) => Status === 1).map(({ Name }) => Name);
      if (String(seen.sort()) !== String(members)) return false;
      for (const datacenter of datacenters) {
        const rows = await this.get<readonly unknown[]>(
          server,
          `/v1/health/service/consul?passing&dc=${datacenter}`,
        );
        if (rows.length !== this.of(datacenter).length) return false;
        const gateways = this.gateways.filter((gateway) => gateway.datacenter === datacenter);
        if ((await this.published(server, datacenter)) !== gateways.length) return false;
      }
    }
    return true;
  }

  /** How many gateways of a datacenter its record says are passing, as this server has it. */
  async published(server: Server, datacenter: string): Promise<number> {
    interface Row {
      readonly Checks: readonly { readonly Status: string }[];
    }
    const { State } = await this.get<{ readonly State: { readonly MeshGateways?: readonly Row[] } }>(
      server,
      `/v1/internal/federation-state/${datacenter}`,
    );
    const passing = ({ Checks }: Row): boolean => Checks.every(({ Status }) => Status === 'passing');
    return (State.MeshGateways ?? []).filter(passing).length;
  }

  /** As `until`, and says what the programs said when it does not come about. */
  async until<T>(
    what: string,
    check: () => Promise<T | undefined | false>,
    timeoutMs = patienceMs,
  ): Promise<T> {
    try {
      return await until(what, timeoutMs, check);
    } catch (error) {
      const cause = ((error as Error).cause as Error | undefined)?.message ?? '';
      const said = this.children().map((child) => child.tail(12));
      throw new Error([(error as Error).message, cause, ...said].join('\n'), { cause: error });
    }
  }

  children(): readonly Child[] {
    return [...this.servers, ...this.gateways].flatMap(({ child }) => (child === undefined ? [] : [child]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.children().map((child) => child.kill()));
    await this.#folder[Symbol.asyncDispose]();
  }
}
