/**
 * entry.ts: a config entry as a row: its kind and name, and everything it says under Go's own key names.
 *
 * What it says is kept word for word, keys of later versions included, and what is not said by this version's schema is
 * not looked at: an entry belongs to the primary, and whoever copies it must not tidy it up.
 * Lives here: making, re-indexing and comparing entries. Must not live here: bytes (wire.ts), fields (schema.ts).
 * Source: Consul agent/structs/config_entry*.go (v1.10.1).
 */
import { newMap, type Value } from '@fed/msgpack';
import { FsmError } from '../errors.ts';
import { freeze, sameBut } from '../shapes.ts';

export type ConfigEntryValue = { readonly [key: string]: Value };

export interface ConfigEntry {
  /** 'service-resolver', 'proxy-defaults', …; any kind can be kept. */
  readonly kind: string;
  readonly name: string;
  /** With CreateIndex and ModifyIndex. */
  readonly value: ConfigEntryValue;
}

/** The one entry of these kinds, under whatever name it was asked for. */
const onlyNames: Readonly<Record<string, string>> = { mesh: 'mesh', 'proxy-defaults': 'global' };

/** Completes and freezes an entry; throws FsmError `invalid`. The value is frozen in place. */
export function newConfigEntry(kind: string, value: ConfigEntryValue): ConfigEntry {
  const only = onlyNames[kind];
  const name = value['Name'] ?? '';
  if (typeof name !== 'string')
    throw new FsmError('invalid', `a config entry of kind "${kind}" needs a Name`);
  if (kind.includes('\0') || name.includes('\0'))
    throw new FsmError('invalid', `the kind or name of a config entry holds a zero byte`);
  return freeze({ kind, name: name === '' && only !== undefined ? only : name, value });
}

/** An entry by its name alone, as a deletion names it. */
export function configEntryNamed(kind: string, name: string): ConfigEntry {
  return newConfigEntry(kind, kind === 'mesh' ? {} : { Kind: kind, Name: name });
}

/** The entry under other indexes; key order is kept. */
export function entryWithIndexes(entry: ConfigEntry, createIndex: number, modifyIndex: number): ConfigEntry {
  const value = Object.assign(newMap(), entry.value, { CreateIndex: createIndex, ModifyIndex: modifyIndex });
  return freeze({ ...entry, value });
}

export function entryIndexes({ value }: ConfigEntry): {
  readonly createIndex: number;
  readonly modifyIndex: number;
} {
  return { createIndex: indexOf(value['CreateIndex']), modifyIndex: indexOf(value['ModifyIndex']) };
}

function indexOf(value: Value | undefined): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : 0;
}

const indexFields: ReadonlySet<string> = new Set(['CreateIndex', 'ModifyIndex']);

/** Whether two entries say the same, apart from when they were written. */
export function sameConfigEntry(a: ConfigEntry, b: ConfigEntry): boolean {
  if (a.kind !== b.kind || a.name.toLowerCase() !== b.name.toLowerCase()) return false;
  return sameBut(entryWithIndexes(a, 0, 0).value, entryWithIndexes(b, 0, 0).value, indexFields);
}
