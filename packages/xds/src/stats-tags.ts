/**
 * stats-tags.ts: labels for Envoy's statistics: fixed ones for the gateway, and expressions that take names apart.
 *
 * `cluster.v2.web.default.dc1.internal.<TD>.upstream_cx_total` becomes a counter `cluster.upstream_cx_total` with the
 * parts as labels. In such an expression group 1 is what is cut out of the name and group 2 is the label's value.
 * Server clusters (`server.<dc>.<domain>`) are not taken apart: they stay whole under Envoy's own cluster label.
 * Lives here: those labels. Must not live here: the rest of the bootstrap.
 * Source: Consul command/connect/envoy/bootstrap_config.go (tag names and the form of cluster names).
 */
import type { JsonObject } from './wire/json.ts';

export interface StatsLabels {
  readonly cluster: string;
  readonly datacenter?: string;
}

const label = '[^.]+';
/** `[hash~][subset.]service.namespace.datacenter.routing.<uuid>.consul` */
const parts = [
  ['custom_hash', `(?:(${label})~)?`],
  ['service_subset', `(?:(${label})\\.)?`],
  ['service', `(${label})\\.`],
  ['namespace', `(${label})\\.`],
  ['datacenter', `(${label})\\.`],
  ['routing_type', `(internal|external)\\.`],
  ['trust_domain', `(${label})\\.consul\\.`],
] as const;

/** A user's tag of the same name wins over a fixed one. */
export function statsTags(
  labels: StatsLabels,
  own: readonly (readonly [name: string, value: string])[],
): readonly JsonObject[] {
  const fixed: readonly (readonly [string, string])[] = [
    ['local_cluster', labels.cluster],
    ['consul.source.service', labels.cluster],
    ['consul.source.namespace', 'default'],
    ['consul.source.partition', 'default'],
    ['consul.source.datacenter', labels.datacenter ?? ''],
  ];
  const taken = new Set(own.map(([name]) => name));
  const values = [...own, ...fixed.filter(([name, value]) => value !== '' && !taken.has(name))];
  return [
    ...parts.map(([name], i) => ({ tag_name: `consul.destination.${name}`, regex: pattern(i) })),
    ...values.map(([tag_name, fixed_value]) => ({ tag_name, fixed_value })),
  ];
}

/** Every part matches; only the one asked for is group 2, the others do not capture. */
function pattern(chosen: number): string {
  const inner = parts.map(([, part], i) => (i === chosen ? part : part.replace(/\((?!\?)/g, '(?:'))).join('');
  return `^cluster\\.(${inner})`;
}
