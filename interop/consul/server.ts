/**
 * server.ts: one real Consul server agent on loopback, and what its HTTP API says.
 *
 * Lives here: starting it, asking it. Must not live here: what a test expects.
 */
import { join } from 'node:path';
import { type MemberlistConfig, wan } from '@fed/memberlist';
import { closedPorts } from '@fed/tooling/consul';
import { freePorts } from '@fed/tooling/ports';
import { Child } from '../lib/child.ts';
import { program } from '../lib/peers.ts';
import { TempFolder } from '../lib/temp-folder.ts';
import { until } from '../lib/until.ts';

/** Until it has elected itself leader, in ms. Raft alone waits several seconds. */
const startMs = 45_000;
/** Between looking for a port and listening on it somebody else may take it. */
const startsMax = 3;

/** The WAN pool's timing, faster than usual; `gossipNodes` as Consul always has it there. */
export const profile: MemberlistConfig = {
  ...wan,
  gossipNodes: 3,
  gossipIntervalMs: 100,
  probeIntervalMs: 1_000,
  probeTimeoutMs: 500,
  deadNodeReclaimMs: 30_000,
};

/** As /v1/agent/members shows it. Status: 1 alive, 2 leaving, 3 left, 4 failed. */
export interface ListedMember {
  readonly Name: string;
  readonly Addr: string;
  readonly Port: number;
  readonly Tags: Readonly<Record<string, string>>;
  readonly Status: number;
}

export class ConsulServer implements AsyncDisposable {
  readonly wanPort: number;
  readonly rpcPort: number;
  readonly child: Child;
  readonly #folder: TempFolder;
  readonly #http: string;

  private constructor(o: { ports: Ports; child: Child; folder: TempFolder }) {
    this.wanPort = o.ports.serf_wan;
    this.rpcPort = o.ports.server;
    this.child = o.child;
    this.#folder = o.folder;
    this.#http = `http://127.0.0.1:${o.ports.http}`;
  }

  /** The only server of `datacenter`, named "consul". */
  static async open(datacenter: string, o: { readonly key?: string }): Promise<ConsulServer> {
    const folder = await TempFolder.open();
    for (let starts = 1; ; starts += 1) {
      const [server, serf_lan, serf_wan, http] = (await freePorts(4)) as [number, number, number, number];
      const ports = { server, serf_lan, serf_wan, http };
      await folder.write('config.json', JSON.stringify(config(datacenter, ports, o.key)));
      const child = new Child('consul', program('FED_PEER_CONSUL'), {
        args: ['agent', `-config-file=${join(folder.path, 'config.json')}`, `-data-dir=${folder.path}`],
        cwd: folder.path,
      });
      const consul = new ConsulServer({ ports, child, folder });
      try {
        await child.says(/cluster leadership acquired/, startMs);
        await until(
          'Consul has a leader',
          startMs,
          async () => (await consul.get('/v1/status/leader')) !== '',
        );
        return consul;
      } catch (cause) {
        await child[Symbol.asyncDispose]();
        if (starts < startsMax && child.log.join().includes('address already in use')) continue;
        await folder[Symbol.asyncDispose]();
        throw cause;
      }
    }
  }

  async get(path: string): Promise<unknown> {
    const response = await fetch(this.#http + path, { signal: AbortSignal.timeout(5_000) });
    if (!response.ok) throw new Error(`GET ${path}: ${response.status} ${await response.text()}`);
    return await response.json();
  }

  async put(path: string): Promise<void> {
    const response = await fetch(this.#http + path, { method: 'PUT', signal: AbortSignal.timeout(30_000) });
    if (!response.ok) throw new Error(`PUT ${path}: ${response.status} ${await response.text()}`);
    await response.body?.cancel();
  }

  async wanMember(name: string): Promise<ListedMember | undefined> {
    const members = (await this.get('/v1/agent/members?wan=1')) as readonly ListedMember[];
    return members.find((member) => member.Name === name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.child.kill(); // asked politely it would say goodbye first, which takes seconds
    await this.#folder[Symbol.asyncDispose]();
  }
}

interface Ports {
  readonly server: number;
  readonly serf_lan: number;
  readonly serf_wan: number;
  readonly http: number;
}

function config(datacenter: string, ports: Ports, key: string | undefined): Record<string, unknown> {
  return {
    datacenter,
    node_name: 'consul',
    server: true,
    bootstrap: true,
    bind_addr: '127.0.0.1',
    client_addr: '127.0.0.1',
    log_level: 'debug',
    disable_update_check: true,
    ports: { ...closedPorts(program('FED_PEER_CONSUL')), ...ports, grpc: -1 },
    gossip_wan: {
      gossip_interval: `${profile.gossipIntervalMs}ms`,
      probe_interval: `${profile.probeIntervalMs}ms`,
      probe_timeout: `${profile.probeTimeoutMs}ms`,
    },
    ...(key === undefined ? {} : { encrypt: key }),
  };
}
