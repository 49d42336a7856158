/**
 * coordinate.ts: Coordinate.*: how far nodes and datacenters are from each other, as gossip has measured it.
 *
 * Between datacenters the WAN pool's own coordinates are shown as they are now; within ours, what nodes have written into
 * the catalog. Source: Consul agent/consul/coordinate_endpoint.go, agent/router/router.go (GetDatacenterMaps).
 */
import type { Coordinate as CoordinateRow } from '@fed/fsm';
import { Float, type Value } from '@fed/msgpack';
import type { Coordinate, SerfMember } from '@fed/serf';
import { readServer } from '../tags.ts';
import { text } from './args.ts';
import type { Endpoint } from './ask.ts';
import { type BlockingOptions, blocking } from './blocking.ts';

export interface CoordinateOptions extends BlockingOptions {
  readonly wan: () => {
    members(): readonly SerfMember[];
    coordinate(name: string): Coordinate | undefined;
  };
}

/** What the original calls its WAN pool among others an enterprise may have. */
const areaId = 'wan';

export function coordinateEndpoints(o: CoordinateOptions): Readonly<Record<string, Endpoint>> {
  return {
    'Coordinate.ListDatacenters': { belongs: 'here', answer: () => datacenterMaps(o.wan()) },
    'Coordinate.ListNodes': {
      belongs: 'datacenter',
      answer: (args, context) =>
        blocking(o, args, context, (store) => {
          const { index, rows } = store.coordinates();
          return { index, reply: { Coordinates: rows } };
        }),
    },
    'Coordinate.Node': {
      belongs: 'datacenter',
      answer: (args, context) =>
        blocking(o, args, context, (store) => {
          const { index, rows } = store.coordinates();
          const node = text(args, 'Node').toLowerCase();
          return { index, reply: { Coordinates: rows.filter((row) => row.Node.toLowerCase() === node) } };
        }),
    },
  };
}

function datacenterMaps(wan: ReturnType<CoordinateOptions['wan']>): Value {
  const byDatacenter = new Map<string, Value[]>();
  for (const member of wan.members()) {
    const server = readServer(member);
    const coordinate = wan.coordinate(member.name);
    if (typeof server === 'string' || member.status === 'left' || coordinate === undefined) continue;
    const known = byDatacenter.get(server.datacenter) ?? [];
    known.push({ Coord: onTheWire(coordinate), Node: member.name, Segment: '' });
    byDatacenter.set(server.datacenter, known);
  }
  return [...byDatacenter].map(([Datacenter, Coordinates]) => ({ AreaID: areaId, Coordinates, Datacenter }));
}

/** A place that happens to be a whole number is a float all the same. */
function onTheWire({ adjustment, error, height, vec }: Coordinate): NonNullable<CoordinateRow['Coord']> {
  return {
    Adjustment: new Float(adjustment),
    Error: new Float(error),
    Height: new Float(height),
    Vec: vec.map((n) => new Float(n)),
  };
}
