/**
 * read-store.ts: the questions the state answers.
 *
 * Every answer carries the index a blocking query continues from. The index may be younger than the rows (it belongs to
 * the table or to the service, not to the row), never older.
 * Lives here: the reading face of the store. Must not live here: how answers are found, or who waits for them.
 * Source of the index rules: Consul agent/consul/state/catalog.go, federation_state.go (v1.9.8).
 */
import type { ConfigEntry } from './config-entries/entry.ts';
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

export interface Rows<T> {
  readonly index: number;
  readonly rows: readonly T[];
}

export interface ReadStore {
  /** The highest index among these tables or index keys ('nodes', 'federation-states', 'service.web', …); 0 when none was ever written. */
  index(...keys: readonly string[]): number;
  /** All federation states, ascending by lower-cased datacenter. */
  federationStates(): Rows<FederationState>;
  /** Case-insensitive. The index is the table's. */
  federationState(datacenter: string): { readonly index: number; readonly row: FederationState | undefined };
  nodes(): Rows<NodeRow>;
  node(name: string): { readonly index: number; readonly row: NodeRow | undefined };
  /** Service names (as spelled) with the union of their instances' tags. */
  services(): { readonly index: number; readonly services: ReadonlyMap<string, readonly string[]> };
  /** Instances of a service, flat, without checks. */
  serviceNodes(service: string): Rows<ServiceNodeRow>;
  nodeServices(node: string): Rows<ServiceRow> & { readonly node: NodeRow | undefined };
  /** Instances of a service with node and checks. */
  checkServiceNodes(service: string): Rows<CheckServiceNode>;
  /** Instances of all services of a kind ('mesh-gateway', …; '' is the plain kind) with node and checks. */
  serviceKind(kind: string): Rows<CheckServiceNode>;
  /** Instances that are native in the mesh (Connect.Native), of all services, with node and checks. */
  nativeServices(): Rows<CheckServiceNode>;
  /** Every instance of every service with node and checks. */
  serviceDump(): Rows<CheckServiceNode>;
  nodeChecks(node: string): Rows<CheckRow>;
  serviceChecks(service: string): Rows<CheckRow>;
  /** status: 'passing' | 'warning' | 'critical' | 'any' */
  checksInState(status: string): Rows<CheckRow>;
  coordinates(): Rows<Coordinate>;
  /** Roots of the mesh's certificate authority, by ID. */
  caRoots(): Rows<CaRoot>;
  caConfig(): { readonly index: number; readonly row: CaConfig | undefined };
  /** What the built-in authority signs with. Holds a private key: for the signer only. */
  caProviderState(id: string): { readonly index: number; readonly row: CaProviderState | undefined };
  /** Config entries by kind and name, or those of one kind. The index is the table's, whichever kind. */
  configEntries(kind?: string): Rows<ConfigEntry>;
  /** The name is case-insensitive. */
  configEntry(kind: string, name: string): { readonly index: number; readonly row: ConfigEntry | undefined };
}
