/** The public door of @fed/fsm. */
export {
  type BlockingQueryOptions,
  blockingQuery,
  queryWaitDefaultMs,
  queryWaitMaxMs,
  type WatchableStore,
} from './blocking-query.ts';
export {
  type CaRequest,
  type Command,
  type DeregisterRequest,
  decodeCommand,
  encodeCommand,
  messageType,
  newCaRequest,
  newDeregisterRequest,
  newRegisterRequest,
  type RegisterRequest,
} from './command.ts';
export type { ConfigEntryOp } from './config-entries/apply.ts';
export {
  type ConfigEntry,
  type ConfigEntryValue,
  configEntryNamed,
  entryIndexes,
  entryWithIndexes,
  newConfigEntry,
  sameConfigEntry,
} from './config-entries/entry.ts';
export { configEntryJson } from './config-entries/json.ts';
export {
  configEntryKinds,
  configEntrySchemas,
  type EntryField,
  type EntryFields,
  type EntryShape,
} from './config-entries/schema.ts';
export {
  type ConfigEntryRequest,
  decodeConfigEntryRequest,
  encodeConfigEntry,
  encodeConfigEntryRequest,
  readConfigEntry,
} from './config-entries/wire.ts';
export { type CaOp, caSerialKey } from './connect-ca.ts';
export type { EngineHooks, EngineStats, Leadership, LogEngine, OpenEngine } from './engine.ts';
export { FsmError, RowError, SnapshotError } from './errors.ts';
export { type Fsm, openFsm } from './fsm.ts';
export { goDuration, goJson, type JsonValue } from './go-json.ts';
export {
  checkJson,
  checkServiceNodeJson,
  federationStateJson,
  type JsonOptions,
  nodeJson,
  serviceJson,
  serviceNodeJson,
} from './json.ts';
export { LogError } from './log/errors.ts';
export { type LogFile, type LogFs, nodeFs } from './log/fs.ts';
export { createMemoryFs, type MemoryFs } from './log/memory-fs.ts';
export { embeddedLog, openEmbeddedLog } from './log/open.ts';
export type { EmbeddedLogOptions, LogEvent } from './log/options.ts';
export {
  newCaConfig,
  newCaProviderState,
  newCaRoot,
  newCheck,
  newCheckServiceNode,
  newCoordinate,
  newFederationState,
  newNode,
  newService,
} from './new-row.ts';
export type { Clock, Rng } from './ports.ts';
export type { ReadStore, Rows } from './read-store.ts';
export { binaryKeys } from './row-shapes.ts';
export type {
  CaConfig,
  CaProviderState,
  CaRoot,
  CheckDefinition,
  CheckRow,
  CheckServiceNode,
  Coordinate,
  DurationNs,
  ExposeConfig,
  ExposePath,
  FederationState,
  FreeText,
  MeshGatewayConfig,
  NodeRow,
  Opaque,
  ProxyConfig,
  ServiceAddress,
  ServiceConnect,
  ServiceNodeRow,
  ServiceRow,
  StringMap,
  Upstream,
  Weights,
} from './rows.ts';
export { splitRecords } from './snapshot.ts';
export { serviceNodeOf } from './store-reader.ts';
export { systemClock, systemRng } from './system.ts';
