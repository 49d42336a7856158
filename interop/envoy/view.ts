/**
 * view.ts: what a running Envoy says of itself on its admin port.
 *
 * Lives here: asking, and its answers in our words. Must not live here: what a test expects.
 * Source: Envoy docs, "Administration interface".
 */
/** Resources as JSON, by name. */
export type Dumped = ReadonlyMap<string, unknown>;

export interface Dump {
  readonly clusters: Dumped;
  readonly endpoints: Dumped;
  readonly listeners: Dumped;
  /** What Envoy refused, in its words. */
  readonly errors: readonly string[];
}

interface DumpedConfig {
  readonly '@type': string;
  readonly dynamic_active_clusters?: readonly { readonly cluster: { readonly name: string } }[];
  readonly dynamic_endpoint_configs?: readonly {
    readonly endpoint_config: { readonly cluster_name: string };
  }[];
  readonly dynamic_listeners?: readonly {
    readonly name: string;
    readonly active_state?: { readonly listener: unknown };
    readonly error_state?: { readonly details: string };
  }[];
}

export class EnvoyView {
  readonly #url: string;

  constructor(adminUrl: string) {
    this.#url = adminUrl;
  }

  async dump(): Promise<Dump> {
    const { configs } = (await this.#json('/config_dump?include_eds')) as {
      configs: readonly DumpedConfig[];
    };
    const clusters = configs.flatMap((c) => c.dynamic_active_clusters ?? []);
    const endpoints = configs.flatMap((c) => c.dynamic_endpoint_configs ?? []);
    const listeners = configs.flatMap((c) => c.dynamic_listeners ?? []);
    return {
      clusters: new Map(clusters.map(({ cluster }) => [cluster.name, camelCased(cluster)])),
      endpoints: new Map(endpoints.map(({ endpoint_config: e }) => [e.cluster_name, camelCased(e)])),
      listeners: new Map(
        listeners.flatMap(({ name, active_state: s }) => (s ? [[name, camelCased(s.listener)]] : [])),
      ),
      errors: listeners.flatMap((l) => (l.error_state ? [l.error_state.details] : [])),
    };
  }

  /** Counters and gauges whose whole name the pattern matches. */
  async stats(pattern: string): Promise<Readonly<Record<string, number>>> {
    const text = await this.#text(`/stats?filter=${encodeURIComponent(`^(${pattern})$`)}`);
    return Object.fromEntries(
      [...text.matchAll(/^(.*): (\d+)$/gm)].map(([, name, value]) => [name, Number(value)]),
    );
  }

  /** The sum of `stats`. */
  async count(pattern: string): Promise<number> {
    return Object.values(await this.stats(pattern)).reduce((sum, n) => sum + n, 0);
  }

  /** Responses of our server that it refused, wholly or in part, since it started. */
  async refusals(): Promise<number> {
    return await this.count('.*update_rejected');
  }

  /** Addresses of a cluster's endpoints. */
  async endpoints(cluster: string): Promise<readonly string[]> {
    const { cluster_statuses: all = [] } = (await this.#json('/clusters?format=json')) as {
      cluster_statuses?: readonly {
        name: string;
        host_statuses?: readonly { address: { socket_address: { address: string; port_value: number } } }[];
      }[];
    };
    const hosts = all.find((c) => c.name === cluster)?.host_statuses ?? [];
    return hosts.map(({ address: { socket_address: a } }) => `${a.address}:${a.port_value}`);
  }

  async ready(): Promise<boolean> {
    try {
      return (await fetch(`${this.#url}/ready`)).ok;
    } catch {
      return false;
    }
  }

  async commandLine(): Promise<{ readonly configPath: string }> {
    const info = (await this.#json('/server_info')) as { command_line_options: { config_path: string } };
    return { configPath: info.command_line_options.config_path };
  }

  async #json(path: string): Promise<unknown> {
    return JSON.parse(await this.#text(path));
  }

  async #text(path: string): Promise<string> {
    const response = await fetch(this.#url + path);
    if (!response.ok) throw new Error(`Envoy: ${path}: ${response.status}`);
    return await response.text();
  }
}

/** Envoy dumps fields in snake case; canonical JSON has them in camel case. Values stay. */
function camelCased(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(camelCased);
  if (typeof value !== 'object' || value === null) return value;
  const camel = (key: string): string =>
    key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [camel(key), camelCased(inner)]));
}
