/**
 * new-row.ts: rows are made here, complete and frozen.
 *
 * Each constructor takes a decoded value or a partial row, fills in every key a 1.9 struct emits, keeps unknown keys and
 * freezes the result. A value that lacks nothing is frozen in place, not copied. A field of the wrong type is a RowError
 * that names it.
 * Lives here: making, re-indexing and comparing rows. Must not live here: tables.
 */
import { newMap, type Value } from '@fed/msgpack';
import { shapes } from './row-shapes.ts';
import type {
  CaConfig,
  CaProviderState,
  CaRoot,
  CheckDefinition,
  CheckRow,
  CheckServiceNode,
  Coordinate,
  FederationState,
  NodeRow,
  ServiceRow,
} from './rows.ts';
import { conform, freeze, sameBut } from './shapes.ts';

export function newNode(row: Partial<NodeRow> | Value): NodeRow {
  return freeze(conform(row as Value, shapes.node) as NodeRow);
}

export function newService(row: Partial<ServiceRow> | Value): ServiceRow {
  return freeze(conform(row as Value, shapes.service) as ServiceRow);
}

export function newCheck(
  row: (Partial<Omit<CheckRow, 'Definition'>> & { readonly Definition?: Partial<CheckDefinition> }) | Value,
): CheckRow {
  return freeze(conform(row as Value, shapes.check) as CheckRow);
}

export function newCheckServiceNode(row: Partial<CheckServiceNode> | Value): CheckServiceNode {
  return freeze(conform(row as Value, shapes.checkServiceNode) as CheckServiceNode);
}

export function newFederationState(row: Partial<FederationState> | Value): FederationState {
  return freeze(conform(row as Value, shapes.federationState) as FederationState);
}

export function newCoordinate(row: Partial<Coordinate> | Value): Coordinate {
  return freeze(conform(row as Value, shapes.coordinate) as Coordinate);
}

export function newCaRoot(row: Partial<CaRoot> | Value): CaRoot {
  return freeze(conform(row as Value, shapes.caRoot) as CaRoot);
}

export function newCaConfig(row: Partial<CaConfig> | Value): CaConfig {
  return freeze(conform(row as Value, shapes.caConfig) as CaConfig);
}

export function newCaProviderState(row: Partial<CaProviderState> | Value): CaProviderState {
  return freeze(conform(row as Value, shapes.caProviderState) as CaProviderState);
}

type Indexed = { readonly CreateIndex: number; readonly ModifyIndex: number };

/** The row under other indexes; key order is kept. */
export function withIndexes<T extends Indexed>(row: T, createIndex: number, modifyIndex: number): T {
  return freeze(
    Object.assign(newMap(), row, { CreateIndex: createIndex, ModifyIndex: modifyIndex }) as unknown as T,
  );
}

const indexFields: ReadonlySet<string> = new Set(['CreateIndex', 'ModifyIndex']);

/** Whether two rows say the same, apart from when they were written. */
export function sameButIndexes<T extends Indexed>(a: T, b: T): boolean {
  return sameBut(a, b, indexFields);
}
