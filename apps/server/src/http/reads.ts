/**
 * reads.ts: the catalog, health, status and federation-state endpoints: one RPC each, rendered as the original's JSON.
 *
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
  newFederationState,
  nodeJson,
  type ServiceNodeRow,
  type ServiceRow,
  serviceJson,
  serviceNodeJson,
} from '@fed/fsm';
import type { Value } from '@fed/msgpack';
import type { Args } from '../rpc/args.ts';
import { type Asking, type AskingOptions, asking } from './asking.ts';
import { get, goBool } from './parameters.ts';
import { rowList, rowTexts } from './row-texts.ts';
import { HttpError, type HttpReply, type HttpRequest, type HttpRoute } from './server.ts';

/** Catalog and health show a nil list as []; federation states show what they hold. */
const emptyLists = { emptyLists: true };
const nodeTexts = rowTexts<NodeRow>((row) => nodeJson(row));
const checkTexts = rowTexts<CheckRow>((row) => checkJson(row, emptyLists));
const instanceTexts = rowTexts<CheckServiceNode>((row) => checkServiceNodeJson(row, emptyLists));

export function readRoutes(o: AskingOptions): readonly HttpRoute[] {
  const reads = asking(o);
  return [
    get('/v1/status/leader', async (request) => ({ json: await reads.call(request, 'Status.Leader') })),
    get('/v1/status/peers', async (request) => ({ json: await reads.call(request, 'Status.Peers') })),
    ...catalogRoutes(reads),
    ...healthRoutes(reads),
    ...federationRoutes(reads, o.datacenter),
    deleteFederationState(o),
  ];
}

function catalogRoutes(reads: Asking): readonly HttpRoute[] {
  const serviceNodes = async (request: HttpRequest, extra: Args): Promise<HttpReply> => {
    const { value, meta } = await reads.consistently(request, 'Catalog.ServiceNodes', {
      ServiceName: name(request, 'service name'),
      ...tagFilter(request),
      ...extra,
    });
    const found = rows<ServiceNodeRow>(value['ServiceNodes']);
    return { go: found.map((row) => serviceNodeJson(row, emptyLists)), meta };
  };
  return [
    get('/v1/catalog/datacenters', async (request) => ({
      json: await reads.call(request, 'Catalog.ListDatacenters'),
    })),
    get('/v1/catalog/nodes', async (request) => {
      const { value, meta } = await reads.consistently(request, 'Catalog.ListNodes');
      return { rows: rowList(rows<NodeRow>(value['Nodes']), nodeTexts), meta };
    }),
    get('/v1/catalog/services', async (request) => {
      const { value, meta } = await reads.consistently(request, 'Catalog.ListServices');
      const services = Object.entries((value['Services'] ?? {}) as Record<string, readonly string[] | null>);
      return { go: new Map(services.map(([service, tags]) => [service, tags ?? []])), meta };
    }),
    get('/v1/catalog/service/*', (request) => serviceNodes(request, {})),
    get('/v1/catalog/connect/*', (request) => serviceNodes(request, { Connect: true })),
    get('/v1/catalog/node/*', async (request) => {
      const { value, meta } = await reads.consistently(request, 'Catalog.NodeServices', {
        Node: name(request, 'node name'),
      });
      const found = value['NodeServices'] as { Node: NodeRow; Services: Record<string, ServiceRow> } | null;
      if (found === null) return { go: null, meta };
      const services = Object.entries(found.Services).map(([id, row]): [string, JsonValue] => [
        id,
        serviceJson(row, emptyLists),
      ]);
      return { go: { Node: nodeJson(found.Node), Services: new Map(services) }, meta };
    }),
    get('/v1/catalog/node-services/*', async (request) => {
      const { value, meta } = await reads.consistently(request, 'Catalog.NodeServiceList', {
        Node: name(request, 'node name'),
      });
      const found = value['NodeServices'] as { Node: NodeRow | null; Services: readonly ServiceRow[] } | null;
      if (!found?.Node) return { go: { Node: null, Services: null }, meta };
      const services = found.Services.map((row) => serviceJson(row, emptyLists));
      return { go: { Node: nodeJson(found.Node), Services: services }, meta };
    }),
  ];
}

function healthRoutes(reads: Asking): readonly HttpRoute[] {
  const instances = async (request: HttpRequest, extra: Args): Promise<HttpReply> => {
    const passing = passingOnly(request);
    const { value, meta } = await reads.consistently(request, 'Health.ServiceNodes', {
      ServiceName: name(request, 'service name'),
      ...tagFilter(request),
      ...extra,
    });
    const found = rows<CheckServiceNode>(value['Nodes']);
    // The list itself if it is all shown: its text may be known.
    const shown = passing && !found.every(isPassing) ? found.filter(isPassing) : found;
    return { rows: rowList(shown, instanceTexts), meta };
  };
  const checks =
    (method: string, key: string, what: string) =>
    async (request: HttpRequest): Promise<HttpReply> => {
      const { value, meta } = await reads.consistently(request, method, { [key]: name(request, what) });
      return { rows: rowList(rows<CheckRow>(value['HealthChecks']), checkTexts), meta };
    };
  return [
    get('/v1/health/service/*', (request) => instances(request, {})),
    get('/v1/health/connect/*', (request) => instances(request, { Connect: true })),
    get('/v1/health/node/*', checks('Health.NodeChecks', 'Node', 'node name')),
    get('/v1/health/checks/*', checks('Health.ServiceChecks', 'ServiceName', 'service name')),
    get('/v1/health/state/*', checks('Health.ChecksInState', 'State', 'check state')),
  ];
}

/** `filter` means nothing here, as in the original. */
function federationRoutes(reads: Asking, datacenter: string): readonly HttpRoute[] {
  const unfiltered = { Filter: '' };
  return [
    get('/v1/internal/federation-states', async (request) => {
      const { value, meta } = await reads.read(request, 'FederationState.List', unfiltered);
      return { go: rows<FederationState>(value['States']).map((row) => federationStateJson(row)), meta };
    }),
    get('/v1/internal/federation-states/mesh-gateways', async (request) => {
      const { value, meta } = await reads.read(request, 'FederationState.ListMeshGateways', unfiltered);
      const nodes = value['DatacenterNodes'] as Record<string, readonly CheckServiceNode[]>;
      const lists = Object.entries(nodes).map(([dc, list]): [string, JsonValue] => [
        dc,
        list.map((row) => checkServiceNodeJson(row)),
      ]);
      return { go: new Map(lists), meta };
    }),
    get('/v1/internal/federation-state/*', async (request) => {
      const wanted = request.params['*'] ?? '';
      if (wanted === '') throw new HttpError(400, 'Bad request: Missing datacenter name');
      const { value, meta } = await reads.read(request, 'FederationState.Get', {
        // The original's names are the wrong way round: Target is who answers, Datacenter is the key looked up.
        Datacenter: wanted,
        TargetDatacenter: request.query.get('dc') ?? datacenter,
        ...unfiltered,
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

/** Ours: of a datacenter that is gone for good, before pruning finds out. The primary does it, whoever is asked. */
function deleteFederationState(o: AskingOptions): HttpRoute {
  return {
    method: 'DELETE',
    path: '/v1/internal/federation-state/*',
    handle: async (request) => {
      const State = newFederationState({ Datacenter: name(request, 'datacenter name') });
      const args = { Datacenter: '', Op: 'delete', State, Token: request.token };
      await o.ask('FederationState.Apply', args, { signal: request.signal });
      return { json: true };
    },
  };
}

function rows<T>(value: Value | undefined): readonly T[] {
  return (value ?? []) as unknown as readonly T[];
}

function name(request: HttpRequest, what: string): string {
  const found = request.params['*'] ?? '';
  if (found === '') throw new HttpError(400, `Missing ${what}`);
  return found;
}

function tagFilter(request: HttpRequest): Args {
  const tags = request.query.getAll('tag');
  return tags.length === 0 ? {} : { TagFilter: true, ServiceTags: tags };
}

function passingOnly(request: HttpRequest): boolean {
  const value = request.query.get('passing');
  if (value === null) return false;
  const passing = value === '' ? true : goBool(value);
  if (passing === undefined) throw new HttpError(400, 'Invalid value for ?passing');
  return passing;
}

function isPassing(row: CheckServiceNode): boolean {
  return (row.Checks ?? []).every((check) => check.Status === 'passing');
}
