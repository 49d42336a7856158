/**
 * store-reader.ts: finds the answers, and leaves the trail of watch keys each depends on.
 *
 * Answers that join several tables are kept until one of their keys changes: the trail that wakes a reader is the same
 * that voids his answer, so ten thousand readers of one service share one list.
 * Lives here: every query. Must not live here: changes.
 * Source of the index each query returns: Consul agent/consul/state/catalog.go, federation_state.go (v1.9.8).
 */
import type { ConfigEntry } from './config-entries/entry.ts';
import type { ReadStore, Rows } from './read-store.ts';
import type {
  CaConfig,
  CaProviderState,
  CaRoot,
  CheckRow,
  CheckServiceNode,
  Coordinate,
  FederationState,
  NodeRow,
  ServiceNodeRow,
  ServiceRow,
} from './rows.ts';
import { freeze } from './shapes.ts';
import { indexKey, keyOf, prefixOf, type ServiceEntry, type Tables, watchKey } from './tables.ts';

/** Joined lists by the watch key that voids them. Empty lists are not kept, so strangers' names cannot fill it. */
export class Answers {
  readonly #lists = new Map<string, readonly CheckServiceNode[]>();

  get(key: string, find: () => readonly CheckServiceNode[]): readonly CheckServiceNode[] {
    const kept = this.#lists.get(key);
    if (kept !== undefined) return kept;
    const found = freeze(find());
    if (found.length > 0) this.#lists.set(key, found);
    return found;
  }

  forget(keys: Iterable<string>): void {
    for (const key of keys) this.#lists.delete(key);
  }
}

/** What is read at the moment; a restore puts other tables in its place. */
export interface Current {
  tables: Tables;
  answers: Answers;
}

export class StoreReader implements ReadStore {
  readonly #current: Current;
  readonly #trail: Set<string> | undefined;

  constructor(current: Current, trail?: Set<string>) {
    this.#current = current;
    this.#trail = trail;
  }

  get #tables(): Tables {
    return this.#current.tables;
  }

  index(...keys: readonly string[]): number {
    for (const key of keys) this.#trail?.add(watchKey.index(key));
    return this.#highest(...keys);
  }

  federationStates(): Rows<FederationState> {
    this.#trail?.add(watchKey.federationStates);
    return { index: this.#highest(indexKey.federationStates), rows: this.#tables.federationStates.values() };
  }

  federationState(datacenter: string): { index: number; row: FederationState | undefined } {
    this.#trail?.add(watchKey.federationState(datacenter));
    return {
      index: this.#highest(indexKey.federationStates),
      row: this.#tables.federationStates.get(keyOf(datacenter)),
    };
  }

  nodes(): Rows<NodeRow> {
    this.#trail?.add(watchKey.nodes);
    return { index: this.#highest(indexKey.nodes), rows: this.#tables.nodes.values() };
  }

  node(name: string): { index: number; row: NodeRow | undefined } {
    this.#trail?.add(watchKey.node(name));
    return { index: this.#highest(indexKey.nodes), row: this.#tables.nodes.get(keyOf(name)) };
  }

  services(): { index: number; services: ReadonlyMap<string, readonly string[]> } {
    this.#trail?.add(watchKey.services);
    const services = new Map<string, string[]>();
    for (const { service } of this.#tables.servicesByName.values()) {
      const tags = services.get(service.Service) ?? [];
      for (const tag of service.Tags ?? []) if (!tags.includes(tag)) tags.push(tag);
      services.set(service.Service, tags);
    }
    return { index: this.#highest(indexKey.services), services };
  }

  serviceNodes(service: string): Rows<ServiceNodeRow> {
    this.#trail?.add(watchKey.service(service));
    const entries = this.#tables.servicesByName.withPrefix(prefixOf(service));
    return {
      index: this.#serviceIndex(service, entries.length > 0, false),
      rows: entries.map((entry) => serviceNodeOf({ Node: this.#nodeOf(entry), Service: entry.service })),
    };
  }

  nodeServices(node: string): Rows<ServiceRow> & { node: NodeRow | undefined } {
    this.#trail?.add(watchKey.node(node));
    this.#trail?.add(watchKey.nodeServices(node));
    return {
      index: this.#highest(indexKey.nodes, indexKey.services),
      node: this.#tables.nodes.get(keyOf(node)),
      rows: this.#tables.services.withPrefix(prefixOf(node)).map((entry) => entry.service),
    };
  }

  checkServiceNodes(service: string): Rows<CheckServiceNode> {
    const key = watchKey.service(service);
    this.#trail?.add(key);
    const rows = this.#current.answers.get(key, () =>
      this.#join(this.#tables.servicesByName.withPrefix(prefixOf(service))),
    );
    return { index: this.#serviceIndex(service, rows.length > 0, true), rows };
  }

  serviceKind(kind: string): Rows<CheckServiceNode> {
    const key = watchKey.kind(kind);
    this.#trail?.add(key);
    return {
      index: this.#highest(indexKey.kind(kind)),
      rows: this.#current.answers.get(key, () =>
        this.#join(this.#tables.servicesByKind.withPrefix(`${kind}\0`)),
      ),
    };
  }

  nativeServices(): Rows<CheckServiceNode> {
    const key = watchKey.native;
    this.#trail?.add(key);
    return {
      index: this.#highest(indexKey.nodes, indexKey.services, indexKey.checks),
      rows: this.#current.answers.get(key, () => this.#join(this.#tables.servicesNative.values())),
    };
  }

  serviceDump(): Rows<CheckServiceNode> {
    for (const key of [watchKey.nodes, watchKey.services, watchKey.checks]) this.#trail?.add(key);
    return {
      index: this.#highest(indexKey.nodes, indexKey.services, indexKey.checks),
      rows: this.#join(this.#tables.services.values()),
    };
  }

  nodeChecks(node: string): Rows<CheckRow> {
    this.#trail?.add(watchKey.nodeChecks(node));
    return {
      index: this.#highest(indexKey.checks),
      rows: this.#tables.checks.withPrefix(prefixOf(node)),
    };
  }

  serviceChecks(service: string): Rows<CheckRow> {
    this.#trail?.add(watchKey.serviceChecks(service));
    return {
      index: this.#highest(indexKey.checks),
      rows: this.#tables.checksByService.withPrefix(prefixOf(service)),
    };
  }

  checksInState(status: string): Rows<CheckRow> {
    const any = status === 'any';
    this.#trail?.add(any ? watchKey.checks : watchKey.status(status));
    return {
      index: this.#highest(indexKey.checks),
      rows: any ? this.#tables.checks.values() : this.#tables.checksByStatus.withPrefix(`${status}\0`),
    };
  }

  coordinates(): Rows<Coordinate> {
    this.#trail?.add(watchKey.coordinates);
    return { index: this.#highest(indexKey.coordinates), rows: this.#tables.coordinates.values() };
  }

  caRoots(): Rows<CaRoot> {
    this.#trail?.add(watchKey.caRoots);
    return { index: this.#highest(indexKey.caRoots), rows: this.#tables.caRoots.values() };
  }

  caConfig(): { index: number; row: CaConfig | undefined } {
    this.#trail?.add(watchKey.caConfig);
    const row = this.#tables.caConfig.get('');
    return { index: row?.ModifyIndex ?? 0, row };
  }

  caProviderState(id: string): { index: number; row: CaProviderState | undefined } {
    this.#trail?.add(watchKey.caProviderStates);
    return {
      index: this.#highest(indexKey.caProviderStates),
      row: this.#tables.caProviderStates.get(id),
    };
  }

  configEntries(kind?: string): Rows<ConfigEntry> {
    this.#trail?.add(kind === undefined ? watchKey.configEntries : watchKey.configEntriesOf(kind));
    const { configEntries } = this.#tables;
    return {
      index: this.#highest(indexKey.configEntries),
      rows: kind === undefined ? configEntries.values() : configEntries.withPrefix(prefixOf(kind)),
    };
  }

  configEntry(kind: string, name: string): { index: number; row: ConfigEntry | undefined } {
    this.#trail?.add(watchKey.configEntriesOf(kind));
    return {
      index: this.#highest(indexKey.configEntries),
      row: this.#tables.configEntries.get(keyOf(kind, name)),
    };
  }

  #highest(...keys: readonly string[]): number {
    let highest = 0;
    for (const key of keys) highest = Math.max(highest, this.#tables.indexes.get(key) ?? 0);
    return highest;
  }

  #serviceIndex(service: string, exists: boolean, withChecks: boolean): number {
    const own = this.#tables.indexes.get(exists ? indexKey.service(service) : indexKey.serviceExtinction);
    if (own !== undefined) return own;
    const tables = [indexKey.nodes, indexKey.services];
    return this.#highest(...tables, ...(withChecks ? [indexKey.checks] : []));
  }

  #join(entries: readonly ServiceEntry[]): readonly CheckServiceNode[] {
    return entries.map((entry) => {
      const id = keyOf(entry.service.ID);
      const ofNode = this.#tables.checks.withPrefix(prefixOf(entry.node));
      return {
        // The node's own checks come first, then the service's.
        Checks: [
          ...ofNode.filter((check) => check.ServiceID === ''),
          ...ofNode.filter((check) => check.ServiceID !== '' && keyOf(check.ServiceID) === id),
        ],
        Node: this.#nodeOf(entry),
        Service: entry.service,
      };
    });
  }

  #nodeOf(entry: ServiceEntry): NodeRow {
    // A service cannot outlive its node: deleting a node deletes its services (I4).
    return this.#tables.nodes.get(keyOf(entry.node)) as NodeRow;
  }
}

/** The same instance as the flat row of /v1/catalog/service. */
export function serviceNodeOf({
  Node: node,
  Service: service,
}: Pick<CheckServiceNode, 'Node' | 'Service'>): ServiceNodeRow {
  return {
    Address: node.Address,
    CreateIndex: service.CreateIndex,
    Datacenter: node.Datacenter,
    ID: node.ID,
    ModifyIndex: service.ModifyIndex,
    Node: node.Node,
    NodeMeta: node.Meta,
    ServiceAddress: service.Address,
    ServiceConnect: service.Connect,
    ServiceEnableTagOverride: service.EnableTagOverride,
    ServiceID: service.ID,
    ServiceKind: service.Kind,
    ServiceMeta: service.Meta,
    ServiceName: service.Service,
    ServicePort: service.Port,
    ServiceProxy: service.Proxy,
    ServiceTaggedAddresses: service.TaggedAddresses,
    ServiceTags: service.Tags,
    ServiceWeights: service.Weights ?? { Passing: 1, Warning: 1 },
    TaggedAddresses: node.TaggedAddresses,
  };
}
