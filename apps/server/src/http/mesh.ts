/**
 * mesh.ts: the endpoints about the mesh as a whole: its certificate roots, and how far its parts are from each other.
 *
 * Source: Consul agent/connect_ca_endpoint.go, agent/coordinate_endpoint.go; structs.CARoot for the order of fields.
 */
import type { CaRoot, Coordinate } from '@fed/fsm';
import { Float, goTimeToRfc3339, type Value } from '@fed/msgpack';
import { decode, type Fields } from '../agent/decode.ts';
import type { Args } from '../rpc/args.ts';
import { type AskingOptions, asking } from './asking.ts';
import { get, put, reading } from './parameters.ts';
import type { HttpReply, HttpRequest, HttpRoute } from './server.ts';

interface DatacenterMap {
  readonly AreaID: string;
  readonly Coordinates: readonly Coordinate[] | null;
  readonly Datacenter: string;
}

export function meshRoutes(o: AskingOptions): readonly HttpRoute[] {
  const { call, read } = asking(o);
  const roots = async (request: HttpRequest): Promise<HttpReply> => {
    const { value, meta } = await read(request, 'ConnectCA.Roots');
    return {
      go: {
        ActiveRootID: value['ActiveRootID'] as string,
        TrustDomain: value['TrustDomain'] as string,
        Roots: (value['Roots'] as unknown as readonly CaRoot[]).map(rootJson),
      },
      meta,
    };
  };
  const coordinates = async (request: HttpRequest, method: string, extra?: Args): Promise<HttpReply> => {
    const { value, meta } = await read(request, method, extra);
    const found = value['Coordinates'] as readonly Coordinate[] | null;
    // Of a node nobody has measured the original says that it is not there.
    if (extra !== undefined && (found ?? []).length === 0) return { status: 404, text: '', meta };
    return { json: coordinatesJson(found), meta };
  };

  return [
    get('/v1/connect/ca/roots', roots),
    get('/v1/agent/connect/ca/roots', roots),
    get('/v1/coordinate/datacenters', async (request) => {
      const answer = await call(request, 'Coordinate.ListDatacenters');
      const maps = answer as unknown as readonly DatacenterMap[];
      return {
        json: maps.map(({ Datacenter, AreaID, Coordinates }) => ({
          Datacenter,
          AreaID,
          Coordinates: coordinatesJson(Coordinates),
        })),
      };
    }),
    put('/v1/coordinate/update', async (request) => {
      const sent = await request.json();
      const { Coord, ...update } = reading(() => decode(sent, updateFields));
      // What is left out is 0, as in Go; Vec must be there.
      const Zero = { Error: 0, Adjustment: 0, Height: 0 };
      await o.ask(
        'Coordinate.Update',
        {
          Datacenter: request.query.get('dc') ?? o.datacenter,
          ...update,
          Coord: { ...Zero, ...(Coord as { readonly [key: string]: Value } | undefined) },
          Token: request.token,
        },
        { signal: request.signal },
      );
      return { text: '' };
    }),
    get('/v1/coordinate/nodes', (request) => coordinates(request, 'Coordinate.ListNodes')),
    get('/v1/coordinate/node/:name', (request) =>
      coordinates(request, 'Coordinate.Node', { Node: request.params['name'] ?? '' }),
    ),
  ];
}

const updateFields = {
  Datacenter: 'text',
  Node: 'text',
  Segment: 'text',
  Partition: 'text',
  Coord: { struct: { Vec: { list: 'any' }, Error: 'any', Adjustment: 'any', Height: 'any' } },
} as const satisfies Fields;

function rootJson(root: CaRoot) {
  return {
    ID: root.ID,
    Name: root.Name,
    SerialNumber: root.SerialNumber,
    SigningKeyID: root.SigningKeyID,
    ExternalTrustDomain: root.ExternalTrustDomain,
    NotBefore: goTimeToRfc3339(root.NotBefore),
    NotAfter: goTimeToRfc3339(root.NotAfter),
    RootCert: root.RootCert,
    IntermediateCerts: root.IntermediateCerts,
    Active: root.Active,
    PrivateKeyType: root.PrivateKeyType,
    PrivateKeyBits: root.PrivateKeyBits,
    CreateIndex: root.CreateIndex,
    ModifyIndex: root.ModifyIndex,
  };
}

function coordinatesJson(rows: readonly Coordinate[] | null): unknown {
  return (rows ?? []).map(({ Node, Segment, Coord }) => ({
    Node,
    Segment,
    Coord: Coord && {
      Vec: (Coord.Vec ?? []).map(plain),
      Error: plain(Coord.Error),
      Adjustment: plain(Coord.Adjustment),
      Height: plain(Coord.Height),
    },
  }));
}

function plain(value: number | Float): number {
  return value instanceof Float ? value.value : value;
}
