/**
 * resolver.ts: what of a service-resolver a gateway can heed: subsets, the default among them, connect timeout, balancing.
 *
 * Redirects and failover are decided by who calls, before a gateway sees the name asked for. An entry may come from a newer
 * primary, so what has not the form we know is passed over, not an error: the gateway has everything else to do, too.
 * Source: Consul agent/xds/clusters.go (makeGatewayServiceClusters; v1.10.1).
 */
import type { ConfigEntry } from '@fed/fsm';
import type { Value } from '@fed/msgpack';
import type { Resolver, Subset } from '@fed/xds';

const nanosPerMs = 1e6;

export function resolverOf({ value }: ConfigEntry): Resolver {
  const connectTimeoutMs = Math.round(number(value['ConnectTimeout']) / nanosPerMs);
  const defaultSubset = text(value['DefaultSubset']);
  const lbPolicy = text(fields(value['LoadBalancer'])['Policy']);
  const subsets = Object.entries(fields(value['Subsets'])).map(([name, rule]) => [
    name,
    subsetOf(fields(rule)),
  ]);
  return {
    ...(connectTimeoutMs > 0 ? { connectTimeoutMs } : {}),
    ...(defaultSubset === '' ? {} : { defaultSubset }),
    ...(lbPolicy === '' ? {} : { lbPolicy }),
    ...(subsets.length === 0 ? {} : { subsets: Object.fromEntries(subsets) as Resolver['subsets'] & object }),
  };
}

function subsetOf(rule: Fields): Subset {
  return { filter: text(rule['Filter']), onlyPassing: rule['OnlyPassing'] === true };
}

type Fields = { readonly [key: string]: Value };

function fields(value: Value | undefined): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array)
    return {};
  return value as Fields;
}

const text = (value: Value | undefined): string => (typeof value === 'string' ? value : '');
const number = (value: Value | undefined): number =>
  typeof value === 'number' || typeof value === 'bigint' ? Number(value) : 0;
