/**
 * counters.ts: what the relay counts, under Envoy's names, as Prometheus text.
 *
 * The names and labels are those Envoy's /stats/prometheus gives, so dashboards for Envoy gateways keep working.
 * A family has one label at most; the number of series is bounded by the configuration, because those of clusters that
 * left it are forgotten.
 * Lives here: families, adding, rendering. Must not live here: when something is counted.
 * Sources: Envoy docs, "Statistics" of listeners, TLS inspector, TCP proxy, clusters, cluster manager.
 */

const labelOf = {
  listener: 'envoy_listener_address',
  tcp: 'envoy_tcp_prefix',
  cluster: 'envoy_cluster_name',
  proxy_proto: undefined,
  tls_inspector: undefined,
  cluster_manager: undefined,
  listener_manager: undefined,
  control_plane: undefined,
  server: undefined,
} as const;
type Group = keyof typeof labelOf;

const counters = [
  'listener.downstream_cx_total',
  'listener.downstream_cx_destroy',
  'listener.downstream_cx_overflow',
  'listener.downstream_pre_cx_timeout',
  'listener.downstream_pre_cx_closed',
  'listener.no_filter_chain_match',
  'proxy_proto.versions_v1_found',
  'proxy_proto.versions_v2_found',
  'proxy_proto.versions_error',
  'proxy_proto.not_found_allowed',
  'proxy_proto.not_found_disallowed',
  'tls_inspector.tls_found',
  'tls_inspector.tls_not_found',
  'tls_inspector.sni_found',
  'tls_inspector.sni_not_found',
  'tls_inspector.alpn_found',
  'tls_inspector.alpn_not_found',
  'tls_inspector.client_hello_too_large',
  'tls_inspector.bytes_processed',
  'tcp.downstream_cx_total',
  'tcp.downstream_cx_no_route',
  'tcp.downstream_cx_rx_bytes_total',
  'tcp.downstream_cx_tx_bytes_total',
  'tcp.downstream_flow_control_paused_reading_total',
  'tcp.downstream_flow_control_resumed_reading_total',
  'tcp.idle_timeout',
  'cluster.upstream_cx_total',
  'cluster.upstream_cx_connect_fail',
  'cluster.upstream_cx_connect_timeout',
  'cluster.upstream_cx_connect_attempts_exceeded',
  'cluster.upstream_cx_overflow',
  'cluster.upstream_cx_none_healthy',
  'cluster.upstream_cx_rx_bytes_total',
  'cluster.upstream_cx_tx_bytes_total',
  'cluster.upstream_cx_destroy_local',
  'cluster.upstream_cx_destroy_remote',
  'cluster.upstream_flow_control_paused_reading_total',
  'cluster.upstream_flow_control_resumed_reading_total',
  'cluster.membership_change',
  'cluster.outlier_detection_ejections_enforced_total',
  'cluster_manager.cluster_added',
  'cluster_manager.cluster_modified',
  'cluster_manager.cluster_removed',
  'listener_manager.listener_added',
  'listener_manager.listener_removed',
  'listener_manager.listener_in_place_updated',
  'listener_manager.listener_create_failure',
] as const;
const gauges = [
  'listener.downstream_cx_active',
  'listener.downstream_pre_cx_active',
  'cluster.upstream_cx_active',
  'cluster.membership_total',
  'cluster.membership_healthy',
  'cluster.outlier_detection_ejections_active',
  'cluster.circuit_breakers_default_cx_open',
  'cluster_manager.active_clusters',
  'listener_manager.total_listeners_active',
  'listener_manager.total_listeners_draining',
  'control_plane.connected_state',
  'server.live',
  'server.state',
  'server.uptime',
  'server.total_connections',
] as const;
const summaries = [
  'listener.downstream_cx_length_ms',
  'cluster.upstream_cx_connect_ms',
  'cluster.upstream_cx_length_ms',
] as const;

export type Counter = (typeof counters)[number];
export type Gauge = (typeof gauges)[number];
export type Summary = (typeof summaries)[number];

/** All values, as they can be sent to another process. */
export interface Tally {
  readonly values: readonly Series<Counter | Gauge, number>[];
  readonly summaries: readonly Series<Summary, { readonly sum: number; readonly count: number }>[];
}
type Series<Family, Value> = readonly [Family, readonly (readonly [label: string, value: Value])[]];

/** Of several processes that relay together each counts these by itself, and the same: the sum would be too much. */
const countedByAll =
  /^(cluster_manager|listener_manager|server\.(live|state|uptime)|cluster\.(membership|outlier|circuit))/;
const counterNames: ReadonlySet<string> = new Set(counters);

export class Counters {
  readonly #values = new Map<Counter | Gauge, Map<string, number>>();
  readonly #summaries = new Map<Summary, Map<string, { sum: number; count: number }>>();

  /** `label` is the listener, prefix or cluster for the groups that have one, else ''. */
  add(family: Counter | Gauge, label = '', by = 1): void {
    const series = entry(this.#values, family);
    series.set(label, (series.get(label) ?? 0) + by);
  }

  set(family: Gauge, label: string, value: number): void {
    entry(this.#values, family).set(label, value);
  }

  observe(family: Summary, label: string, value: number): void {
    const series = entry(this.#summaries, family);
    const seen = series.get(label) ?? { sum: 0, count: 0 };
    series.set(label, { sum: seen.sum + value, count: seen.count + 1 });
  }

  get(family: Counter | Gauge, label = ''): number {
    return this.#values.get(family)?.get(label) ?? 0;
  }

  /** Drops the series of a group whose label is not kept. */
  keepOnly(group: Group, labels: ReadonlySet<string>): void {
    for (const [family, series] of [...this.#values, ...this.#summaries]) {
      if (!family.startsWith(`${group}.`)) continue;
      for (const label of series.keys()) if (!labels.has(label)) series.delete(label);
    }
  }

  tally(): Tally {
    return {
      values: [...this.#values].map(([family, series]) => [family, [...series]]),
      summaries: [...this.#summaries].map(([family, series]) => [family, [...series]]),
    };
  }

  /** What several processes have together, and of those that are gone what stays: their counters, not their gauges. */
  static sum(present: readonly Tally[], gone: readonly Tally[] = []): Counters {
    const all = new Counters();
    for (const [tallies, isGone] of [
      [present, false],
      [gone, true],
    ] as const)
      for (const { values, summaries } of tallies) {
        for (const [family, series] of values)
          if (!isGone || counterNames.has(family))
            for (const [label, value] of series) all.#join(family, label, value);
        for (const [family, series] of summaries)
          for (const [label, { sum, count }] of series) all.#joinSummary(family, label, sum, count);
      }
    return all;
  }

  #join(family: Counter | Gauge, label: string, value: number): void {
    const series = entry(this.#values, family);
    const before = series.get(label) ?? 0;
    series.set(label, countedByAll.test(family) ? Math.max(before, value) : before + value);
  }

  #joinSummary(family: Summary, label: string, sum: number, count: number): void {
    const series = entry(this.#summaries, family);
    const before = series.get(label) ?? { sum: 0, count: 0 };
    series.set(label, { sum: before.sum + sum, count: before.count + count });
  }

  /** Prometheus text format 0.0.4. */
  text(): string {
    const lines: string[] = [];
    const emit = (type: 'counter' | 'gauge', family: Counter | Gauge): void => {
      const series = this.#values.get(family);
      if (series === undefined || series.size === 0) return;
      lines.push(`# TYPE ${nameOf(family)} ${type}`);
      for (const [label, value] of series)
        lines.push(`${nameOf(family)}${labelText(family, label)} ${value}`);
    };
    for (const family of counters) emit('counter', family);
    for (const family of gauges) emit('gauge', family);
    for (const family of summaries) {
      const series = this.#summaries.get(family);
      if (series === undefined || series.size === 0) continue;
      lines.push(`# TYPE ${nameOf(family)} summary`);
      for (const [label, { sum, count }] of series) {
        const labels = labelText(family, label);
        lines.push(`${nameOf(family)}_sum${labels} ${sum}`, `${nameOf(family)}_count${labels} ${count}`);
      }
    }
    return `${lines.join('\n')}\n`;
  }
}

function entry<K, V>(families: Map<K, Map<string, V>>, family: K): Map<string, V> {
  const known = families.get(family);
  if (known) return known;
  const series = new Map<string, V>();
  families.set(family, series);
  return series;
}

const nameOf = (family: string): string => `envoy_${family.replace('.', '_')}`;

function labelText(family: string, value: string): string {
  const label = labelOf[family.slice(0, family.indexOf('.')) as Group];
  if (label === undefined) return '';
  const escaped = value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
  return `{${label}="${escaped}"}`;
}
