/**
 * mixed.ts: a federation in which some datacenters run Consul's server and some run ours; every gateway is ours.
 *
 * Each datacenter has one server and one mesh gateway, on loopback, with certificates of one CA. A secondary is told the
 * address of the primary's gateway and nothing else. Lives here: starting, stopping, asking. Must not live here: what is
 * expected of it (federation.test.ts).
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { closedPorts } from '@fed/tooling/consul';
import { fedCli, gatewayCli } from '@fed/tooling/federation';
import { freePorts } from '@fed/tooling/ports';
import { Child } from '../lib/child.ts';
import { program } from '../lib/peers.ts';
import { TempFolder } from '../lib/temp-folder.ts';
import { until } from '../lib/until.ts';

export type Kind = 'consul' | 'ours';

export interface Site {
  readonly datacenter: string;
  readonly node: string;
  readonly kind: Kind;
  readonly http: string;
  readonly gatewayAddress: string;
  readonly ports: Ports;
  /** Lines of servers of this datacenter that have been stopped. */
  readonly earlier: string[];
  server: Child | undefined;
  gateway: Child | undefined;
}

interface Ports {
  readonly server: number;
  readonly serf_lan: number;
  readonly serf_wan: number;
  readonly http: number;
  readonly grpc: number;
  readonly gateway: number;
  readonly admin: number;
}

const host = '127.0.0.1';
/** Another build of our server may be tried by naming its cli.js. */
const serverCli = process.env['FED_SERVER_CLI'] ?? fedCli;

export class Mixed implements AsyncDisposable {
  readonly sites: readonly Site[];
  readonly #folder: TempFolder;

  private constructor(sites: readonly Site[], folder: TempFolder) {
    this.sites = sites;
    this.#folder = folder;
  }

  /** dc1, dc2, … run these servers; dc1 is the primary. Everything is started, nothing is awaited. */
  static async start(kinds: readonly Kind[]): Promise<Mixed> {
    const folder = await TempFolder.open();
    try {
      const fed = (...args: string[]): string =>
        execFileSync(process.execPath, [serverCli, ...args], { cwd: folder.path, encoding: 'utf8' });
      fed('tls', 'ca', 'create');
      const key = randomBytes(32).toString('base64');
      const names = ['server', 'serf_lan', 'serf_wan', 'http', 'grpc', 'gateway', 'admin'] as const;
      const numbers = await freePorts(kinds.length * names.length);
      const sites = kinds.map((kind, at): Site => {
        const ports = Object.fromEntries(
          names.map((name, which) => [name, numbers[at * names.length + which] as number]),
        ) as unknown as Ports;
        return {
          datacenter: `dc${at + 1}`,
          node: `n${at + 1}`,
          kind,
          http: `http://${host}:${ports.http}`,
          gatewayAddress: `${host}:${ports.gateway}`,
          ports,
          earlier: [],
          server: undefined,
          gateway: undefined,
        };
      });
      const mixed = new Mixed(sites, folder);
      for (const site of sites) {
        fed('tls', 'cert', 'create', '--server', '--dc', site.datacenter, '--node', site.node);
        await folder.write(`${site.datacenter}.json`, JSON.stringify(mixed.#config(site, key)));
        mixed.startServer(site);
        mixed.startGateway(site);
      }
      return mixed;
    } catch (cause) {
      await folder[Symbol.asyncDispose]();
      throw cause;
    }
  }

  /** Where configurations, certificates and state are. */
  get folder(): string {
    return this.#folder.path;
  }

  startServer(site: Site): void {
    const file = join(this.#folder.path, `${site.datacenter}.json`);
    const [path, args] =
      site.kind === 'ours'
        ? [process.execPath, [serverCli, 'server', '--config', file]]
        : [program('FED_PEER_CONSUL'), ['agent', `-config-file=${file}`]];
    site.server = new Child(`${site.kind} server of ${site.datacenter}`, path, {
      args,
      cwd: this.#folder.path,
    });
  }

  startGateway(site: Site): void {
    const { http, grpc, admin } = site.ports;
    const args = [
      ...[gatewayCli, '--expose-servers'],
      ...['--http-addr', `${host}:${http}`],
      ...['--grpc-addr', `${host}:${grpc}`],
      ...['--address', site.gatewayAddress],
      ...['--wan-address', site.gatewayAddress],
      ...['--admin-bind', `${host}:${admin}`],
      ...['--drain-time', '0s'],
    ];
    site.gateway = new Child(`gateway of ${site.datacenter}`, process.execPath, {
      args,
      cwd: this.#folder.path,
    });
  }

  /** Gone without a word, as in a crash. */
  async killServer(site: Site): Promise<void> {
    await site.server?.kill();
    site.earlier.push(...(site.server?.log ?? []));
    site.server = undefined;
  }

  /** Everything the servers of this datacenter have logged. */
  log(site: Site): readonly string[] {
    return [...site.earlier, ...(site.server?.log ?? [])];
  }

  /** JSON from this datacenter's server. Throws with status and text when it refuses. */
  async get<T>(site: Site, path: string): Promise<T> {
    const response = await fetch(site.http + path, { signal: AbortSignal.timeout(10_000) });
    if (!response.ok)
      throw new Error(`${site.datacenter} ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  /** `until`, with the last words of all servers when it does not come. */
  async until<T>(what: string, timeoutMs: number, check: () => Promise<T | undefined | false>): Promise<T> {
    try {
      return await until(what, timeoutMs, check);
    } catch (cause) {
      const said = this.sites.flatMap(({ server, gateway }) => [server?.tail(12), gateway?.tail(4)]);
      const why = cause instanceof Error && cause.cause instanceof Error ? ` (${cause.cause.message})` : '';
      throw new Error(`${(cause as Error).message}${why}\n${said.join('\n')}`, { cause });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { server, gateway } of this.sites) {
      await gateway?.kill();
      await server?.kill();
    }
    await this.#folder[Symbol.asyncDispose]();
  }

  #config(site: Site, key: string): Record<string, unknown> {
    const primary = this.sites[0] as Site;
    const { server, serf_lan, serf_wan, http, grpc } = site.ports;
    const file = (name: string): string => join(this.#folder.path, name);
    const common = {
      server: true,
      bootstrap_expect: 1,
      datacenter: site.datacenter,
      primary_datacenter: primary.datacenter,
      node_name: site.node,
      data_dir: file(`${site.datacenter}-data`),
      bind_addr: host,
      encrypt: key,
      ca_file: file('consul-agent-ca.pem'),
      cert_file: file(`${site.datacenter}-server-consul-0.pem`),
      key_file: file(`${site.datacenter}-server-consul-0-key.pem`),
      verify_incoming: true,
      verify_outgoing: true,
      verify_server_hostname: true,
      connect: { enabled: true, enable_mesh_gateway_wan_federation: true },
      ...(site === primary ? {} : { primary_gateways: [primary.gatewayAddress] }),
    };
    if (site.kind === 'ours') return { ...common, ports: { server, serf_lan, serf_wan, http, grpc } };
    return {
      ...common,
      log_level: 'info',
      retry_interval_wan: '2s', // usually 30 s: what a secondary waits for when its gateway comes up after it
      disable_update_check: true,
      limits: { http_max_conns_per_client: 1_000 },
      ports: { ...closedPorts(program('FED_PEER_CONSUL')), server, serf_lan, serf_wan, http, grpc },
    };
  }
}
