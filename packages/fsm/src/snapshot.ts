/**
 * snapshot.ts: the whole state as a stream of records, in the original's own format (I2).
 *
 * A header {LastIndex}, then records of one type byte and one msgpack value: nodes with their services and checks, then
 * coordinates, what we only keep for others, federation states, indexes. One can be restored by a Consul server and one
 * of its snapshots by us; records we give no meaning to come out as they went in.
 * Lives here: tables to records and back. Must not live here: files, checksums (log/snapshot-file.ts), archives.
 * Source: Consul agent/consul/fsm/snapshot.go, snapshot_oss.go (v1.9.8).
 */
import { MsgpackError, Reader, type Value, Writer } from '@fed/msgpack';
import { restoreFederationState, updateCoordinates } from './apply.ts';
import { register } from './catalog.ts';
import { type Command, decodeCommand, encodeCommand, messageType, newRegisterRequest } from './command.ts';
import { restoreConfigEntry } from './config-entries/apply.ts';
import type { ConfigEntry } from './config-entries/entry.ts';
import { restoreCa } from './connect-ca.ts';
import { FsmError, RowError, SnapshotError } from './errors.ts';
import { newCaConfig, newCaProviderState, newCaRoot } from './new-row.ts';
import { binaryKeys } from './row-shapes.ts';
import type { CaConfig, CaProviderState, CaRoot, NodeRow } from './rows.ts';
import type { Store } from './store.ts';
import { type ForeignRecord, prefixOf, type Tables, type Transaction } from './tables.ts';

export type SnapshotRecord =
  | {
      readonly kind: 'command';
      readonly command: Exclude<Command, { type: 'foreign' | 'deregister' | 'connectCa' }>;
    }
  | { readonly kind: 'caRoot'; readonly row: CaRoot }
  | { readonly kind: 'caProviderState'; readonly row: CaProviderState }
  | { readonly kind: 'caConfig'; readonly row: CaConfig }
  | { readonly kind: 'index'; readonly key: string; readonly value: number }
  | { readonly kind: 'foreign'; readonly record: ForeignRecord };

export function encodeHeader(lastIndex: number): Uint8Array {
  return new Writer().value({ LastIndex: lastIndex }).take();
}

export function decodeHeader(bytes: Uint8Array): { readonly lastIndex: number } {
  return readHeader(new Reader(bytes));
}

export function encodeRecord(record: SnapshotRecord): Uint8Array {
  switch (record.kind) {
    case 'command':
      return encodeCommand(record.command);
    case 'caRoot':
      return new Writer().u8(messageType.connectCa).value(record.row).take();
    case 'caProviderState':
      return new Writer().u8(messageType.caProviderState).value(record.row).take();
    case 'caConfig':
      return new Writer().u8(messageType.caConfig).value(record.row).take();
    case 'index':
      return new Writer().u8(messageType.index).value({ Key: record.key, Value: record.value }).take();
    case 'foreign':
      return new Writer().u8(record.record.typeByte).verbatim(record.record.body).take();
  }
}

/** Throws FsmError `malformed`. */
export function decodeRecord(bytes: Uint8Array): SnapshotRecord {
  if (bytes[0] === messageType.index) return indexRecord(new Reader(bytes, 1).value());
  const authority = caRecord(bytes);
  if (authority !== undefined) return authority;
  const command = decodeCommand(bytes);
  switch (command.type) {
    case 'register':
    case 'federationState':
    case 'coordinates':
    case 'configEntry':
      return { kind: 'command', command };
    case 'foreign':
      return { kind: 'foreign', record: { typeByte: command.typeByte, body: command.body } };
    case 'connectCa':
    case 'deregister':
      throw new FsmError('malformed', 'a snapshot holds what is, not what was removed');
  }
}

/** The same type byte means a request in the log, and a bare row here. */
function caRecord(bytes: Uint8Array): SnapshotRecord | undefined {
  const row = (): Value => new Reader(bytes, 1).value({ binaryKeys });
  try {
    switch (bytes[0]) {
      case messageType.connectCa:
        return { kind: 'caRoot', row: newCaRoot(row()) };
      case messageType.caProviderState:
        return { kind: 'caProviderState', row: newCaProviderState(row()) };
      case messageType.caConfig:
        return { kind: 'caConfig', row: newCaConfig(row()) };
      default:
        return undefined;
    }
  } catch (cause) {
    if (!(cause instanceof RowError)) throw cause;
    throw new FsmError('malformed', `snapshot record of type ${bytes[0]}: ${cause.message}`, { cause });
  }
}

/** What is read is the state at the moment of the call, however late the records are taken. */
export function snapshotRecords(store: Store): Iterable<Uint8Array> {
  const { tables, appliedIndex } = store;
  const captured = {
    lastIndex: appliedIndex,
    nodes: capture(tables),
    coordinates: tables.coordinates.values(),
    federationStates: tables.federationStates.values(),
    caRoots: tables.caRoots.values(),
    caProviderStates: tables.caProviderStates.values(),
    caConfig: tables.caConfig.values(),
    configEntries: tables.configEntries.values(),
    indexes: tables.indexes.entries(),
    foreign: tables.foreign,
  };
  return records(captured);
}

type Captured = {
  readonly lastIndex: number;
  readonly nodes: readonly ReturnType<typeof captureNode>[];
  readonly coordinates: ReturnType<Tables['coordinates']['values']>;
  readonly federationStates: ReturnType<Tables['federationStates']['values']>;
  readonly caRoots: readonly CaRoot[];
  readonly caProviderStates: readonly CaProviderState[];
  readonly caConfig: readonly CaConfig[];
  readonly configEntries: readonly ConfigEntry[];
  readonly indexes: ReturnType<Tables['indexes']['entries']>;
  readonly foreign: readonly ForeignRecord[];
};

function capture(tables: Tables): Captured['nodes'] {
  return tables.nodes.values().map((node) => captureNode(tables, node));
}

function captureNode(tables: Tables, node: NodeRow) {
  return {
    node,
    services: tables.services.withPrefix(prefixOf(node.Node)),
    checks: tables.checks.withPrefix(prefixOf(node.Node)),
  };
}

function* records(state: Captured): Generator<Uint8Array> {
  yield encodeHeader(state.lastIndex);
  for (const { node, services, checks } of state.nodes) {
    const base = {
      Address: node.Address,
      Check: null,
      Checks: null,
      CreateIndex: node.CreateIndex,
      Datacenter: node.Datacenter,
      ID: node.ID,
      ModifyIndex: node.ModifyIndex,
      Node: node.Node,
      NodeMeta: node.Meta,
      Service: null,
      SkipNodeUpdate: false,
      TaggedAddresses: node.TaggedAddresses,
      Token: '',
    };
    yield registration(base);
    for (const { service } of services) yield registration({ ...base, Service: service });
    for (const check of checks) yield registration({ ...base, Check: check });
  }
  for (const coordinate of state.coordinates)
    yield encodeCommand({ type: 'coordinates', updates: [coordinate] });
  yield* foreign(state.foreign, 'beforeAuthority');
  for (const row of state.caRoots) yield encodeRecord({ kind: 'caRoot', row });
  for (const row of state.caProviderStates) yield encodeRecord({ kind: 'caProviderState', row });
  for (const row of state.caConfig) yield encodeRecord({ kind: 'caConfig', row });
  for (const entry of state.configEntries)
    yield encodeCommand({ type: 'configEntry', request: { op: 'upsert', entry } });
  for (const row of state.federationStates)
    yield encodeCommand({ type: 'federationState', op: 'upsert', state: row });
  yield* foreign(state.foreign, 'beforeIndexes');
  for (const [key, value] of state.indexes) yield encodeRecord({ kind: 'index', key, value });
  yield* foreign(state.foreign, 'last');
}

function registration(request: { readonly [key: string]: unknown }): Uint8Array {
  return encodeCommand({ type: 'register', request: newRegisterRequest(request) });
}

/** The original writes newer kinds after the federation states, and the chunking state after everything. */
function place(typeByte: number): 'beforeAuthority' | 'beforeIndexes' | 'last' {
  const chunkingState = 29;
  if (typeByte === chunkingState) return 'last';
  if (typeByte > messageType.federationState) return 'beforeIndexes';
  return 'beforeAuthority';
}

function* foreign(all: readonly ForeignRecord[], where: ReturnType<typeof place>): Generator<Uint8Array> {
  for (const record of all)
    if (place(record.typeByte) === where) yield encodeRecord({ kind: 'foreign', record });
}

/**
 * Replaces the state by these records, the first being the header. `index` is the log index they stand for; without it,
 * the header's. Throws SnapshotError and leaves the state alone.
 */
export function restoreRecords(
  store: Store,
  all: Iterable<Uint8Array>,
  index?: number,
): { lastIndex: number } {
  const iterator = all[Symbol.iterator]();
  const first = iterator.next();
  if (first.done === true) throw new SnapshotError('malformed_header', 0, 'there is no header');
  const { lastIndex } = guard(0, 'malformed_header', () => decodeHeader(first.value));
  const foreignRecords: ForeignRecord[] = [];
  store.restore(index ?? lastIndex, (tx) => {
    for (let number = 1, next = iterator.next(); next.done !== true; number++, next = iterator.next()) {
      const bytes = next.value;
      const record = guard(number, 'malformed_record', () => decodeRecord(bytes));
      guard(number, 'refused_record', () => restoreRecord(tx, record, foreignRecords));
    }
    tx.tables.foreign = Object.freeze(foreignRecords);
  });
  return { lastIndex };
}

function restoreRecord(tx: Transaction, record: SnapshotRecord, foreignRecords: ForeignRecord[]): void {
  switch (record.kind) {
    case 'index':
      // The snapshot's word is final, even where a row restored before it had raised the index higher.
      tx.setIndex(record.key, record.value);
      return;
    case 'caRoot':
    case 'caProviderState':
    case 'caConfig':
      restoreCa(tx, record);
      return;
    case 'foreign':
      foreignRecords.push(record.record);
      return;
    case 'command':
      switch (record.command.type) {
        case 'register':
          register(tx, record.command.request, { restoring: true });
          return;
        case 'coordinates':
          updateCoordinates(tx, record.command.updates);
          return;
        case 'federationState':
          // The operation is not looked at: what stands in a snapshot is.
          if (record.command.state !== null) restoreFederationState(tx, record.command.state);
          return;
        case 'configEntry':
          restoreConfigEntry(tx, record.command.request.entry);
          return;
      }
  }
}

/** Cuts the original's state.bin, one value after another without lengths, into header and records. Throws SnapshotError. */
export function splitRecords(bytes: Uint8Array): readonly Uint8Array[] {
  const reader = new Reader(bytes);
  const parts: Uint8Array[] = [];
  while (reader.offset < bytes.length) {
    const start = reader.offset;
    guard(parts.length, parts.length === 0 ? 'malformed_header' : 'malformed_record', () => {
      if (parts.length > 0) reader.offset++;
      reader.skip();
    });
    parts.push(bytes.subarray(start, reader.offset));
  }
  return parts;
}

function readHeader(reader: Reader): { readonly lastIndex: number } {
  const value = reader.value();
  const { LastIndex: lastIndex } = fields(value);
  if (typeof lastIndex !== 'number' || !Number.isSafeInteger(lastIndex) || lastIndex < 0)
    throw new FsmError('malformed', 'the header has no LastIndex');
  return { lastIndex };
}

function indexRecord(value: Value): SnapshotRecord {
  const { Key: key, Value: number } = fields(value);
  if (typeof key !== 'string' || typeof number !== 'number' || !Number.isSafeInteger(number) || number < 0)
    throw new FsmError('malformed', 'an index record needs Key and Value');
  return { kind: 'index', key, value: number };
}

function fields(value: Value): { readonly LastIndex?: Value; readonly Key?: Value; readonly Value?: Value } {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new FsmError('malformed', 'a map was expected');
  return value as ReturnType<typeof fields>;
}

/** Peers' faults get the number of their record; our own bugs pass through. */
function guard<T>(record: number, code: SnapshotError['code'], read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof MsgpackError)
      throw new SnapshotError(cause.code === 'truncated' ? 'truncated' : code, record, cause.message, {
        cause,
      });
    if (cause instanceof FsmError) throw new SnapshotError(code, record, cause.message, { cause });
    throw cause;
  }
}
