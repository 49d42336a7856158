/**
 * reads.ts: the catalog, health, status and federation-state endpoints: one RPC each, rendered as the original's JSON.
 *
 * Because every read is an RPC through `ask`, `?dc=` works on all of them alike.
 * Source: Consul agent/catalog_endpoint.go, health_endpoint.go, status_endpoint.go, federation_state_endpoint.go.
 */
import {
  type CheckRow,
  type CheckServiceNode,
  checkJson,
  checkServiceNodeJson,
  type FederationState,
  federationStateJson,
  type JsonValue,
  type NodeRow,
  nodeJson,
  type ServiceNodeRow,
  type ServiceRow,
  serviceJson,
  serviceNodeJson,
} from '@fed/fsm';
import type { Value } from '@fed/msgpack';
import type { Ask } from '../rpc/ask.ts';
import {
  HttpError,
  type HttpReply,
  type HttpRequest,
  type HttpRoute,
  type QueryMeta,
  queryOptions,
} from './server.ts';

/** Catalog and health show a nil list as []; federation states show what they hold. */
const emptyLists = { emptyLists: true };

interface Reply {
  readonly value: { readonly [key: string]: Value };
  readonly meta: QueryMeta;
}

export function readRoutes(o: { readonly datacenter: string; readonly ask: Ask }): readonly HttpRoute[] {
  const call = (
    request: HttpRequest,
    method: string,
    extra: { readonly [key: string]: Value } = {},
  ): Promise<Value> => {
    const options = queryOptions(request.query);
    return o.ask(
      method,
      {
        Datacenter: request.query.get('dc') ?? o.datacenter,
        AllowStale: options.stale,
        RequireConsistent: options.consistent,
        MinQueryIndex: options.minIndex,
        MaxQueryTime: options.waitMs * 1e6,
        NodeMetaFilters: nodeMeta(request.query),
        ...extra,
      },
      { signal: request.signal },
    );
  };
  const read = async (
    request: HttpRequest,
    method: string,
    extra?: { readonly [key: string]: Value },
  ): Promise<Reply> => {
    const value = (await call(request, method, extra)) as Reply['value'];
    const meta = {
      index: Number(value['Index'] ?? 1),
      knownLeader: value['KnownLeader'] === true,
      lastContactMs: Number(value['LastContact'] ?? 0) / 1e6,
    };
    return { value, meta };
  };
  const get = (path: string, handle: (request: HttpRequest) => Promise<HttpReply>): HttpRoute => ({
    method: 'GET',
    path,
    handle,
  });

  return [
    get('/v1/status/leader', async (request) => ({ json: await call(request, 'Status.Leader') })),
    get('/v1/status/peers', async (request) => ({ json: await call(request, 'Status.Peers') })),

    get('/v1/catalog/datacenters', async (request) => ({
      json: await call(request, 'Catalog.ListDatacenters'),
    })),
    get('/v1/catalog/nodes', async (request) => {
      const { value, meta } = await read(request, 'Catalog.ListNodes');
      return { go: rows<NodeRow>(value['Nodes']).map((row) => nodeJson(row)), meta };
    }),
    get('/v1/catalog/services', async (request) => {
      const { value, meta } = await read(request, 'Catalog.ListServices');
      return { go: value['Services'] as JsonValue, meta };
    }),
    get('/v1/catalog/service/:name', async (request) => {
      const { value, meta } = await read(request, 'Catalog.ServiceNodes', {
        ServiceName: name(request),
        ...tagFilter(request),
      });
      return {
        go: rows<ServiceNodeRow>(value['ServiceNodes']).map((row) => serviceNodeJson(row, emptyLists)),
        meta,
      };
    }),
    get('/v1/catalog/node/:name', async (request) => {
      const { value, meta } = await read(request, 'Catalog.NodeServices', { Node: name(request) });
      const found = value['NodeServices'] as { Node: NodeRow; Services: Record<string, ServiceRow> } | null;
      if (found === null) return { go: null, meta };
      const Services = Object.fromEntries(
        Object.entries(found.Services).map(([id, row]) => [id, serviceJson(row, emptyLists)]),
      );
      return { go: { Node: nodeJson(found.Node), Services }, meta };
    }),

    get('/v1/health/service/:name', async (request) => {
      const { value, meta } = await read(request, 'Health.ServiceNodes', {
        ServiceName: name(request),
        ...tagFilter(request),
      });
      const found = rows<CheckServiceNode>(value['Nodes']);
      return {
        go: (passingOnly(request) ? found.filter(isPassing) : found).map((row) =>
          checkServiceNodeJson(row, emptyLists),
        ),
        meta,
      };
    }),
    get('/v1/health/node/:name', async (request) => {
      const { value, meta } = await read(request, 'Health.NodeChecks', { Node: name(request) });
      return { go: rows<CheckRow>(value['HealthChecks']).map((row) => checkJson(row, emptyLists)), meta };
    }),
    get('/v1/health/checks/:name', async (request) => {
      const { value, meta } = await read(request, 'Health.ServiceChecks', { ServiceName: name(request) });
      return { go: rows<CheckRow>(value['HealthChecks']).map((row) => checkJson(row, emptyLists)), meta };
    }),
    get('/v1/health/state/:name', async (request) => {
      const { value, meta } = await read(request, 'Health.ChecksInState', { State: name(request) });
      return { go: rows<CheckRow>(value['HealthChecks']).map((row) => checkJson(row, emptyLists)), meta };
    }),

    get('/v1/internal/federation-states', async (request) => {
      const { value, meta } = await read(request, 'FederationState.List');
      return { go: rows<FederationState>(value['States']).map((row) => federationStateJson(row)), meta };
    }),
    get('/v1/internal/federation-states/mesh-gateways', async (request) => {
      const { value, meta } = await read(request, 'FederationState.ListMeshGateways');
      const nodes = value['DatacenterNodes'] as Record<string, readonly CheckServiceNode[]>;
      return {
        go: Object.fromEntries(
          Object.entries(nodes).map(([dc, list]) => [dc, list.map((row) => checkServiceNodeJson(row))]),
        ),
        meta,
      };
    }),
    get('/v1/internal/federation-state/', () => {
      throw new HttpError(400, 'Bad request: Missing datacenter name');
    }),
    get('/v1/internal/federation-state/:name', async (request) => {
      const { value, meta } = await read(request, 'FederationState.Get', {
        // The original's names are the wrong way round: Target is who answers, Datacenter is the key looked up.
        Datacenter: name(request),
        TargetDatacenter: request.query.get('dc') ?? o.datacenter,
      });
      const state = value['State'] as FederationState | null;
      // The original leaves the index out of a 404, so that nobody can wait for a record to appear; we do not.
      if (state === null) return { status: 404, text: '', meta };
      const go = {
        State: federationStateJson(state),
        Index: meta.index,
        LastContact: 0,
        KnownLeader: meta.knownLeader,
        ConsistencyLevel: '',
        NotModified: false,
      };
      return { go, meta };
    }),
  ];
}

function rows<T>(value: Value | undefined): readonly T[] {
  return (value ?? []) as unknown as readonly T[];
}

function name(request: HttpRequest): string {
  return request.params['name'] ?? '';
}

/** `?node-meta=key:value`, any number of times. */
function nodeMeta(query: URLSearchParams): Record<string, string> {
  const out: Record<string, string> = {};
  for (const pair of query.getAll('node-meta')) {
    const at = pair.indexOf(':');
    out[at < 0 ? pair : pair.slice(0, at)] = at < 0 ? '' : pair.slice(at + 1);
  }
  return out;
}

function tagFilter(request: HttpRequest): { readonly [key: string]: Value } {
  const tags = request.query.getAll('tag');
  return tags.length === 0 ? {} : { TagFilter: true, ServiceTags: tags };
}

function passingOnly(request: HttpRequest): boolean {
  const value = request.query.get('passing');
  if (value === null) return false;
  if (['', '1', 't', 'T', 'true', 'TRUE', 'True'].includes(value)) return true;
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(value)) return false;
  throw new HttpError(400, 'Invalid value for ?passing');
}

function isPassing(row: CheckServiceNode): boolean {
  return (row.Checks ?? []).every((check) => check.Status === 'passing');
}
