/**
 * json.ts: rows as the HTTP API shows them.
 *
 * The order of the fields, which of them vanish when empty and which show null is what clients have seen for years. Keys
 * of later versions that a row may carry do not show, as they would not on a 1.9 server.
 * Lives here: row to JSON value. Must not live here: text (go-json.ts), HTTP.
 * Sources: Consul agent/structs/structs.go, connect_proxy_config.go, check_definition.go, federation_state.go (v1.9.8).
 */
import { goTimeToRfc3339 } from '@fed/msgpack';
import { freeText, goDuration, type JsonValue, opaqueJson } from './go-json.ts';
import type {
  CheckDefinition,
  CheckRow,
  CheckServiceNode,
  FederationState,
  NodeRow,
  ProxyConfig,
  ServiceAddress,
  ServiceConnect,
  ServiceNodeRow,
  ServiceRow,
  StringMap,
  Upstream,
} from './rows.ts';

export interface JsonOptions {
  /** Lists that are nil show as [] and not as null: catalog, health and agent do so, federation states do not. */
  readonly emptyLists: boolean;
}

type Json = { readonly [field: string]: JsonValue };
const plain: JsonOptions = { emptyLists: false };

export function nodeJson(row: NodeRow): Json {
  return {
    ID: row.ID,
    Node: row.Node,
    Address: row.Address,
    Datacenter: row.Datacenter,
    TaggedAddresses: texts(row.TaggedAddresses),
    Meta: texts(row.Meta),
    CreateIndex: row.CreateIndex,
    ModifyIndex: row.ModifyIndex,
  };
}

/** Go's NodeService. */
export function serviceJson(row: ServiceRow, o: JsonOptions = plain): Json {
  return {
    ...unlessEmpty('Kind', row.Kind),
    ID: row.ID,
    Service: row.Service,
    Tags: list(row.Tags, o),
    Address: row.Address,
    ...addresses('TaggedAddresses', row.TaggedAddresses),
    Meta: texts(row.Meta),
    Port: row.Port,
    Weights: row.Weights === null ? null : { Passing: row.Weights.Passing, Warning: row.Weights.Warning },
    EnableTagOverride: row.EnableTagOverride,
    Proxy: proxyJson(row.Proxy),
    Connect: connectJson(row.Connect),
    CreateIndex: row.CreateIndex,
    ModifyIndex: row.ModifyIndex,
  };
}

export function checkJson(row: CheckRow, o: JsonOptions = plain): Json {
  return {
    Node: row.Node,
    CheckID: row.CheckID,
    Name: row.Name,
    Status: row.Status,
    Notes: freeText(row.Notes),
    Output: freeText(row.Output),
    ServiceID: row.ServiceID,
    ServiceName: row.ServiceName,
    ServiceTags: list(row.ServiceTags, o),
    Type: row.Type,
    Definition: definitionJson(row.Definition),
    CreateIndex: row.CreateIndex,
    ModifyIndex: row.ModifyIndex,
  };
}

export function checkServiceNodeJson(row: CheckServiceNode, o: JsonOptions = plain): Json {
  return {
    Node: nodeJson(row.Node),
    Service: serviceJson(row.Service, o),
    Checks:
      row.Checks === null && !o.emptyLists ? null : (row.Checks ?? []).map((check) => checkJson(check, o)),
  };
}

/** One row of /v1/catalog/service. */
export function serviceNodeJson(row: ServiceNodeRow, o: JsonOptions = { emptyLists: true }): Json {
  return {
    ID: row.ID,
    Node: row.Node,
    Address: row.Address,
    Datacenter: row.Datacenter,
    TaggedAddresses: texts(row.TaggedAddresses),
    NodeMeta: texts(row.NodeMeta),
    ServiceKind: row.ServiceKind,
    ServiceID: row.ServiceID,
    ServiceName: row.ServiceName,
    ServiceTags: list(row.ServiceTags, o),
    ServiceAddress: row.ServiceAddress,
    ...addresses('ServiceTaggedAddresses', row.ServiceTaggedAddresses),
    ServiceWeights: { Passing: row.ServiceWeights.Passing, Warning: row.ServiceWeights.Warning },
    ServiceMeta: texts(row.ServiceMeta),
    ServicePort: row.ServicePort,
    ServiceEnableTagOverride: row.ServiceEnableTagOverride,
    ServiceProxy: proxyJson(row.ServiceProxy),
    ServiceConnect: connectJson(row.ServiceConnect),
    CreateIndex: row.CreateIndex,
    ModifyIndex: row.ModifyIndex,
  };
}

export function federationStateJson(row: FederationState): Json {
  const gateways = row.MeshGateways ?? [];
  return {
    Datacenter: row.Datacenter,
    ...(gateways.length === 0
      ? {}
      : { MeshGateways: gateways.map((gateway) => checkServiceNodeJson(gateway)) }),
    UpdatedAt: goTimeToRfc3339(row.UpdatedAt),
    PrimaryModifyIndex: row.PrimaryModifyIndex,
    CreateIndex: row.CreateIndex,
    ModifyIndex: row.ModifyIndex,
  };
}

function proxyJson(proxy: ProxyConfig): Json {
  return {
    ...unlessEmpty('DestinationServiceName', proxy.DestinationServiceName),
    ...unlessEmpty('DestinationServiceID', proxy.DestinationServiceID),
    ...unlessEmpty('LocalServiceAddress', proxy.LocalServiceAddress),
    ...unlessEmpty('LocalServicePort', proxy.LocalServicePort),
    ...config(proxy.Config),
    ...unlessEmpty('Upstreams', (proxy.Upstreams ?? []).map(upstreamJson)),
    MeshGateway: unlessEmpty('Mode', proxy.MeshGateway.Mode),
    Expose: {
      ...unlessEmpty('Checks', proxy.Expose.Checks),
      ...unlessEmpty(
        'Paths',
        (proxy.Expose.Paths ?? []).map((path) => ({
          ...unlessEmpty('ListenerPort', path.ListenerPort),
          ...unlessEmpty('Path', path.Path),
          ...unlessEmpty('LocalPathPort', path.LocalPathPort),
          ...unlessEmpty('Protocol', path.Protocol),
          ...unlessEmpty('ParsedFromCheck', path.ParsedFromCheck),
        })),
      ),
    },
  };
}

function upstreamJson(upstream: Upstream): Json {
  return {
    ...unlessEmpty('DestinationType', upstream.DestinationType),
    ...unlessEmpty('DestinationNamespace', upstream.DestinationNamespace),
    DestinationName: upstream.DestinationName,
    Datacenter: upstream.Datacenter,
    ...unlessEmpty('LocalBindAddress', upstream.LocalBindAddress),
    LocalBindPort: upstream.LocalBindPort,
    ...config(upstream.Config),
    MeshGateway: unlessEmpty('Mode', upstream.MeshGateway.Mode),
  };
}

function connectJson(connect: ServiceConnect): Json {
  return {
    ...unlessEmpty('Native', connect.Native),
    ...(connect.SidecarService === null ? {} : { SidecarService: opaqueJson(connect.SidecarService) }),
  };
}

/** Durations that a client may set come first and as text; the rest follows in the struct's order. */
function definitionJson(definition: CheckDefinition): Json {
  const duration = (field: 'Interval' | 'Timeout' | 'DeregisterCriticalServiceAfter'): Json =>
    BigInt(definition[field]) === 0n ? {} : { [field]: goDuration(definition[field]) };
  const header = Object.entries(definition.Header ?? {});
  return {
    ...duration('Interval'),
    ...unlessEmpty('OutputMaxSize', definition.OutputMaxSize),
    ...duration('Timeout'),
    ...duration('DeregisterCriticalServiceAfter'),
    ...unlessEmpty('HTTP', definition.HTTP),
    ...unlessEmpty('TLSSkipVerify', definition.TLSSkipVerify),
    ...(header.length === 0 ? {} : { Header: new Map(header) }),
    ...unlessEmpty('Method', definition.Method),
    ...unlessEmpty('Body', freeText(definition.Body)),
    ...unlessEmpty('TCP', definition.TCP),
    ...unlessEmpty('ScriptArgs', definition.ScriptArgs ?? []),
    ...unlessEmpty('DockerContainerID', definition.DockerContainerID),
    ...unlessEmpty('Shell', definition.Shell),
    ...unlessEmpty('GRPC', definition.GRPC),
    ...unlessEmpty('GRPCUseTLS', definition.GRPCUseTLS),
    ...unlessEmpty('AliasNode', definition.AliasNode),
    ...unlessEmpty('AliasService', definition.AliasService),
    ...(BigInt(definition.TTL) === 0n ? {} : { TTL: definition.TTL }),
  };
}

/** Go's omitempty. */
function unlessEmpty(field: string, value: JsonValue): Json {
  const empty =
    value === '' || value === 0 || value === false || (Array.isArray(value) && value.length === 0);
  return empty ? {} : { [field]: value };
}

function texts(map: StringMap | null): JsonValue {
  return map === null ? null : new Map(Object.entries(map));
}

function list(items: readonly string[] | null, o: JsonOptions): JsonValue {
  return items === null && o.emptyLists ? [] : items;
}

function addresses(field: string, map: { readonly [name: string]: ServiceAddress } | null): Json {
  const entries = Object.entries(map ?? {});
  if (entries.length === 0) return {};
  return { [field]: new Map(entries.map(([name, { Address, Port }]) => [name, { Address, Port }])) };
}

function config(map: ProxyConfig['Config']): Json {
  return map === null || Object.keys(map).length === 0 ? {} : { Config: opaqueJson(map) };
}
