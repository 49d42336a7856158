/**
 * routes.ts: from the server name to a filter chain.
 *
 * Envoy's order: the exact name, then `*.` before ever shorter suffixes, then the chain without names. So
 * `*.server.dc2.consul` takes any number of labels in front, but not its own base name. Letter case does not count.
 * A table never changes; a new configuration is a new table, and connections keep what they were routed with.
 * Lives here: building and asking the table. Must not live here: clusters, connections.
 * Source: Envoy filter_chain_manager_impl.cc (findFilterChain…ServerName).
 */
import { type RelayChain, RelayConfigError } from './ports.ts';

export class RouteTable {
  readonly #exact = new Map<string, RelayChain>();
  /** By suffix, without `*.`. */
  readonly #wildcard = new Map<string, RelayChain>();
  #otherwise: RelayChain | undefined;

  /** Throws a RelayConfigError if a name is claimed twice or cannot be matched. */
  constructor(chains: readonly RelayChain[]) {
    for (const chain of chains) {
      if (chain.serverNames.length === 0) {
        if (this.#otherwise)
          throw new RelayConfigError('server_name_twice', 'two chains without server names');
        this.#otherwise = chain;
      }
      for (const name of chain.serverNames) this.#add(name.toLowerCase(), chain);
    }
  }

  #add(name: string, chain: RelayChain): void {
    const wildcard = name.startsWith('*.');
    const key = wildcard ? name.slice(2) : name;
    if (key === '' || key.includes('*')) {
      throw new RelayConfigError('server_name_invalid', `"${name}": only a whole first label may be *`);
    }
    const table = wildcard ? this.#wildcard : this.#exact;
    if (table.has(key)) throw new RelayConfigError('server_name_twice', `two chains for ${name}`);
    table.set(key, chain);
  }

  /** `sni` in lower case, as the hello parser gives it. */
  match(sni: string | undefined): RelayChain | undefined {
    if (sni === undefined) return this.#otherwise;
    const exact = this.#exact.get(sni);
    if (exact) return exact;
    for (let dot = sni.indexOf('.'); dot !== -1; dot = sni.indexOf('.', dot + 1)) {
      const chain = this.#wildcard.get(sni.slice(dot + 1));
      if (chain) return chain;
    }
    return this.#otherwise;
  }
}

/** The cluster a chain leads to for this name; undefined for an SNI chain without SNI. */
export function clusterOf(chain: RelayChain, sni: string | undefined): string | undefined {
  return chain.cluster === 'sni' ? sni : chain.cluster.toLowerCase();
}
