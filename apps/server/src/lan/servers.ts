/**
 * servers.ts: the servers of our own datacenter, as its gossip pool sees them.
 *
 * Who failed is still one: he may be back, and a leader that gossip has lost sight of leads all the same. Who left is not.
 * Source: Consul agent/consul/server_lookup.go, server_serf.go (lanNodeJoin, lanNodeFailed).
 */
import type { SerfEvent, SerfMember } from '@fed/serf';
import { readServer, type ServerMember } from '../tags.ts';

export interface LanServer extends ServerMember {
  readonly status: SerfMember['status'];
  /** `host:port` it answers RPC at; also what the log engine calls it. */
  readonly address: string;
  /** Since when its status is what it is, as this server saw it, in Unix milliseconds. */
  readonly sinceMs: number;
}

export class LanServers {
  readonly #byName = new Map<string, LanServer>();
  readonly #byAddress = new Map<string, LanServer>();
  readonly #wallMs: () => number;

  constructor(wallMs: () => number) {
    this.#wallMs = wallMs;
  }

  /** Hears every event of the pool. */
  follow(event: SerfEvent): void {
    if (event.kind === 'user' || event.kind === 'query') return;
    const gone = event.kind === 'member-leave' || event.kind === 'member-reap';
    for (const member of event.members) {
      const before = this.#byName.get(member.name);
      this.#forget(member.name);
      const server = readServer(member);
      if (gone || typeof server === 'string') continue;
      const address = `${server.host}:${server.port}`;
      const { name, status } = member;
      const sinceMs = before?.status === status ? before.sinceMs : this.#wallMs();
      const row = { ...server, name, status, address, sinceMs };
      this.#byName.set(member.name, row);
      this.#byAddress.set(address, row);
    }
  }

  at(address: string): LanServer | undefined {
    return this.#byAddress.get(address);
  }

  /** By name. */
  all(): readonly LanServer[] {
    return [...this.#byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #forget(name: string): void {
    const known = this.#byName.get(name);
    if (known === undefined) return;
    this.#byName.delete(name);
    // Another may have taken its address over since.
    if (this.#byAddress.get(known.address)?.name === name) this.#byAddress.delete(known.address);
  }
}
