/**
 * rows.ts: the rows of the catalog and of the federation, as plain frozen objects under Go's own key names.
 *
 * A row is what a peer said, kept word for word: keys we do not know stay, nil stays null and empty stays empty (I8), because
 * peers compare their own rows with our copies by deep equality and would write again and again if we tidied up.
 * Lives here: row types. Must not live here: how they are checked and made (new-row.ts), tables, commands, JSON.
 * Sources: Consul agent/structs/structs.go, connect_proxy_config.go, federation_state.go (v1.9.8).
 */
import type { Float, Value } from '@fed/msgpack';

/** A Go time.Duration: nanoseconds; bigint beyond 2^53-1. */
export type DurationNs = number | bigint;
/** What somebody's program printed: text, or the raw bytes when they are no UTF-8. */
export type FreeText = string | Uint8Array;
export type StringMap = { readonly [key: string]: string };
/** Anything the codec can carry: a value of map[string]interface{}. */
export type Opaque = Value;

// Rows are `type`s, not interfaces: only a type alias is assignable to the codec's index signature.

export type NodeRow = {
  readonly Address: string;
  readonly CreateIndex: number;
  readonly Datacenter: string;
  readonly ID: string;
  readonly Meta: StringMap | null;
  readonly ModifyIndex: number;
  readonly Node: string;
  readonly TaggedAddresses: StringMap | null;
};

export type ServiceAddress = { readonly Address: string; readonly Port: number };
export type Weights = { readonly Passing: number; readonly Warning: number };
export type ServiceConnect = { readonly Native: boolean; readonly SidecarService: Opaque };
export type MeshGatewayConfig = { readonly Mode: string };
export type ExposePath = {
  readonly ListenerPort: number;
  readonly LocalPathPort: number;
  readonly ParsedFromCheck: boolean;
  readonly Path: string;
  readonly Protocol: string;
};
export type ExposeConfig = { readonly Checks: boolean; readonly Paths: readonly ExposePath[] | null };
export type Upstream = {
  readonly Config: { readonly [key: string]: Opaque } | null;
  readonly Datacenter: string;
  readonly DestinationName: string;
  readonly DestinationNamespace: string;
  readonly DestinationType: string;
  readonly IngressHosts: readonly string[] | null;
  readonly LocalBindAddress: string;
  readonly LocalBindPort: number;
  readonly MeshGateway: MeshGatewayConfig;
};
export type ProxyConfig = {
  readonly Config: { readonly [key: string]: Opaque } | null;
  readonly DestinationServiceID: string;
  readonly DestinationServiceName: string;
  readonly Expose: ExposeConfig;
  readonly LocalServiceAddress: string;
  readonly LocalServicePort: number;
  readonly MeshGateway: MeshGatewayConfig;
  readonly Upstreams: readonly Upstream[] | null;
};

/** Go's NodeService: one instance of a service on a node. */
export type ServiceRow = {
  readonly Address: string;
  readonly Connect: ServiceConnect;
  readonly CreateIndex: number;
  readonly EnableTagOverride: boolean;
  readonly ID: string;
  readonly Kind: string;
  readonly LocallyRegisteredAsSidecar: boolean;
  readonly Meta: StringMap | null;
  readonly ModifyIndex: number;
  readonly Port: number;
  readonly Proxy: ProxyConfig;
  readonly Service: string;
  readonly TaggedAddresses: { readonly [name: string]: ServiceAddress } | null;
  readonly Tags: readonly string[] | null;
  readonly Weights: Weights | null;
};

export type CheckDefinition = {
  readonly AliasNode: string;
  readonly AliasService: string;
  readonly Body: FreeText;
  readonly DeregisterCriticalServiceAfter: DurationNs;
  readonly DockerContainerID: string;
  readonly GRPC: string;
  readonly GRPCUseTLS: boolean;
  readonly HTTP: string;
  readonly Header: { readonly [name: string]: readonly string[] | null } | null;
  readonly Interval: DurationNs;
  readonly Method: string;
  readonly OutputMaxSize: number;
  readonly ScriptArgs: readonly string[] | null;
  readonly Shell: string;
  readonly TCP: string;
  readonly TLSSkipVerify: boolean;
  readonly TTL: DurationNs;
  readonly Timeout: DurationNs;
};

/** Go's HealthCheck. ServiceID '' means a check of the whole node. */
export type CheckRow = {
  readonly CheckID: string;
  readonly CreateIndex: number;
  readonly Definition: CheckDefinition;
  readonly ModifyIndex: number;
  readonly Name: string;
  readonly Node: string;
  readonly Notes: FreeText;
  readonly Output: FreeText;
  readonly ServiceID: string;
  readonly ServiceName: string;
  readonly ServiceTags: readonly string[] | null;
  /** 'passing' | 'warning' | 'critical' */
  readonly Status: string;
  readonly Type: string;
};

/** A service instance with its node and all checks that speak for it (the node's and its own). */
export type CheckServiceNode = {
  readonly Checks: readonly CheckRow[] | null;
  readonly Node: NodeRow;
  readonly Service: ServiceRow;
};

/** Go's ServiceNode: the flat row of /v1/catalog/service. */
export type ServiceNodeRow = {
  readonly Address: string;
  readonly CreateIndex: number;
  readonly Datacenter: string;
  readonly ID: string;
  readonly ModifyIndex: number;
  readonly Node: string;
  readonly NodeMeta: StringMap | null;
  readonly ServiceAddress: string;
  readonly ServiceConnect: ServiceConnect;
  readonly ServiceEnableTagOverride: boolean;
  readonly ServiceID: string;
  readonly ServiceKind: string;
  readonly ServiceMeta: StringMap | null;
  readonly ServiceName: string;
  readonly ServicePort: number;
  readonly ServiceProxy: ProxyConfig;
  readonly ServiceTaggedAddresses: { readonly [name: string]: ServiceAddress } | null;
  readonly ServiceTags: readonly string[] | null;
  readonly ServiceWeights: Weights;
  readonly TaggedAddresses: StringMap | null;
};

/** What one datacenter publishes about its own gateways. UpdatedAt is Go's 15-byte binary time. */
export type FederationState = {
  readonly CreateIndex: number;
  readonly Datacenter: string;
  readonly MeshGateways: readonly CheckServiceNode[] | null;
  readonly ModifyIndex: number;
  readonly PrimaryModifyIndex: number;
  readonly UpdatedAt: Uint8Array;
};

/**
 * One root of the mesh's certificate authority, as peers are told of it. `ExternalTrustDomain` is the cluster id, and the
 * times are Go's binary ones. A row never carries the key: SigningKey is empty outside of the provider's own state.
 */
export type CaRoot = {
  readonly Active: boolean;
  readonly CreateIndex: number;
  readonly ExternalTrustDomain: string;
  readonly ID: string;
  readonly IntermediateCerts: readonly string[] | null;
  readonly ModifyIndex: number;
  readonly Name: string;
  readonly NotAfter: Uint8Array;
  readonly NotBefore: Uint8Array;
  readonly PrivateKeyBits: number;
  readonly PrivateKeyType: string;
  readonly RootCert: string;
  readonly RotatedOutAt: Uint8Array;
  readonly SerialNumber: number | bigint;
  readonly SigningCert: string;
  readonly SigningKey: string;
  readonly SigningKeyID: string;
};

/** How certificates are made, and for which cluster: `ClusterID` never changes once it is set. */
export type CaConfig = {
  readonly ClusterID: string;
  readonly Config: { readonly [key: string]: Opaque } | null;
  readonly CreateIndex: number;
  readonly ForceWithoutCrossSigning: boolean;
  readonly ModifyIndex: number;
  readonly Provider: string;
  readonly State: StringMap | null;
};

/** What the built-in authority signs with. The only row that holds a private key; it leaves this datacenter in snapshots alone. */
export type CaProviderState = {
  readonly CreateIndex: number;
  readonly ID: string;
  readonly IntermediateCert: string;
  readonly ModifyIndex: number;
  readonly PrivateKey: string;
  readonly RootCert: string;
};

export type Coordinate = {
  readonly Coord: {
    readonly Adjustment: number | Float;
    readonly Error: number | Float;
    readonly Height: number | Float;
    readonly Vec: readonly (number | Float)[] | null;
  } | null;
  readonly Node: string;
  readonly Segment: string;
};
