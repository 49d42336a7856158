/**
 * row-shapes.ts: what each row must look like when a stranger hands it over.
 *
 * Lives here: one table of fields per row. Must not live here: how a value is held against it (shapes.ts).
 * Source: Consul agent/structs (v1.9.8).
 */
import type {
  CaConfig,
  CaProviderState,
  CaRoot,
  CheckDefinition,
  CheckRow,
  CheckServiceNode,
  Coordinate,
  ExposeConfig,
  ExposePath,
  FederationState,
  MeshGatewayConfig,
  NodeRow,
  ProxyConfig,
  ServiceAddress,
  ServiceRow,
  Upstream,
} from './rows.ts';
import type { Fields, Shape } from './shapes.ts';

// The shapes behind the types. `satisfies` keeps the two from drifting apart.

const serviceAddressFields = { Address: 'text', Port: 'int' } as const satisfies Record<
  keyof ServiceAddress,
  unknown
>;
const meshGatewayFields = { Mode: 'text' } as const satisfies Record<keyof MeshGatewayConfig, unknown>;

const nodeFields = {
  Address: 'text',
  CreateIndex: 'index',
  Datacenter: 'text',
  ID: 'text',
  Meta: { map: 'text' },
  ModifyIndex: 'index',
  Node: 'text',
  TaggedAddresses: { map: 'text' },
} as const satisfies Fields & Record<keyof NodeRow, unknown>;

const exposePathFields = {
  ListenerPort: 'int',
  LocalPathPort: 'int',
  ParsedFromCheck: 'bool',
  Path: 'text',
  Protocol: 'text',
} as const satisfies Fields & Record<keyof ExposePath, unknown>;

const exposeFields = {
  Checks: 'bool',
  Paths: { list: { struct: exposePathFields } },
} as const satisfies Fields & Record<keyof ExposeConfig, unknown>;

const upstreamFields = {
  Config: { map: 'opaque' },
  Datacenter: 'text',
  DestinationName: 'text',
  DestinationNamespace: 'text',
  DestinationType: 'text',
  IngressHosts: { list: 'text' },
  LocalBindAddress: 'text',
  LocalBindPort: 'int',
  MeshGateway: { struct: meshGatewayFields },
} as const satisfies Fields & Record<keyof Upstream, unknown>;

const proxyFields = {
  Config: { map: 'opaque' },
  DestinationServiceID: 'text',
  DestinationServiceName: 'text',
  Expose: { struct: exposeFields },
  LocalServiceAddress: 'text',
  LocalServicePort: 'int',
  MeshGateway: { struct: meshGatewayFields },
  Upstreams: { list: { struct: upstreamFields } },
} as const satisfies Fields & Record<keyof ProxyConfig, unknown>;

const serviceFields = {
  Address: 'text',
  Connect: { struct: { Native: 'bool', SidecarService: 'opaque' } },
  CreateIndex: 'index',
  EnableTagOverride: 'bool',
  ID: 'text',
  Kind: 'text',
  LocallyRegisteredAsSidecar: 'bool',
  Meta: { map: 'text' },
  ModifyIndex: 'index',
  Port: 'int',
  Proxy: { struct: proxyFields },
  Service: 'text',
  TaggedAddresses: { map: { struct: serviceAddressFields } },
  Tags: { list: 'text' },
  Weights: { pointer: { Passing: 'int', Warning: 'int' } },
} as const satisfies Fields & Record<keyof ServiceRow, unknown>;

const definitionFields = {
  AliasNode: 'text',
  AliasService: 'text',
  Body: 'freeText',
  DeregisterCriticalServiceAfter: 'int',
  DockerContainerID: 'text',
  GRPC: 'text',
  GRPCUseTLS: 'bool',
  HTTP: 'text',
  Header: { map: { list: 'text' } },
  Interval: 'int',
  Method: 'text',
  OutputMaxSize: 'int',
  ScriptArgs: { list: 'text' },
  Shell: 'text',
  TCP: 'text',
  TLSSkipVerify: 'bool',
  TTL: 'int',
  Timeout: 'int',
} as const satisfies Fields & Record<keyof CheckDefinition, unknown>;

const checkFields = {
  CheckID: 'text',
  CreateIndex: 'index',
  Definition: { struct: definitionFields },
  ModifyIndex: 'index',
  Name: 'text',
  Node: 'text',
  Notes: 'freeText',
  Output: 'freeText',
  ServiceID: 'text',
  ServiceName: 'text',
  ServiceTags: { list: 'text' },
  Status: 'text',
  Type: 'text',
} as const satisfies Fields & Record<keyof CheckRow, unknown>;

const checkServiceNodeFields = {
  Checks: { list: { struct: checkFields } },
  Node: { struct: nodeFields },
  Service: { struct: serviceFields },
} as const satisfies Fields & Record<keyof CheckServiceNode, unknown>;

const federationStateFields = {
  CreateIndex: 'index',
  Datacenter: 'text',
  MeshGateways: { list: { struct: checkServiceNodeFields } },
  ModifyIndex: 'index',
  PrimaryModifyIndex: 'index',
  UpdatedAt: 'time',
} as const satisfies Fields & Record<keyof FederationState, unknown>;

const coordinateFields = {
  Coord: { pointer: { Adjustment: 'opaque', Error: 'opaque', Height: 'opaque', Vec: { list: 'opaque' } } },
  Node: 'text',
  Segment: 'text',
} as const satisfies Fields & Record<keyof Coordinate, unknown>;

const caRootFields = {
  Active: 'bool',
  CreateIndex: 'index',
  ExternalTrustDomain: 'text',
  ID: 'text',
  IntermediateCerts: { list: 'text' },
  ModifyIndex: 'index',
  Name: 'text',
  NotAfter: 'time',
  NotBefore: 'time',
  PrivateKeyBits: 'int',
  PrivateKeyType: 'text',
  RootCert: 'text',
  RotatedOutAt: 'time',
  SerialNumber: 'int',
  SigningCert: 'text',
  SigningKey: 'text',
  SigningKeyID: 'text',
} as const satisfies Fields & Record<keyof CaRoot, unknown>;

const caConfigFields = {
  ClusterID: 'text',
  Config: { map: 'opaque' },
  CreateIndex: 'index',
  ForceWithoutCrossSigning: 'bool',
  ModifyIndex: 'index',
  Provider: 'text',
  State: { map: 'text' },
} as const satisfies Fields & Record<keyof CaConfig, unknown>;

const caProviderStateFields = {
  CreateIndex: 'index',
  ID: 'text',
  IntermediateCert: 'text',
  ModifyIndex: 'index',
  PrivateKey: 'text',
  RootCert: 'text',
} as const satisfies Fields & Record<keyof CaProviderState, unknown>;

/** Shapes by row, for whoever reads a message that contains one. */
export const shapes: { readonly [row in RowName]: Shape } = {
  node: { struct: nodeFields },
  service: { struct: serviceFields },
  check: { struct: checkFields },
  checkServiceNode: { struct: checkServiceNodeFields },
  federationState: { struct: federationStateFields },
  coordinate: { struct: coordinateFields },
  caRoot: { struct: caRootFields },
  caConfig: { struct: caConfigFields },
  caProviderState: { struct: caProviderStateFields },
};

type RowName =
  | 'node'
  | 'service'
  | 'check'
  | 'checkServiceNode'
  | 'federationState'
  | 'coordinate'
  | 'caRoot'
  | 'caConfig'
  | 'caProviderState';

/** Keys whose raw value is binary wherever it stands: pass to `decode` of @fed/msgpack for any message with rows. */
export const binaryKeys: ReadonlySet<string> = new Set([
  'UpdatedAt',
  'NotAfter',
  'NotBefore',
  'RotatedOutAt',
]);
