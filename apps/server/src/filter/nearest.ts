/**
 * nearest.ts: `near=`: rows of a list ordered by how far their node is from the one that asks.
 *
 * Nodes nobody has measured come last, and rows that are equally far keep their order. A question from another datacenter
 * is not ordered: its coordinates mean nothing here.
 * Source: Consul agent/consul/rtt.go.
 */
import type { Coordinate, ReadStore } from '@fed/fsm';
import { Float, type Value } from '@fed/msgpack';
import { distanceNs } from '@fed/serf';
import { type Args, asArgs, text } from '../rpc/args.ts';
import type { Endpoint } from '../rpc/ask.ts';

export interface NearestOptions {
  readonly datacenter: string;
  readonly store: () => Pick<ReadStore, 'coordinates'>;
}

const nodeOfRow = (row: Args): string => text(row, 'Node');
/** Which list of a reply is ordered, and how the node of a row is found. */
const ordered: Readonly<Record<string, { readonly key: string; readonly node: (row: Args) => string }>> = {
  'Catalog.ListNodes': { key: 'Nodes', node: nodeOfRow },
  'Catalog.ServiceNodes': { key: 'ServiceNodes', node: nodeOfRow },
  'Health.ServiceNodes': { key: 'Nodes', node: (row) => text(asArgs(row['Node'] ?? null), 'Node') },
  'Health.ServiceChecks': { key: 'HealthChecks', node: nodeOfRow },
  'Health.ChecksInState': { key: 'HealthChecks', node: nodeOfRow },
};

export function nearestFirst(
  endpoints: Readonly<Record<string, Endpoint>>,
  o: NearestOptions,
): Readonly<Record<string, Endpoint>> {
  const out: Record<string, Endpoint> = { ...endpoints };
  for (const [method, { key, node }] of Object.entries(ordered)) {
    const endpoint = endpoints[method];
    if (endpoint === undefined) continue;
    out[method] = {
      ...endpoint,
      answer: async (args, context) => {
        const reply = await endpoint.answer(args, context);
        if ((args['Source'] ?? null) === null) return reply;
        const source = asArgs(args['Source'] ?? null);
        const from = text(source, 'Node');
        const rows = asArgs(reply)[key] as readonly Value[] | null;
        if (from === '' || text(source, 'Datacenter') !== o.datacenter || rows === null) return reply;
        const places = o.store().coordinates().rows;
        return { ...asArgs(reply), [key]: byDistance(rows, places, from, (row) => node(asArgs(row))) };
      },
    };
  }
  return out;
}

/** Rows as they were when nobody knows where `from` is. */
export function byDistance<T>(
  rows: readonly T[],
  places: readonly Coordinate[],
  from: string,
  nodeOf: (row: T) => string,
): readonly T[] {
  const byNode = new Map(places.map((place) => [place.Node.toLowerCase(), place.Coord]));
  const origin = byNode.get(from.toLowerCase()) ?? null;
  if (origin === null) return rows;
  const distance = (row: T): number => {
    const place = byNode.get(nodeOf(row).toLowerCase()) ?? null;
    return place === null ? Number.POSITIVE_INFINITY : distanceNs(coordinate(origin), coordinate(place));
  };
  const measured = rows.map((row) => ({ row, far: distance(row) }));
  return measured.sort((a, b) => (a.far === b.far ? 0 : a.far - b.far)).map(({ row }) => row);
}

function coordinate(place: NonNullable<Coordinate['Coord']>) {
  return {
    vec: (place.Vec ?? []).map(plain),
    error: plain(place.Error),
    adjustment: plain(place.Adjustment),
    height: plain(place.Height),
  };
}

function plain(value: number | Float): number {
  return value instanceof Float ? value.value : value;
}
