/**
 * tables.ts: everything the state machine remembers, and the one way to change it.
 *
 * A transaction writes straight into the tables and keeps a journal of how to undo it; abort walks the journal backwards.
 * Each write names the watch keys it touches, so nobody who may see the change sleeps through it (I3).
 * Lives here: tables, their secondary indexes, keys, the journal. Must not live here: rules of the catalog (catalog.ts).
 * Source of table and index layout: Consul agent/consul/state/catalog_oss.go (v1.9.8).
 */
import assert from 'node:assert/strict';
import type { ConfigEntry } from './config-entries/entry.ts';
import { OrderedMap } from './ordered-map.ts';
import type {
  CaConfig,
  CaProviderState,
  CaRoot,
  CheckRow,
  Coordinate,
  FederationState,
  NodeRow,
  ServiceRow,
} from './rows.ts';

export interface ServiceEntry {
  readonly node: string;
  readonly service: ServiceRow;
}

/** A snapshot record of a type we give no meaning to, kept as it came. */
export interface ForeignRecord {
  readonly typeByte: number;
  readonly body: Uint8Array;
}

/** Names are found regardless of case. NUL joins the parts of a key, so no part may contain it (I5). */
export function keyOf(...parts: readonly string[]): string {
  return parts.length === 1 ? (parts[0] as string).toLowerCase() : parts.join('\0').toLowerCase();
}

/** All keys that begin with these parts. */
export function prefixOf(...parts: readonly string[]): string {
  return `${keyOf(...parts)}\0`;
}

/** Watch keys. A reader holds the narrowest one that covers its answer. */
export const watchKey = {
  nodes: 'nodes',
  services: 'services',
  checks: 'checks',
  coordinates: 'coordinates',
  federationStates: 'federation-states',
  caRoots: 'connect-ca-roots',
  caConfig: 'connect-ca-config',
  caProviderStates: 'connect-ca-builtin',
  configEntries: 'config-entries',
  configEntriesOf: (kind: string): string => `config-entries:${keyOf(kind)}`,
  federationState: (datacenter: string): string => `federation-state:${keyOf(datacenter)}`,
  node: (node: string): string => `node:${keyOf(node)}`,
  nodeServices: (node: string): string => `node-services:${keyOf(node)}`,
  nodeChecks: (node: string): string => `node-checks:${keyOf(node)}`,
  service: (name: string): string => `service:${keyOf(name)}`,
  serviceChecks: (name: string): string => `service-checks:${keyOf(name)}`,
  /** Instances that are native in the mesh. */
  native: 'native',
  kind: (kind: string): string => `kind:${kind}`,
  status: (status: string): string => `status:${status}`,
  index: (key: string): string => `index:${key}`,
} as const;

/** Names in the index table, as they stand in a snapshot. */
export const indexKey = {
  nodes: 'nodes',
  services: 'services',
  checks: 'checks',
  coordinates: 'coordinates',
  federationStates: 'federation-states',
  caRoots: 'connect-ca-roots',
  caConfig: 'connect-ca-config',
  caProviderStates: 'connect-ca-builtin',
  /** Not an index at all: the last serial number given out. */
  caSerial: 'connect-ca-builtin-serial',
  configEntries: 'config-entries',
  serviceExtinction: 'service_last_extinction',
  service: (name: string): string => `service.${keyOf(name)}`,
  kind: (kind: string): string => `service_kind.${kind === '' ? 'typical' : kind}`,
} as const;

export class Tables {
  readonly nodes: OrderedMap<NodeRow> = new OrderedMap();
  /** Lower-cased node ID to node key; nodes without an ID are absent. */
  readonly nodesById: OrderedMap<string> = new OrderedMap();
  readonly services: OrderedMap<ServiceEntry> = new OrderedMap();
  readonly servicesByName: OrderedMap<ServiceEntry> = new OrderedMap();
  readonly servicesByKind: OrderedMap<ServiceEntry> = new OrderedMap();
  /** Those with Connect.Native, by name as above. */
  readonly servicesNative: OrderedMap<ServiceEntry> = new OrderedMap();
  readonly checks: OrderedMap<CheckRow> = new OrderedMap();
  readonly checksByService: OrderedMap<CheckRow> = new OrderedMap();
  readonly checksByStatus: OrderedMap<CheckRow> = new OrderedMap();
  readonly coordinates: OrderedMap<Coordinate> = new OrderedMap();
  readonly federationStates: OrderedMap<FederationState> = new OrderedMap();
  readonly caRoots: OrderedMap<CaRoot> = new OrderedMap();
  readonly caProviderStates: OrderedMap<CaProviderState> = new OrderedMap();
  /** At most one row. */
  readonly caConfig: OrderedMap<CaConfig> = new OrderedMap();
  readonly configEntries: OrderedMap<ConfigEntry> = new OrderedMap();
  readonly indexes: OrderedMap<number> = new OrderedMap();
  foreign: readonly ForeignRecord[] = [];
}

export class Transaction {
  readonly tables: Tables;
  /** Index of the log entry this transaction belongs to. */
  readonly index: number;
  readonly touched: Set<string> = new Set();
  readonly #undo: (() => void)[] | undefined;

  /** Without a journal it cannot be aborted: for filling tables that are thrown away on failure. */
  constructor(tables: Tables, index: number, o: { readonly journal: boolean } = { journal: true }) {
    this.tables = tables;
    this.index = index;
    this.#undo = o.journal ? [] : undefined;
  }

  abort(): void {
    const undo = this.#undo;
    assert(undo !== undefined, 'a transaction without a journal was asked to abort');
    while (undo.length > 0) undo.pop()?.();
    this.touched.clear();
  }

  touch(key: string): void {
    this.touched.add(key);
  }

  /** Raises an index; never lowers it. */
  raise(key: string, index: number): void {
    if ((this.tables.indexes.get(key) ?? 0) < index) this.setIndex(key, index);
  }

  setIndex(key: string, index: number): void {
    this.#set(this.tables.indexes, key, index);
    this.touch(watchKey.index(key));
  }

  dropIndex(key: string): void {
    this.#delete(this.tables.indexes, key);
    this.touch(watchKey.index(key));
  }

  putNode(row: NodeRow): void {
    const key = keyOf(row.Node);
    const old = this.tables.nodes.get(key);
    if (old !== undefined && old.ID !== '' && old.ID.toLowerCase() !== row.ID.toLowerCase())
      this.#delete(this.tables.nodesById, old.ID.toLowerCase());
    this.#set(this.tables.nodes, key, row);
    if (row.ID !== '') this.#set(this.tables.nodesById, row.ID.toLowerCase(), key);
    this.#touchNode(row.Node);
  }

  deleteNode(row: NodeRow): void {
    this.#delete(this.tables.nodes, keyOf(row.Node));
    if (row.ID !== '' && this.tables.nodesById.get(row.ID.toLowerCase()) === keyOf(row.Node))
      this.#delete(this.tables.nodesById, row.ID.toLowerCase());
    this.#touchNode(row.Node);
  }

  putService(entry: ServiceEntry): void {
    const key = keyOf(entry.node, entry.service.ID);
    const old = this.tables.services.get(key);
    if (old !== undefined) {
      if (serviceNameKey(old) !== serviceNameKey(entry))
        this.#delete(this.tables.servicesByName, serviceNameKey(old));
      if (serviceKindKey(old) !== serviceKindKey(entry))
        this.#delete(this.tables.servicesByKind, serviceKindKey(old));
      this.#delete(this.tables.servicesNative, serviceNameKey(old));
      this.#touchService(old);
    }
    if (entry.service.Connect.Native) this.#set(this.tables.servicesNative, serviceNameKey(entry), entry);
    this.#set(this.tables.services, key, entry);
    this.#set(this.tables.servicesByName, serviceNameKey(entry), entry);
    this.#set(this.tables.servicesByKind, serviceKindKey(entry), entry);
    this.#touchService(entry);
  }

  deleteService(entry: ServiceEntry): void {
    this.#delete(this.tables.services, keyOf(entry.node, entry.service.ID));
    this.#delete(this.tables.servicesByName, serviceNameKey(entry));
    this.#delete(this.tables.servicesByKind, serviceKindKey(entry));
    this.#delete(this.tables.servicesNative, serviceNameKey(entry));
    this.#touchService(entry);
  }

  putCheck(row: CheckRow): void {
    const key = keyOf(row.Node, row.CheckID);
    const old = this.tables.checks.get(key);
    if (old !== undefined) {
      if (checkServiceKey(old) !== checkServiceKey(row))
        this.#delete(this.tables.checksByService, checkServiceKey(old));
      if (checkStatusKey(old) !== checkStatusKey(row))
        this.#delete(this.tables.checksByStatus, checkStatusKey(old));
      this.#touchCheck(old);
    }
    this.#set(this.tables.checks, key, row);
    if (row.ServiceName !== '') this.#set(this.tables.checksByService, checkServiceKey(row), row);
    this.#set(this.tables.checksByStatus, checkStatusKey(row), row);
    this.#touchCheck(row);
  }

  deleteCheck(row: CheckRow): void {
    this.#delete(this.tables.checks, keyOf(row.Node, row.CheckID));
    this.#delete(this.tables.checksByService, checkServiceKey(row));
    this.#delete(this.tables.checksByStatus, checkStatusKey(row));
    this.#touchCheck(row);
  }

  putCoordinate(row: Coordinate): void {
    this.#set(this.tables.coordinates, keyOf(row.Node, row.Segment), row);
    this.touch(watchKey.coordinates);
  }

  deleteCoordinate(row: Coordinate): void {
    this.#delete(this.tables.coordinates, keyOf(row.Node, row.Segment));
    this.touch(watchKey.coordinates);
  }

  putFederationState(row: FederationState): void {
    this.#set(this.tables.federationStates, keyOf(row.Datacenter), row);
    this.#touchFederationState(row.Datacenter);
  }

  deleteFederationState(datacenter: string): void {
    this.#delete(this.tables.federationStates, keyOf(datacenter));
    this.#touchFederationState(datacenter);
  }

  putCaRoot(row: CaRoot): void {
    this.#set(this.tables.caRoots, row.ID, row);
    this.touch(watchKey.caRoots);
  }

  deleteCaRoot(row: CaRoot): void {
    this.#delete(this.tables.caRoots, row.ID);
    this.touch(watchKey.caRoots);
  }

  putCaConfig(row: CaConfig): void {
    this.#set(this.tables.caConfig, '', row);
    this.touch(watchKey.caConfig);
  }

  putCaProviderState(row: CaProviderState): void {
    this.#set(this.tables.caProviderStates, row.ID, row);
    this.touch(watchKey.caProviderStates);
  }

  deleteCaProviderState(id: string): void {
    this.#delete(this.tables.caProviderStates, id);
    this.touch(watchKey.caProviderStates);
  }

  putConfigEntry(entry: ConfigEntry): void {
    this.#set(this.tables.configEntries, keyOf(entry.kind, entry.name), entry);
    this.#touchConfigEntry(entry.kind);
  }

  deleteConfigEntry(entry: ConfigEntry): void {
    this.#delete(this.tables.configEntries, keyOf(entry.kind, entry.name));
    this.#touchConfigEntry(entry.kind);
  }

  #touchConfigEntry(kind: string): void {
    this.touch(watchKey.configEntries);
    this.touch(watchKey.configEntriesOf(kind));
  }

  #touchNode(node: string): void {
    this.touch(watchKey.nodes);
    this.touch(watchKey.node(node));
  }

  #touchService({ node, service }: ServiceEntry): void {
    this.touch(watchKey.services);
    this.touch(watchKey.nodeServices(node));
    this.touch(watchKey.service(service.Service));
    this.touch(watchKey.kind(service.Kind));
    if (service.Connect.Native) this.touch(watchKey.native);
  }

  #touchCheck(row: CheckRow): void {
    this.touch(watchKey.checks);
    this.touch(watchKey.nodeChecks(row.Node));
    this.touch(watchKey.status(row.Status));
    if (row.ServiceName !== '') this.touch(watchKey.serviceChecks(row.ServiceName));
  }

  #touchFederationState(datacenter: string): void {
    this.touch(watchKey.federationStates);
    this.touch(watchKey.federationState(datacenter));
  }

  #set<V extends {}>(table: OrderedMap<V>, key: string, value: V): void {
    const undo = this.#undo;
    if (undo !== undefined) {
      const old = table.get(key);
      undo.push(() => (old === undefined ? table.delete(key) : table.set(key, old)));
    }
    table.set(key, value);
  }

  #delete<V>(table: OrderedMap<V>, key: string): void {
    if (!table.has(key)) return;
    const old = table.get(key) as V;
    this.#undo?.push(() => table.set(key, old));
    table.delete(key);
  }
}

function serviceNameKey({ node, service }: ServiceEntry): string {
  return keyOf(service.Service, node, service.ID);
}

function serviceKindKey({ node, service }: ServiceEntry): string {
  return `${service.Kind}\0${keyOf(node, service.ID)}`;
}

function checkServiceKey(row: CheckRow): string {
  return keyOf(row.ServiceName, row.Node, row.CheckID);
}

function checkStatusKey(row: CheckRow): string {
  return `${row.Status}\0${keyOf(row.Node, row.CheckID)}`;
}
