/**
 * decode.ts: what a user wrote as a config entry (JSON of the API, a file of JSON or HCL) as a row.
 *
 * Keys are taken in any case and with underscores, `connect_timeout` like `ConnectTimeout`; names a user chose (subsets, keys
 * of Config) are left alone. As in the original, "5" is taken for 5, and one block for a list of one. A key nobody knows
 * is refused by name. The row is complete and in the order in which Go would write it.
 * Lives here: values against the schema. Must not live here: what they must add up to (rules.ts).
 * Source: Consul agent/structs/config_entry.go (DecodeConfigEntry, validateUnusedKeys; v1.10.1), lib/decode.
 */
import {
  type ConfigEntry,
  configEntrySchemas,
  type EntryFields,
  type EntryShape,
  newConfigEntry,
} from '@fed/fsm';
import { Float, goTimeFromRfc3339, newMap, type Value } from '@fed/msgpack';
import { parseDuration } from '../config/duration.ts';
import { ConfigEntryError } from './errors.ts';

/** Values within one another. Guards our stack. */
const depthMax = 32;
const nanosPerMs = 1e6;
/** What may stand in any entry without being a field of it: the first two are the log's to give. */
const passedOver: ReadonlySet<string> = new Set(['createindex', 'modifyindex']);

/** Kinds that can be written here. */
export const writableKinds: readonly string[] = Object.keys(configEntrySchemas);

/** Throws ConfigEntryError. */
export function decodeConfigEntry(body: unknown): ConfigEntry {
  const sent = object(body, 'the body');
  const kind = sent['Kind'] ?? sent['kind'];
  if (kind === undefined) throw refused('Payload does not contain a kind/Kind key at the top level');
  if (typeof kind !== 'string') throw refused('Kind value in payload is not a string');
  const schema = schemaOf(kind);
  const { Kind: _a, kind: _b, ...fields } = sent;
  const value = struct(fields, { ...schema }, '', 0, schema);
  // The mesh entry has no such field on the wire.
  const row = 'Kind' in schema ? { ...value, Kind: kind } : value;
  return newConfigEntry(kind, inOrder({ ...row, CreateIndex: 0, ModifyIndex: 0 }));
}

/** Throws ConfigEntryError for a kind that cannot be written here, and says which can. */
export function schemaOf(kind: string): EntryFields {
  const schema = Object.hasOwn(configEntrySchemas, kind) ? configEntrySchemas[kind] : undefined;
  if (schema === undefined)
    throw new ConfigEntryError(
      `invalid config entry kind: ${kind} (what can be written here is ${writableKinds.join(', ')}; others are kept and copied where the primary has them)`,
    );
  return schema;
}

function struct(
  value: { readonly [key: string]: unknown },
  fields: EntryFields,
  path: string,
  depth: number,
  top?: EntryFields,
): { readonly [key: string]: Value } {
  const names = new Map(Object.keys(fields).map((name) => [folded(name), name]));
  const out: { [key: string]: Value } = newMap();
  for (const [name, { shape }] of Object.entries(fields)) out[name] = zero(shape);
  for (const [key, item] of Object.entries(value)) {
    const name = names.get(folded(key));
    if (name === undefined) {
      if (top !== undefined && passedOver.has(folded(key))) continue;
      if (folded(key).endsWith('namespace') && (item === '' || item === 'default')) continue;
      throw unknownKey(at(path, key), [...names.values()], key);
    }
    out[name] = shaped(item, (fields[name] as EntryFields[string]).shape, at(path, name), depth + 1);
  }
  return inOrder(out);
}

function shaped(value: unknown, shape: EntryShape, path: string, depth: number): Value {
  if (depth > depthMax) throw refused(`'${path}' nests deeper than ${depthMax} levels`);
  if (value === null || value === undefined) return zero(shape);
  switch (shape) {
    case 'text':
      if (typeof value === 'string') return value;
      if (typeof value === 'number' || typeof value === 'boolean') return String(value);
      throw mismatch(path, 'a string', value);
    case 'bool':
      return bool(value, path);
    case 'int':
    case 'maybeInt':
      return int(value, path);
    case 'duration':
    case 'nanos':
      return nanoseconds(value, path);
    case 'time':
      if (typeof value === 'string')
        try {
          return goTimeFromRfc3339(value);
        } catch (cause) {
          throw refused(`'${path}': ${(cause as Error).message}`, { cause });
        }
      throw mismatch(path, 'a time such as "2026-01-02T03:04:05Z"', value);
    case 'anything':
      return anything(object(one(value), `'${path}'`), depth, path);
  }
  if ('list' in shape) {
    const items: readonly unknown[] = Array.isArray(value) ? value : [value];
    return items.map((item, index) => shaped(item, shape.list, `${path}[${index}]`, depth + 1));
  }
  const inner = object(one(value), `'${path}'`);
  if ('struct' in shape) return struct(inner, shape.struct, path, depth);
  if ('pointer' in shape) return struct(inner, shape.pointer, path, depth);
  const out: { [key: string]: Value } = newMap();
  for (const [key, item] of Object.entries(inner))
    out[key] = shaped(item, shape.map, `${path}[${key}]`, depth + 1);
  return out;
}

/** A block of HCL is a list of one map. */
function one(value: unknown): unknown {
  return Array.isArray(value) && value.length === 1 ? value[0] : value;
}

function bool(value: unknown, path: string): boolean {
  if (typeof value === 'boolean') return value;
  if (value === 1 || value === '1' || value === 'true') return true;
  if (value === 0 || value === '0' || value === 'false' || value === '') return false;
  throw mismatch(path, 'true or false', value);
}

function int(value: unknown, path: string): number {
  const number = typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value;
  if (typeof number === 'number' && Number.isSafeInteger(number)) return number;
  throw mismatch(path, 'an integer', value);
}

function nanoseconds(value: unknown, path: string): number {
  if (typeof value === 'string') {
    const ms = value === '' ? 0 : parseDuration(value);
    if (ms !== undefined && Number.isSafeInteger(Math.round(ms * nanosPerMs)))
      return Math.round(ms * nanosPerMs);
  } else if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
  throw mismatch(path, 'a duration such as "5s"', value);
}

/** JSON has one kind of number, and Go keeps it as a float there. */
function anything(value: unknown, depth: number, path: string): Value {
  if (depth > depthMax) throw refused(`'${path}' nests deeper than ${depthMax} levels`);
  if (typeof value === 'number') return Number.isSafeInteger(value) ? new Float(value) : value;
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (Array.isArray(value)) return value.map((item) => anything(item, depth + 1, path));
  const out: { [key: string]: Value } = newMap();
  for (const [key, item] of Object.entries(object(value, `'${path}'`)))
    out[key] = anything(item, depth + 1, path);
  return out;
}

/** What Go leaves in a field nobody set. */
function zero(shape: EntryShape): Value {
  if (shape === 'text') return '';
  if (shape === 'int' || shape === 'duration' || shape === 'nanos') return 0;
  if (shape === 'bool') return false;
  if (typeof shape === 'string' || !('struct' in shape)) return null;
  return struct({}, shape.struct, '', 0);
}

function inOrder(value: { readonly [key: string]: Value }): { readonly [key: string]: Value } {
  const out: { [key: string]: Value } = newMap();
  for (const key of Object.keys(value).sort()) out[key] = value[key] as Value;
  return out;
}

function object(value: unknown, what: string): { readonly [key: string]: unknown } {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as { readonly [key: string]: unknown };
  throw refused(`${what} is not a map of keys and values`);
}

function unknownKey(path: string, known: readonly string[], key: string): ConfigEntryError {
  if (folded(key).endsWith('namespace') || folded(key).endsWith('partition'))
    return refused(`invalid config key ${JSON.stringify(path)}: there are no namespaces here; leave it out`);
  return refused(`invalid config key ${JSON.stringify(path)}; known there are ${known.join(', ')}`);
}

function mismatch(path: string, wanted: string, value: unknown): ConfigEntryError {
  const seen = JSON.stringify(value) ?? 'nothing';
  return refused(`'${path}' must be ${wanted}, not ${seen.length > 60 ? `${seen.slice(0, 60)}…` : seen}`);
}

const at = (path: string, key: string): string => (path === '' ? key : `${path}.${key}`);
const folded = (key: string): string => key.toLowerCase().replaceAll('_', '');

function refused(detail: string, options?: ErrorOptions): ConfigEntryError {
  return new ConfigEntryError(`Request decoding failed: ${detail}`, options);
}
