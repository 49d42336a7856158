/**
 * name-watch.ts: the addresses behind the host names of a cluster.
 *
 * Names are looked up again and again; an answer that fails to come leaves the last good one in force, because a dead
 * resolver is no reason to lose a gateway that works. STRICT_DNS uses every address of a name, LOGICAL_DNS the first.
 * Lives here: the loop, and what was answered. Must not live here: choosing (balance.ts), the resolver itself.
 * Source: Envoy, "Service discovery" (strict and logical DNS).
 */
import { isIP } from 'node:net';
import type { Clock, RelayCluster, RelayEndpoint, Resolve } from './ports.ts';

/** Addresses used of one name; more would be a mistake, or somebody else's. */
const addressesPerNameMax = 64;

type Names = Pick<RelayCluster, 'discovery' | 'dnsFamily' | 'dnsRefreshMs' | 'endpoints'>;

export class NameWatch implements Disposable {
  /** The last good answer for each name. */
  readonly answers: Map<string, readonly string[]>;
  readonly #cluster: Names;
  readonly #o: { clock: Clock; resolve: Resolve; use: (endpoints: readonly RelayEndpoint[]) => void };
  #alarm: Disposable | undefined;
  #stopped = false;

  /** Calls `use` at once with what is known, and after every round of look-ups. */
  constructor(
    cluster: Names,
    o: {
      readonly clock: Clock;
      readonly resolve: Resolve;
      readonly use: (endpoints: readonly RelayEndpoint[]) => void;
      readonly known?: ReadonlyMap<string, readonly string[]>;
    },
  ) {
    this.#cluster = cluster;
    this.#o = o;
    const hosts = new Set(cluster.endpoints.map((e) => e.host));
    this.answers = new Map([...(o.known ?? [])].filter(([host]) => hosts.has(host)));
    o.use(this.#endpoints());
    void this.#round(hosts);
  }

  [Symbol.dispose](): void {
    this.#stopped = true;
    this.#alarm?.[Symbol.dispose]();
  }

  async #round(hosts: ReadonlySet<string>): Promise<void> {
    const { clock, resolve, use } = this.#o;
    await Promise.all(
      [...hosts].map(async (host) => {
        if (isIP(host) !== 0) return;
        try {
          const addresses = await resolve(host, this.#cluster.dnsFamily);
          if (addresses.length > 0) this.answers.set(host, addresses.slice(0, addressesPerNameMax));
        } catch {
          // the last good answer stays
        }
      }),
    );
    if (this.#stopped) return;
    use(this.#endpoints());
    this.#alarm = clock.at(clock.now() + this.#cluster.dnsRefreshMs, () => void this.#round(hosts));
  }

  #endpoints(): readonly RelayEndpoint[] {
    return this.#cluster.endpoints.flatMap((endpoint) => {
      if (isIP(endpoint.host) !== 0) return [endpoint];
      const addresses = this.answers.get(endpoint.host) ?? [];
      const used = this.#cluster.discovery === 'LOGICAL_DNS' ? addresses.slice(0, 1) : addresses;
      return used.map((host) => ({ ...endpoint, host }));
    });
  }
}
