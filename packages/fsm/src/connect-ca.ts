/**
 * connect-ca.ts: what the commands of the certificate authority mean.
 *
 * Roots are replaced as a whole, and only by who has seen the ones they replace; the cluster id, once set, stays. The
 * serial number is a counter in the index table, where the original keeps it, so that it survives in any snapshot.
 * Lives here: the rules and their index bumps. Must not live here: certificates, keys, who may ask.
 * Source: Consul agent/consul/fsm/commands_oss.go (applyConnectCAOperation), agent/consul/state/connect_ca.go (v1.9.8).
 */
import type { CaRequest } from './command.ts';
import { FsmError } from './errors.ts';
import { newCaConfig, withIndexes } from './new-row.ts';
import type { CaConfig, CaProviderState, CaRoot } from './rows.ts';
import { indexKey, type Transaction } from './tables.ts';

export type CaOp =
  | 'set-config'
  | 'set-roots'
  | 'set-roots-config'
  | 'set-provider-state'
  | 'delete-provider-state'
  | 'increment-provider-serial';

/** The index key whose value is the last serial number given out. */
export const caSerialKey: string = indexKey.caSerial;

/** Whether it was written; for a serial number, the number; null for a configuration set unconditionally. */
export function applyCa(tx: Transaction, request: CaRequest): boolean | number | null {
  switch (request.Op as CaOp) {
    case 'set-config':
      return setConfig(tx, required(request.Config, request.Op, 'Config'));
    case 'set-roots':
      return setRoots(tx, request.Index, request.Roots ?? []);
    case 'set-roots-config': {
      const config = required(request.Config, request.Op, 'Config');
      // Both or neither: a refused configuration takes the whole transaction along.
      if (!setRoots(tx, request.Index, request.Roots ?? [])) return false;
      setConfig(tx, config);
      return true;
    }
    case 'set-provider-state':
      setProviderState(tx, required(request.ProviderState, request.Op, 'ProviderState'));
      return true;
    case 'delete-provider-state':
      tx.deleteCaProviderState(required(request.ProviderState, request.Op, 'ProviderState').ID);
      tx.raise(indexKey.caProviderStates, tx.index);
      return true;
    case 'increment-provider-serial':
      return nextSerial(tx);
  }
  throw new FsmError('invalid', `invalid CA operation "${request.Op}"`);
}

/** As an entry of a snapshot: the row as it is, the table's index at least as high as the row's. */
export function restoreCa(
  tx: Transaction,
  record:
    | { readonly kind: 'caRoot'; readonly row: CaRoot }
    | { readonly kind: 'caProviderState'; readonly row: CaProviderState }
    | { readonly kind: 'caConfig'; readonly row: CaConfig },
): void {
  switch (record.kind) {
    case 'caRoot':
      tx.putCaRoot(record.row);
      tx.raise(indexKey.caRoots, record.row.ModifyIndex);
      return;
    case 'caProviderState':
      tx.putCaProviderState(record.row);
      tx.raise(indexKey.caProviderStates, record.row.ModifyIndex);
      return;
    case 'caConfig':
      tx.putCaConfig(record.row);
      return;
  }
}

/** A ModifyIndex other than 0 makes it conditional: on a configuration nobody has changed since. */
function setConfig(tx: Transaction, config: CaConfig): true | null {
  const old = tx.tables.caConfig.get('');
  const conditional = config.ModifyIndex !== 0;
  if (conditional && old?.ModifyIndex !== config.ModifyIndex)
    throw new FsmError('invalid', 'the CA configuration was changed by somebody else meanwhile');
  const kept =
    config.ClusterID === '' && old !== undefined ? { ...config, ClusterID: old.ClusterID } : config;
  tx.putCaConfig(withIndexes(newCaConfig(kept), old?.CreateIndex ?? tx.index, tx.index));
  return conditional ? true : null;
}

function setRoots(tx: Transaction, seenIndex: number, roots: readonly CaRoot[]): boolean {
  if (roots.filter((root) => root.Active).length !== 1)
    throw new FsmError('invalid', 'exactly one CA root must be active');
  if (roots.some((root) => root.ID === '')) throw new FsmError('invalid', 'a CA root needs an ID');
  if ((tx.tables.indexes.get(indexKey.caRoots) ?? 0) !== seenIndex) return false;
  const old = tx.tables.caRoots.values();
  for (const root of old) tx.deleteCaRoot(root);
  for (const root of roots) {
    const before = old.find((known) => known.ID === root.ID);
    tx.putCaRoot(withIndexes(root, before?.CreateIndex ?? tx.index, tx.index));
  }
  tx.raise(indexKey.caRoots, tx.index);
  return true;
}

function setProviderState(tx: Transaction, state: CaProviderState): void {
  const old = tx.tables.caProviderStates.get(state.ID);
  tx.putCaProviderState(withIndexes(state, old?.CreateIndex ?? tx.index, tx.index));
  tx.raise(indexKey.caProviderStates, tx.index);
}

/** Before there was a counter, serial numbers were log indexes: it starts above those. */
function nextSerial(tx: Transaction): number {
  const last =
    tx.tables.indexes.get(indexKey.caSerial) ?? tx.tables.indexes.get(indexKey.caProviderStates) ?? 0;
  tx.setIndex(indexKey.caSerial, last + 1);
  return last + 1;
}

function required<T>(row: T | null, op: string, key: string): T {
  if (row === null) throw new FsmError('invalid', `CA operation "${op}" needs ${key}`);
  return row;
}
