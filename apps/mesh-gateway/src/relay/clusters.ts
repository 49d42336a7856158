/**
 * clusters.ts: the clusters of the present configuration, with what was learned about their endpoints.
 *
 * A cluster that stays keeps its balancer, so a push of endpoints forgets neither turns nor ejections. Names are looked
 * up in lower case, as server names are. A connection keeps the cluster it was routed to, even one that has left.
 * Lives here: the table and its only writer. Must not live here: connecting.
 */
import { Balancer } from './balance.ts';
import type { Counters } from './counters.ts';
import { NameWatch } from './name-watch.ts';
import type { Clock, RelayCluster, RelayEndpoint, Resolve, Rng } from './ports.ts';

/** What clusters ask of the world. */
export interface ClusterPorts {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly resolve: Resolve;
}

export class Cluster implements Disposable {
  readonly name: string;
  readonly balancer: Balancer;
  /** Connecting and open ones. */
  active = 0;
  #config: RelayCluster;
  #names: NameWatch | undefined;
  readonly #ports: ClusterPorts;

  constructor(name: string, config: RelayCluster, ports: ClusterPorts) {
    this.name = name;
    this.#config = config;
    this.#ports = ports;
    this.balancer = new Balancer([], ports.rng, config);
    this.#discover();
  }

  get config(): RelayCluster {
    return this.#config;
  }

  /** What changed, if anything. */
  update(config: RelayCluster): { readonly endpoints: boolean; readonly rest: boolean } {
    const old = this.#config;
    const endpoints = !same(old.endpoints, config.endpoints);
    const rest = !same({ ...old, endpoints: [] }, { ...config, endpoints: [] });
    if (!endpoints && !rest) return { endpoints, rest };
    this.#config = config;
    this.balancer.policy = config;
    this.#discover();
    return { endpoints, rest };
  }

  [Symbol.dispose](): void {
    this.#names?.[Symbol.dispose]();
  }

  /** Addresses are taken as they are; host names are looked up from now on, until the next configuration. */
  #discover(): void {
    const known = this.#names?.answers;
    this.#names?.[Symbol.dispose]();
    this.#names = undefined;
    const use = (endpoints: readonly RelayEndpoint[]): void => this.balancer.update(endpoints);
    const { discovery } = this.#config;
    if (discovery === 'EDS' || discovery === 'STATIC') use(this.#config.endpoints);
    else this.#names = new NameWatch(this.#config, { ...this.#ports, use, ...(known && { known }) });
  }
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

export class Clusters implements Disposable {
  readonly #byName = new Map<string, Cluster>();
  readonly #ports: ClusterPorts;
  readonly #counters: Counters;

  constructor(ports: ClusterPorts, counters: Counters) {
    this.#ports = ports;
    this.#counters = counters;
  }

  /** `name` in lower case. */
  get(name: string): Cluster | undefined {
    return this.#byName.get(name);
  }

  apply(next: ReadonlyMap<string, RelayCluster>): void {
    const names = new Set<string>();
    for (const [given, config] of next) {
      const name = given.toLowerCase();
      if (names.has(name)) continue; // two that differ in letter case only: the first stays, a server name cannot tell
      names.add(name);
      const known = this.#byName.get(name);
      if (known === undefined) {
        this.#byName.set(name, new Cluster(name, config, this.#ports));
        this.#counters.add('cluster_manager.cluster_added');
        this.#counters.add('cluster.membership_change', name);
        continue;
      }
      const changed = known.update(config);
      if (changed.endpoints) this.#counters.add('cluster.membership_change', name);
      if (changed.rest) this.#counters.add('cluster_manager.cluster_modified');
    }
    for (const [name, cluster] of this.#byName) {
      if (names.has(name)) continue;
      cluster[Symbol.dispose]();
      this.#byName.delete(name);
      this.#counters.add('cluster_manager.cluster_removed');
    }
    this.#counters.keepOnly('cluster', names);
  }

  [Symbol.dispose](): void {
    for (const cluster of this.#byName.values()) cluster[Symbol.dispose]();
  }

  /** Brings the gauges up to date, before they are read. */
  measure(now: number): void {
    this.#counters.set('cluster_manager.active_clusters', '', this.#byName.size);
    for (const { name, balancer, active, config } of this.#byName.values()) {
      this.#counters.set('cluster.membership_total', name, balancer.size);
      this.#counters.set('cluster.membership_healthy', name, balancer.healthy(now));
      this.#counters.set('cluster.outlier_detection_ejections_active', name, balancer.ejected(now));
      this.#counters.set('cluster.upstream_cx_active', name, active);
      this.#counters.set(
        'cluster.circuit_breakers_default_cx_open',
        name,
        active >= config.maxConnections ? 1 : 0,
      );
    }
  }
}
