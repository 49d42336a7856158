/**
 * servers.ts: register servers around an etcd cluster, each over cables of its own.
 *
 * Lives here: starting, stopping, freezing, cutting off, who leads. Must not live here: load, verdicts.
 */
import { fileURLToPath } from 'node:url';
import type { EtcdLogOptions } from '@fed/fsm/etcd';
import { Driven } from '../lib/driven.ts';
import { until } from '../lib/until.ts';
import { Cable } from './cable.ts';
import type { EtcdCluster } from './cluster.ts';

const programFile = fileURLToPath(new URL('./register-server.ts', import.meta.url));
/** How long a server may take to be up, and a datacenter to have a leader, in ms. */
export const patienceMs = 30_000;

export interface Look {
  readonly state: {
    readonly registers: object;
    readonly applied: number;
    readonly violations: readonly string[];
  };
  readonly leader: boolean;
  readonly term: number;
  readonly stats: { readonly lastIndex: number; readonly snapshotIndex: number };
}

export class RegisterServer implements AsyncDisposable {
  readonly name: string;
  readonly cables: readonly Cable[];
  readonly #options: EtcdLogOptions;
  driven: Driven;

  private constructor(name: string, cables: readonly Cable[], options: EtcdLogOptions) {
    this.name = name;
    this.cables = cables;
    this.#options = options;
    this.driven = this.#start();
  }

  static async open(
    name: string,
    cluster: EtcdCluster,
    extra: Partial<EtcdLogOptions> = {},
  ): Promise<RegisterServer> {
    const cables: Cable[] = [];
    for (const endpoint of cluster.endpoints) cables.push(await Cable.open(endpoint));
    const server = new RegisterServer(name, cables, {
      endpoints: cables.map(({ endpoint }) => endpoint),
      prefix: '/fed/dc1/',
      node: name,
      address: `${name}.example:8300`,
      compactAfterBytes: 2_000,
      chunkBytesMax: 100,
      ...extra,
    });
    await server.isOpen();
    return server;
  }

  #start(): Driven {
    const args = ['--conditions=@fed/source', programFile, JSON.stringify(this.#options)];
    return new Driven(this.name, process.execPath, args);
  }

  async isOpen(): Promise<void> {
    await this.driven.event('open', patienceMs, ({ event }) => event === 'open');
  }

  /** As it says itself, with what it told last. */
  get leads(): { readonly leader: boolean; readonly term: number } {
    const told = this.driven.journal.lines.findLast(({ event }) => event === 'leadership');
    const { leader = false, term = 0 } = (told ?? {}) as { leader?: boolean; term?: number };
    return { leader: leader && this.driven.child.running, term };
  }

  async look(): Promise<Look> {
    return (await this.driven.ask('look')) as unknown as Look;
  }

  async kill(): Promise<void> {
    await this.driven.child.kill();
  }

  async startAgain(): Promise<void> {
    this.driven = this.#start();
    await this.isOpen();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.driven.child.signal('SIGCONT');
    await this.driven[Symbol.asyncDispose]();
    for (const cable of this.cables) await cable[Symbol.asyncDispose]();
  }
}

/** The one of `servers` that leads in the latest term, later than `after`. */
export async function leaderAmong(servers: readonly RegisterServer[], after = 0): Promise<RegisterServer> {
  return await until(`one of ${servers.map(({ name }) => name).join(', ')} leads`, patienceMs, () => {
    const leading = servers.filter(({ leads }) => leads.leader && leads.term > after);
    return leading.sort((a, b) => b.leads.term - a.leads.term)[0];
  });
}
