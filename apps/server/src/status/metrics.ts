/**
 * metrics.ts: what this server counts and times, under the original's names where it has them.
 *
 * A counter only grows; a sample is a duration in ms, of which number, sum and extremes are kept. Levels that can be read
 * off a room at any moment are not kept here: views.ts asks for them. Labels come from peers, so series are bounded.
 * Lives here: keeping and rendering. Must not live here: when something is counted (observed.ts).
 * Sources: Consul agent/metrics (names), armon/go-metrics (JSON of /v1/agent/metrics).
 */

export type Labels = Readonly<Record<string, string>>;

export interface Metric {
  /** In parts joined by dots, without the prefix. */
  readonly name: string;
  readonly labels?: Labels;
  /** Of a gauge its level, of a counter how far it has come; of a sample the sum. */
  readonly value: number;
  /** Default: gauge. */
  readonly kind?: 'gauge' | 'counter' | 'sample';
  /** Of a sample only. */
  readonly count?: number;
  readonly min?: number;
  readonly max?: number;
}

/** Series kept; whatever would be one more is counted under `overflow` instead. */
const seriesMax = 4096;

interface Sample {
  count: number;
  sum: number;
  min: number;
  max: number;
}

interface Series<T> {
  readonly name: string;
  readonly labels: Labels | undefined;
  readonly kept: T;
}

export class Metrics {
  readonly #counters = new Map<string, Series<{ value: number }>>();
  readonly #samples = new Map<string, Series<Sample>>();
  #overflow = 0;

  count(name: string, labels?: Labels, by = 1): void {
    const series = this.#series(this.#counters, name, labels, () => ({ value: 0 }));
    if (series) series.value += by;
  }

  sample(name: string, ms: number, labels?: Labels): void {
    const fresh = (): Sample => ({ count: 0, sum: 0, min: Infinity, max: -Infinity });
    const series = this.#series(this.#samples, name, labels, fresh);
    if (!series) return;
    series.count++;
    series.sum += ms;
    series.min = Math.min(series.min, ms);
    series.max = Math.max(series.max, ms);
  }

  read(): readonly Metric[] {
    const named = ({ name, labels }: Series<unknown>) => ({ name, ...(labels && { labels }) });
    return [
      ...[...this.#counters.values()].map((s) => ({
        ...named(s),
        kind: 'counter' as const,
        value: s.kept.value,
      })),
      ...[...this.#samples.values()].map((s) => {
        const { count, sum, min, max } = s.kept;
        return { ...named(s), kind: 'sample' as const, value: sum, count, min, max };
      }),
      { name: 'metrics.overflow', kind: 'counter' as const, value: this.#overflow },
    ];
  }

  #series<T>(
    all: Map<string, Series<T>>,
    name: string,
    labels: Labels | undefined,
    fresh: () => T,
  ): T | undefined {
    const key = labels === undefined ? name : keyOf(name, labels);
    const known = all.get(key);
    if (known) return known.kept;
    if (this.#counters.size + this.#samples.size >= seriesMax) {
      this.#overflow++;
      return undefined;
    }
    const kept = fresh();
    all.set(key, { name, labels, kept });
    return kept;
  }
}

/** As the original's /v1/agent/metrics shows them; rates and deviations, which it takes over ten seconds, are left out. */
export function metricsJson(metrics: readonly Metric[], o: { prefix: string; wallMs: number }): unknown {
  const kind = (m: Metric): string => m.kind ?? 'gauge';
  const named = ({ name, labels }: Metric) => ({ Name: `${o.prefix}.${name}`, Labels: labels ?? {} });
  return {
    Timestamp: `${new Date(o.wallMs).toISOString().slice(0, 19).replace('T', ' ')} +0000 UTC`,
    Gauges: metrics.filter((m) => kind(m) === 'gauge').map((m) => ({ ...named(m), Value: m.value })),
    Points: [],
    Counters: metrics
      .filter((m) => kind(m) === 'counter')
      .map((m) => ({ ...named(m), Count: m.value, Sum: m.value })),
    Samples: metrics
      .filter((m) => kind(m) === 'sample')
      .map((m) => ({
        ...named(m),
        Count: m.count ?? 0,
        Sum: m.value,
        Min: m.min ?? 0,
        Max: m.max ?? 0,
        Mean: m.value / Math.max(1, m.count ?? 0),
      })),
  };
}

/** Prometheus' text format. Dots and dashes become underscores, as in the original's sink. */
export function prometheusText(metrics: readonly Metric[], prefix: string): string {
  const families = new Map<string, Metric[]>();
  for (const metric of metrics) {
    const family = `${prefix}.${metric.name}`.replace(/[^a-zA-Z0-9_:]/g, '_');
    families.set(family, [...(families.get(family) ?? []), metric]);
  }
  const lines: string[] = [];
  for (const [family, all] of families) {
    const kind = all[0]?.kind ?? 'gauge';
    lines.push(`# TYPE ${family} ${kind === 'sample' ? 'summary' : kind}`);
    for (const metric of all) {
      const labels = labelText(metric.labels);
      if (kind !== 'sample') lines.push(`${family}${labels} ${metric.value}`);
      else
        lines.push(`${family}_sum${labels} ${metric.value}`, `${family}_count${labels} ${metric.count ?? 0}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

/** Values may be anything a peer calls itself. */
function labelText(labels: Labels | undefined): string {
  const escaped = (value: string): string =>
    value.replace(/[\\"]/g, (character) => `\\${character}`).replaceAll('\n', '\\n');
  const pairs = Object.entries(labels ?? {}).map(
    ([key, value]) => `${key.replace(/[^a-zA-Z0-9_]/g, '_')}="${escaped(value)}"`,
  );
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

/** Unlike for unlike labels, whatever their values are: each is told with its length. Counted for every call: no JSON. */
function keyOf(name: string, labels: Labels): string {
  let key = name;
  for (const label in labels) {
    const value = labels[label] ?? '';
    key += ` ${label}=${value.length}:${value}`;
  }
  return key;
}
