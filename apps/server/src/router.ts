/**
 * router.ts: which server to ask in which datacenter.
 *
 * A list per datacenter, fed by the WAN pool. The first server of a list is asked; one that failed goes to the end.
 * Failed members stay listed (they may answer still, and their datacenter is not gone); those who left are not.
 * Lives here: the lists. Must not live here: connections, gossip, retries. Source: Consul agent/router.
 */
import type { ServerMember } from './tags.ts';

export interface RoutedServer extends ServerMember {
  readonly alive: boolean;
}

/** `unknown`: nobody of that datacenter was ever seen, or all have left. `unreachable`: seen, but none is alive. */
export type Route =
  | { readonly kind: 'server'; readonly server: RoutedServer }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'unreachable'; readonly servers: readonly RoutedServer[] };

export class Router {
  readonly #datacenters = new Map<string, RoutedServer[]>();
  readonly #rng: { below(n: number): number };

  constructor(rng: { below(n: number): number }) {
    this.#rng = rng;
  }

  /** Adds the server, or takes over what changed about it. A new one is put at a random place, to spread load. */
  seen(server: ServerMember, alive: boolean): void {
    const list = this.#datacenters.get(server.datacenter) ?? [];
    const at = list.findIndex((s) => s.name === server.name);
    if (at >= 0) list[at] = { ...server, alive };
    else list.splice(this.#rng.below(list.length + 1), 0, { ...server, alive });
    this.#datacenters.set(server.datacenter, list);
  }

  /** The server left, or was forgotten. With its last server a datacenter is no longer known. */
  gone(datacenter: string, name: string): void {
    const list = (this.#datacenters.get(datacenter) ?? []).filter((s) => s.name !== name);
    if (list.length === 0) this.#datacenters.delete(datacenter);
    else this.#datacenters.set(datacenter, list);
  }

  /** The server to ask now: the first alive one. */
  route(datacenter: string): Route {
    const list = this.#datacenters.get(datacenter);
    if (list === undefined) return { kind: 'unknown' };
    const server = list.find((s) => s.alive);
    return server === undefined ? { kind: 'unreachable', servers: list } : { kind: 'server', server };
  }

  /** Asking it failed: others are tried first from now on. */
  failed(datacenter: string, name: string): void {
    const list = this.#datacenters.get(datacenter);
    const at = list?.findIndex((s) => s.name === name) ?? -1;
    if (list !== undefined && at >= 0) list.push(...list.splice(at, 1));
  }

  /** Puts the servers into this order; those it does not name, who came meanwhile, keep theirs behind it. */
  arrange(datacenter: string, names: readonly string[]): void {
    const rank = new Map(names.map((name, at) => [name, at]));
    const place = (server: RoutedServer): number => rank.get(server.name) ?? names.length;
    this.#datacenters.get(datacenter)?.sort((a, b) => place(a) - place(b));
  }

  /** In name order. */
  datacenters(): readonly string[] {
    return [...this.#datacenters.keys()].sort();
  }

  servers(datacenter: string): readonly RoutedServer[] {
    return this.#datacenters.get(datacenter) ?? [];
  }
}
