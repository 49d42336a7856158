/**
 * catalog.ts: Catalog.* and Health.*: what runs where, and how it fares.
 *
 * Source: Consul agent/consul/catalog_endpoint.go, health_endpoint.go.
 */
import {
  type CheckServiceNode,
  type Fsm,
  type NodeRow,
  type ReadStore,
  type Rows,
  serviceNodeOf,
} from '@fed/fsm';
import type { Value } from '@fed/msgpack';
import { RpcApplicationError } from '@fed/rpc';
import { type Args, flag, integer, list, stringMap, text } from './args.ts';
import type { Answer, Endpoint } from './ask.ts';
import { type BlockingOptions, blocking } from './blocking.ts';

export interface CatalogOptions extends BlockingOptions {
  readonly fsm: Pick<Fsm, 'query' | 'engine' | 'apply'>;
  readonly datacenters: () => readonly string[];
}

export function catalogEndpoints(o: CatalogOptions): Readonly<Record<string, Endpoint>> {
  const read =
    (
      run: (
        store: Parameters<Parameters<typeof blocking>[3]>[0],
        args: Args,
      ) => { index: number; reply: { [key: string]: Value } },
    ): Answer =>
    (args, context) =>
      blocking(o, args, context, (store) => {
        refuseFilter(args);
        return run(store, args);
      });
  /** Nothing new, for who has said that he can take that for an answer. */
  const unlessKnown =
    (key: string, run: Parameters<typeof read>[0]): Parameters<typeof read>[0] =>
    (store, args) => {
      const { index, reply } = run(store, args);
      const known = integer(args, 'MinQueryIndex');
      const same = known > 0 && known === index && flag(args, 'AllowNotModifiedResponse');
      return { index, reply: same ? { [key]: null, NotModified: true } : reply };
    };
  const here = (answer: Answer): Endpoint => ({ belongs: 'datacenter', answer });

  return {
    'Catalog.ListDatacenters': { belongs: 'here', answer: () => o.datacenters() },
    'Catalog.ListNodes': here(
      read(
        unlessKnown('Nodes', (store, args) => {
          const { index, rows } = store.nodes();
          return { index, reply: { Nodes: rows.filter((node) => metaMatches(node, args)) } };
        }),
      ),
    ),
    'Catalog.ListServices': here(
      read(
        unlessKnown('Services', (store, args) => {
          const { index, services } = store.services();
          const wanted = Object.keys(stringMap(args, 'NodeMetaFilters')).length > 0;
          if (!wanted) return { index, reply: { Services: Object.fromEntries(services) as Value } };
          const Services: Record<string, readonly string[]> = {};
          for (const name of services.keys()) {
            const rows = store.checkServiceNodes(name).rows.filter((row) => metaMatches(row.Node, args));
            if (rows.length > 0) Services[name] = [...new Set(rows.flatMap((row) => row.Service.Tags ?? []))];
          }
          return { index, reply: { Services } };
        }),
      ),
    ),
    'Catalog.ServiceNodes': here(
      read((store, args) => {
        const name = required(args, 'ServiceName');
        if (flag(args, 'Connect')) {
          const { index, rows } = connectCapable(store, name);
          const flat = rows.filter((row) => hasTags(row.Service.Tags, args)).map(serviceNodeOf);
          return { index, reply: { ServiceNodes: flat } };
        }
        const { index, rows } = store.serviceNodes(name);
        return { index, reply: { ServiceNodes: rows.filter((row) => hasTags(row.ServiceTags, args)) } };
      }),
    ),
    'Catalog.NodeServices': here(
      read((store, args) => {
        const { index, rows, node } = store.nodeServices(required(args, 'Node'));
        if (node === undefined) return { index, reply: { NodeServices: null } };
        const Services = Object.fromEntries(rows.map((row) => [row.ID, row]));
        return { index, reply: { NodeServices: { Node: node, Services } } };
      }),
    ),
    'Catalog.NodeServiceList': here(
      read((store, args) => {
        const { index, rows, node } = store.nodeServices(required(args, 'Node'));
        return { index, reply: { NodeServices: { Node: node ?? null, Services: rows } } };
      }),
    ),
    'Health.ServiceNodes': here(
      read((store, args) => {
        const name = required(args, 'ServiceName');
        const { index, rows } = flag(args, 'Connect')
          ? connectCapable(store, name)
          : store.checkServiceNodes(name);
        return {
          index,
          reply: {
            Nodes: rows.filter((row) => hasTags(row.Service.Tags, args) && metaMatches(row.Node, args)),
          },
        };
      }),
    ),
    'Health.NodeChecks': here(
      read((store, args) => {
        const { index, rows } = store.nodeChecks(required(args, 'Node'));
        return { index, reply: { HealthChecks: rows } };
      }),
    ),
    'Health.ServiceChecks': here(
      read((store, args) => {
        const { index, rows } = store.serviceChecks(required(args, 'ServiceName'));
        return { index, reply: { HealthChecks: rows } };
      }),
    ),
    'Health.ChecksInState': here(
      read((store, args) => {
        const { index, rows } = store.checksInState(required(args, 'State'));
        return { index, reply: { HealthChecks: rows } };
      }),
    ),
  };
}

/** An answer that was not filtered would look like one that was: what cannot be done is refused. */
export function refuseFilter(args: Args): void {
  if (text(args, 'Filter') !== '')
    throw new RpcApplicationError(
      'filter expressions are not supported here: leave out Filter and select from the reply',
    );
}

/** Who takes connections for a service of the mesh: sidecars that stand for it, and instances that speak it themselves. */
function connectCapable(store: ReadStore, name: string): Rows<CheckServiceNode> {
  const wanted = name.toLowerCase();
  const sidecars = store.serviceKind('connect-proxy');
  const named = store.checkServiceNodes(name);
  return {
    index: Math.max(sidecars.index, named.index),
    rows: [
      ...sidecars.rows.filter((row) => row.Service.Proxy.DestinationServiceName.toLowerCase() === wanted),
      ...named.rows.filter((row) => row.Service.Connect.Native),
    ],
  };
}

function required(args: Args, key: string): string {
  const value = text(args, key);
  if (value === '')
    throw new RpcApplicationError(
      `Must provide ${key === 'ServiceName' ? 'service name' : key.toLowerCase()}`,
    );
  return value;
}

function metaMatches(node: NodeRow, args: Args): boolean {
  return Object.entries(stringMap(args, 'NodeMetaFilters')).every(
    ([key, value]) => node.Meta?.[key] === value,
  );
}

function hasTags(tags: readonly string[] | null, args: Args): boolean {
  if (!flag(args, 'TagFilter')) return true;
  const wanted = [
    ...list(args, 'ServiceTags').map(String),
    ...(text(args, 'ServiceTag') === '' ? [] : [text(args, 'ServiceTag')]),
  ];
  return wanted.every((tag) => tags?.some((own) => own.toLowerCase() === tag.toLowerCase()));
}
