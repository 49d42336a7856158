/**
 * coordinate.ts: Coordinate.*: how far nodes and datacenters are from each other, as gossip has measured it.
 *
 * Between datacenters the WAN pool's own coordinates are shown as they are now; within ours, what nodes have written into
 * the catalog. Source: Consul agent/consul/coordinate_endpoint.go, agent/router/router.go (GetDatacenterMaps).
 */
import { type Coordinate as CoordinateRow, type Fsm, newCoordinate } from '@fed/fsm';
import { Float, type Value } from '@fed/msgpack';
import { RpcApplicationError } from '@fed/rpc';
import type { Coordinate, SerfMember } from '@fed/serf';
import { readServer } from '../tags.ts';
import { type Args, asArgs, text } from './args.ts';
import type { Endpoint } from './ask.ts';
import { type BlockingOptions, blocking } from './blocking.ts';

export interface CoordinateOptions extends BlockingOptions {
  readonly fsm: Pick<Fsm, 'query' | 'engine' | 'apply'>;
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
    'Coordinate.Update': {
      belongs: 'datacenter',
      answer: async (args) => {
        await o.fsm.apply({ type: 'coordinates', updates: [update(args)] });
        return null;
      },
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

/** Dimensions of the space all coordinates lie in. */
const dimensions = 8;

function update(args: Args): CoordinateRow {
  const Node = text(args, 'Node');
  if (Node === '') throw new RpcApplicationError('Must provide node');
  const { Vec = null, Error: error, Adjustment, Height } = asArgs(args['Coord'] ?? null);
  const numbers = [...(Array.isArray(Vec) ? (Vec as readonly Value[]) : []), error, Adjustment, Height].map(
    number,
  );
  if (numbers.some((n) => !Number.isFinite(n))) throw new RpcApplicationError('invalid coordinate');
  if (numbers.length !== dimensions + 3) throw new RpcApplicationError('incompatible coordinate');
  const [height, adjustment, uncertainty] = [numbers.pop(), numbers.pop(), numbers.pop()] as number[];
  return newCoordinate({
    Node,
    Segment: text(args, 'Segment'),
    Coord: {
      Adjustment: new Float(adjustment as number),
      Error: new Float(uncertainty as number),
      Height: new Float(height as number),
      Vec: numbers.map((n) => new Float(n)),
    },
  });
}

function number(value: Value | undefined): number {
  if (value instanceof Float) return value.value;
  return typeof value === 'number' ? value : Number.NaN;
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
