/**
 * apply.ts: what the commands about config entries mean.
 *
 * A user's write is held against the other entries, so that no mesh has to follow a resolver in circles; a secondary's copy
 * is not: the primary has judged it, and its entries arrive one by one, a reference perhaps before what it refers to.
 * Lives here: the rules of writing. Must not live here: bytes (wire.ts), fields of a kind (schema.ts).
 * Source: Consul agent/consul/state/config_entry.go (EnsureConfigEntry, EnsureConfigEntryCAS, DeleteConfigEntry; v1.10.1).
 */
import { FsmError } from '../errors.ts';
import { indexKey, keyOf, type Transaction } from '../tables.ts';
import { type ConfigEntry, entryIndexes, entryWithIndexes } from './entry.ts';
import { checkGraph } from './graph.ts';
import type { ConfigEntryRequest } from './wire.ts';

/** `replicate-*` are ours: what a secondary writes of the primary's. The others have the original's names. */
export type ConfigEntryOp =
  | 'upsert'
  | 'upsert-cas'
  | 'delete'
  | 'delete-cas'
  | 'replicate-upsert'
  | 'replicate-delete';

/** True for something written, false for a conditional write that came too late, null for a deletion. */
export function applyConfigEntry(tx: Transaction, { op, entry }: ConfigEntryRequest): boolean | null {
  if (entry.kind === '' || entry.name === '')
    throw new FsmError('invalid', 'a config entry needs a kind and a name');
  const old = tx.tables.configEntries.get(keyOf(entry.kind, entry.name));
  const seen = entryIndexes(entry).modifyIndex;
  switch (op as ConfigEntryOp) {
    case 'upsert':
      checkGraph(entriesOf(tx), entry, 'put');
      return put(tx, entry, old);
    case 'upsert-cas':
      // 0 means: only if there is none yet.
      if (seen !== (old === undefined ? 0 : entryIndexes(old).modifyIndex)) return false;
      checkGraph(entriesOf(tx), entry, 'put');
      return put(tx, entry, old);
    case 'replicate-upsert':
      return put(tx, entry, old);
    case 'delete-cas':
      if (old === undefined || seen !== entryIndexes(old).modifyIndex) return false;
      checkGraph(entriesOf(tx), entry, 'delete');
      remove(tx, old);
      return true;
    case 'delete':
      if (old !== undefined) {
        checkGraph(entriesOf(tx), entry, 'delete');
        remove(tx, old);
      }
      return null;
    case 'replicate-delete':
      if (old !== undefined) remove(tx, old);
      return null;
  }
  throw new FsmError('invalid', `invalid config entry operation "${op}"`);
}

/** As an entry of a snapshot: the row as it is, the table's index at least as high as the row's. */
export function restoreConfigEntry(tx: Transaction, entry: ConfigEntry): void {
  tx.putConfigEntry(entry);
  tx.raise(indexKey.configEntries, entryIndexes(entry).modifyIndex);
}

function put(tx: Transaction, entry: ConfigEntry, old: ConfigEntry | undefined): true {
  const createIndex = old === undefined ? tx.index : entryIndexes(old).createIndex;
  tx.putConfigEntry(entryWithIndexes(entry, createIndex, tx.index));
  tx.raise(indexKey.configEntries, tx.index);
  return true;
}

function remove(tx: Transaction, old: ConfigEntry): void {
  tx.deleteConfigEntry(old);
  tx.raise(indexKey.configEntries, tx.index);
}

function entriesOf(tx: Transaction): (kind: string, name?: string) => readonly ConfigEntry[] {
  return (kind, name) => {
    if (name === undefined) return tx.tables.configEntries.withPrefix(`${keyOf(kind)}\0`);
    const found = tx.tables.configEntries.get(keyOf(kind, name));
    return found === undefined ? [] : [found];
  };
}
