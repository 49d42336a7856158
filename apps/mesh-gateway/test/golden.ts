/** golden.ts: a golden file's Envoy resources as a relay configuration, read straight from their canonical JSON. */
import { readFileSync } from 'node:fs';
import type { RelayChain, RelayCluster, RelayConfig } from '../src/relay/ports.ts';

interface Golden {
  clusters: { name: string; connectTimeout: string }[];
  endpoints: {
    clusterName: string;
    endpoints?: {
      lbEndpoints?: {
        endpoint: { address: { socketAddress: { address: string; portValue: number } } };
        healthStatus?: string;
        loadBalancingWeight?: number;
      }[];
    }[];
  }[];
  listeners: {
    name: string;
    address: { socketAddress: { address: string; portValue: number } };
    filterChains: {
      filterChainMatch?: { serverNames: string[] };
      filters: { name: string; typedConfig: { cluster?: string; statPrefix?: string } }[];
    }[];
  }[];
}

export const vector = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`./vectors/${name}`, import.meta.url), 'utf8'));

export function goldenConfig(name: string): RelayConfig {
  const golden = vector(name) as Golden;
  const endpointsOf = (cluster: string) =>
    (golden.endpoints.find((e) => e.clusterName === cluster)?.endpoints ?? [])
      .flatMap((locality) => locality.lbEndpoints ?? [])
      .map(({ endpoint, healthStatus, loadBalancingWeight }) => ({
        host: endpoint.address.socketAddress.address,
        port: endpoint.address.socketAddress.portValue,
        weight: loadBalancingWeight ?? 1,
        healthy: healthStatus !== 'UNHEALTHY',
        priority: 0,
      }));
  return {
    listeners: golden.listeners.map((l) => ({
      name: l.name,
      bind: { host: l.address.socketAddress.address, port: l.address.socketAddress.portValue },
      helloTimeoutMs: 15_000,
      chains: l.filterChains.map((chain): RelayChain => {
        const proxy = chain.filters.find((f) => f.name.endsWith('tcp_proxy'))?.typedConfig;
        return {
          serverNames: chain.filterChainMatch?.serverNames ?? [],
          cluster: proxy?.cluster || 'sni',
          statPrefix: proxy?.statPrefix ?? '',
          connectAttemptsMax: 1,
          idleTimeoutMs: 3_600_000,
        };
      }),
    })),
    clusters: new Map(
      golden.clusters.map((c): [string, RelayCluster] => [
        c.name,
        cluster({
          connectTimeoutMs: Number.parseFloat(c.connectTimeout) * 1000,
          endpoints: endpointsOf(c.name),
        }),
      ]),
    ),
  };
}

/** A cluster as our own server configures it, but for what is given. */
export const cluster = (o: Partial<RelayCluster>): RelayCluster => ({
  connectTimeoutMs: 5_000,
  discovery: 'EDS',
  endpoints: [],
  dnsFamily: 4,
  dnsRefreshMs: 10_000,
  maxConnections: 1_024,
  panicPercent: 1,
  ejectionPercentMax: 50,
  ...o,
});
