/**
 * json.ts: a config entry as the HTTP API shows it.
 *
 * A kind we know has its fields in the original's order, with durations as text and what is empty left out; another one is
 * shown as it is, its keys in order. What a later version added to a kind we know is shown behind what we know.
 * Lives here: entry to JSON value. Must not live here: text (go-json.ts), HTTP.
 * Source: Consul agent/structs/config_entry*.go (MarshalJSON), Go encoding/json (omitempty).
 */
import { goTimeToRfc3339, type Value } from '@fed/msgpack';
import { goDuration, type JsonValue, opaqueJson } from '../go-json.ts';
import type { ConfigEntry } from './entry.ts';
import { configEntrySchemas, type EntryFields, type EntryShape } from './schema.ts';

type Fields = { readonly [key: string]: Value };

export function configEntryJson({ kind, name, value }: ConfigEntry): JsonValue {
  const { CreateIndex = 0, ModifyIndex = 0, ...rest } = value;
  const indexes = { CreateIndex: opaqueJson(CreateIndex), ModifyIndex: opaqueJson(ModifyIndex) };
  const schema = configEntrySchemas[kind];
  if (schema === undefined) return { Kind: kind, Name: name, ...others(rest, ['Kind', 'Name']), ...indexes };
  const known = fieldsJson(rest, schema);
  // The original shows the kind of this one, though it has no such field.
  return {
    ...(kind === 'mesh' ? { Kind: kind } : {}),
    ...known,
    ...others(rest, [...Object.keys(schema), 'Kind']),
    ...indexes,
  };
}

function others(value: Fields, except: readonly string[]): { readonly [key: string]: JsonValue } {
  return Object.fromEntries(
    Object.keys(value)
      .filter((key) => !except.includes(key))
      .sort()
      .map((key) => [key, opaqueJson(value[key] as Value)]),
  );
}

function fieldsJson(value: Fields, schema: EntryFields): { readonly [key: string]: JsonValue } {
  const out: { [key: string]: JsonValue } = {};
  for (const [name, { shape, shown }] of Object.entries(schema)) {
    const item = value[name] ?? null;
    const isStruct = typeof shape === 'object' && 'struct' in shape;
    if (shown || isStruct || !isEmpty(item, shape)) out[name] = shapeJson(item, shape);
  }
  return out;
}

function shapeJson(value: Value, shape: EntryShape): JsonValue {
  switch (shape) {
    case 'duration':
      return typeof value === 'number' || typeof value === 'bigint' ? goDuration(value) : opaqueJson(value);
    case 'time':
      return value instanceof Uint8Array ? goTimeToRfc3339(value) : opaqueJson(value);
    case 'text':
      return (value ?? '') ? opaqueJson(value) : '';
    case 'bool':
    case 'int':
    case 'nanos':
    case 'maybeInt':
      return value === null && shape !== 'maybeInt' ? (shape === 'bool' ? false : 0) : opaqueJson(value);
    case 'anything':
      return opaqueJson(value);
  }
  if ('list' in shape)
    return Array.isArray(value)
      ? (value as readonly Value[]).map((item) => shapeJson(item, shape.list))
      : opaqueJson(value);
  if ('struct' in shape) return fieldsJson(asFields(value), shape.struct);
  if (value === null) return null;
  if ('pointer' in shape) return fieldsJson(asFields(value), shape.pointer);
  return new Map(Object.entries(asFields(value)).map(([key, item]) => [key, shapeJson(item, shape.map)]));
}

function asFields(value: Value): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array)
    return {};
  return value as Fields;
}

/** Go's omitempty. What a pointer leads to is not empty, be it 0 or a struct without fields. */
function isEmpty(value: Value, shape: EntryShape): boolean {
  if (value === null) return true;
  if (shape === 'maybeInt' || (typeof shape === 'object' && 'pointer' in shape)) return false;
  if (typeof value !== 'object') return value === '' || value === 0 || value === false;
  return Object.keys(value).length === 0;
}
