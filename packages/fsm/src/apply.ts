/**
 * apply.ts: gives a log entry its meaning.
 *
 * The new state is a function of the entry's bytes, its index and the state before: no clock, no chance, no environment
 * (I1). A refused command is an answer like any other, the same on every replica.
 * Lives here: command to transaction to result. Must not live here: rules of the catalog (catalog.ts), the log.
 * Sources: Consul agent/consul/fsm/commands_oss.go, state/federation_state.go, state/coordinate.go (v1.9.8).
 */
import { deregister, register } from './catalog.ts';
import { type Command, decodeCommand, ignoreUnknownFlag } from './command.ts';
import { applyConfigEntry } from './config-entries/apply.ts';
import { applyCa } from './connect-ca.ts';
import { FsmError } from './errors.ts';
import { newFederationState, withIndexes } from './new-row.ts';
import type { Coordinate, FederationState } from './rows.ts';
import type { Store } from './store.ts';
import { indexKey, keyOf, type Transaction } from './tables.ts';

/**
 * What a command answers: true for something written; false for a write that came too late; a number where one was asked
 * for; null for what has nothing to say.
 */
export type CommandResult = boolean | number | null;

/** The answer, or why the command was refused. */
export type ApplyResult = CommandResult | FsmError;

export function apply(store: Store, index: number, bytes: Uint8Array): ApplyResult {
  try {
    const command = decodeCommand(bytes);
    return store.write(index, (tx) => applyCommand(tx, command));
  } catch (error) {
    if (!(error instanceof FsmError)) throw error;
    // An entry that could not even be read still has its place in the order.
    if (store.appliedIndex < index) store.write(index, () => null);
    return error;
  }
}

function applyCommand(tx: Transaction, command: Command): CommandResult {
  switch (command.type) {
    case 'register':
      register(tx, command.request, { restoring: false });
      return null;
    case 'deregister':
      deregister(tx, command.request);
      return null;
    case 'federationState':
      return applyFederationState(tx, command.op, command.state);
    case 'coordinates':
      updateCoordinates(tx, command.updates);
      return null;
    case 'connectCa':
      return applyCa(tx, command.request);
    case 'configEntry':
      return applyConfigEntry(tx, command.request);
    case 'foreign':
      if ((command.typeByte & ignoreUnknownFlag) !== 0) return null;
      throw new FsmError('unsupported', `no meaning is known for log entries of type ${command.typeByte}`);
  }
}

function applyFederationState(tx: Transaction, op: string, state: FederationState | null): true | null {
  if (op !== 'upsert' && op !== 'delete')
    throw new FsmError('invalid', `invalid federation state operation "${op}"`);
  if (state === null || state.Datacenter === '')
    throw new FsmError('invalid', 'a federation state needs a datacenter');
  if (op === 'upsert') {
    putFederationState(tx, state);
    return true;
  }
  if (tx.tables.federationStates.has(keyOf(state.Datacenter))) {
    tx.deleteFederationState(state.Datacenter);
    tx.raise(indexKey.federationStates, tx.index);
  }
  return null;
}

/** A write is always a change, even when it says the same again: peers wait to see their own write come back. */
function putFederationState(tx: Transaction, state: FederationState): void {
  const old = tx.tables.federationStates.get(keyOf(state.Datacenter));
  const row = withIndexes(state, old?.CreateIndex ?? tx.index, tx.index);
  tx.putFederationState(
    row.PrimaryModifyIndex === 0 ? newFederationState({ ...row, PrimaryModifyIndex: tx.index }) : row,
  );
  tx.raise(indexKey.federationStates, tx.index);
}

/** Coordinates of nodes nobody registered are dropped silently: they arrive late from members already gone. */
export function updateCoordinates(tx: Transaction, updates: readonly Coordinate[]): void {
  let changed = false;
  for (const update of updates) {
    if (!tx.tables.nodes.has(keyOf(update.Node))) continue;
    tx.putCoordinate(update);
    changed = true;
  }
  if (changed) tx.raise(indexKey.coordinates, tx.index);
}

/** As an entry of a snapshot: the row as it is, the table's index at least as high as the row's. */
export function restoreFederationState(tx: Transaction, state: FederationState): void {
  tx.putFederationState(state);
  tx.raise(indexKey.federationStates, state.ModifyIndex);
}
