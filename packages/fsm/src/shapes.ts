/**
 * shapes.ts: the shape of every row, once, and the one function that holds a stranger's value against it.
 *
 * A Go peer decodes into typed structs: missing keys become zero, a wrong type is an error. We do the same, except that
 * keys we have never heard of stay, and a value that already conforms is handed back untouched, in its own key order, so
 * that it is written again byte for byte.
 * Lives here: shapes, conform, zero values. Must not live here: what rows mean.
 * Sources: Consul agent/structs (v1.9.8), go-msgpack v0.5.5 decode.go for what a decoder tolerates.
 */
import { goTimeZero, newMap, type Value } from '@fed/msgpack';
import { RowError } from './errors.ts';

export type Shape =
  | 'text' // names, addresses: must be text
  | 'freeText' // output of somebody's program: bytes that are no UTF-8 are kept as bytes
  | 'int' // any integer
  | 'index' // 0..2^53-1
  | 'bool'
  | 'time' // Go's binary time, 15 or 16 bytes
  | 'opaque' // map[string]interface{} values and what only others read
  | { readonly list: Shape } // or null
  | { readonly map: Shape } // or null
  | { readonly pointer: Fields } // struct or null
  | { readonly struct: Fields };
export type Fields = { readonly [key: string]: Shape };

const textDecoder = new TextDecoder('utf-8', { fatal: true });

/** `value` itself when it conforms; a completed copy when keys are missing or nil; throws RowError otherwise. */
export function conform(value: Value | undefined, shape: Shape): Value {
  if (value === undefined || value === null) return zero(shape);
  switch (shape) {
    case 'text': {
      if (typeof value === 'string') return value;
      throw new RowError('', 'UTF-8 text');
    }
    case 'freeText':
      if (typeof value === 'string') return value;
      if (value instanceof Uint8Array) return Uint8Array.from(value);
      throw new RowError('', 'text');
    case 'int':
      if (typeof value === 'bigint' || (typeof value === 'number' && Number.isSafeInteger(value)))
        return value;
      throw new RowError('', 'an integer');
    case 'index':
      if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
      throw new RowError('', 'an index of 0 to 2^53-1');
    case 'bool':
      if (typeof value === 'boolean') return value;
      if (value === 0 || value === 1) return value === 1;
      throw new RowError('', 'a boolean');
    case 'time':
      // A copy: a view would keep the whole message alive for the sake of 15 bytes.
      if (value instanceof Uint8Array && isTime(value)) return Uint8Array.from(value);
      throw new RowError('', 'a binary time of the years 1 to 9999');
    case 'opaque':
      return value;
  }
  if ('list' in shape) return conformList(value, shape.list);
  if (value instanceof Uint8Array || typeof value !== 'object' || Array.isArray(value))
    throw new RowError('', 'a map');
  const object = value as { readonly [key: string]: Value };
  return 'map' in shape ? conformMap(object, shape.map) : conformStruct(object, fieldsOf(shape));
}

export function zero(shape: Shape): Value {
  switch (shape) {
    case 'text':
    case 'freeText':
      return '';
    case 'int':
    case 'index':
      return 0;
    case 'bool':
      return false;
    case 'time':
      return Uint8Array.from(goTimeZero);
    case 'opaque':
      return null;
  }
  if (!('struct' in shape)) return null;
  return conformStruct({}, shape.struct);
}

function fieldsOf(shape: { readonly pointer: Fields } | { readonly struct: Fields }): Fields {
  return 'pointer' in shape ? shape.pointer : shape.struct;
}

function conformList(value: Value, of: Shape): Value {
  // Go's decoder reads an empty map where a list is wanted as the empty list.
  if (!Array.isArray(value)) throw new RowError('', 'a list');
  const list = value as readonly Value[];
  let copy: Value[] | undefined;
  for (let i = 0; i < list.length; i++) {
    const item = list[i] as Value;
    const kept = conformBelow(`[${i}]`, item, of);
    if (kept !== item) {
      copy ??= [...list];
      copy[i] = kept;
    }
  }
  return copy ?? list;
}

function conformMap(value: { readonly [key: string]: Value }, of: Shape): Value {
  let copy: { [key: string]: Value } | undefined;
  for (const key of Object.keys(value)) {
    let item = value[key] as Value;
    // A user's map may hold a key that elsewhere means a time; the codec then left its text as bytes.
    if (of === 'text' && item instanceof Uint8Array) item = asText(key, item);
    const kept = conformBelow(key, item, of);
    if (kept !== value[key]) {
      copy ??= bare(value);
      copy[key] = kept;
    }
  }
  return copy ?? value;
}

function conformStruct(value: { readonly [key: string]: Value }, fields: Fields): Value {
  let changed: { [key: string]: Value } | undefined;
  let missing = false;
  for (const key in fields) {
    const item = value[key];
    const kept = conformBelow(key, item, fields[key] as Shape);
    if (kept !== item) {
      changed ??= bare(value);
      changed[key] = kept;
      missing ||= item === undefined;
    }
  }
  if (changed === undefined) return value;
  return missing ? sortedByKey(changed) : changed;
}

/** The path to what is wrong is put together on the way up, so that what is right costs no text. */
function conformBelow(key: string, value: Value | undefined, shape: Shape): Value {
  try {
    return conform(value, shape);
  } catch (error) {
    throw error instanceof RowError ? error.below(key) : error;
  }
}

/** Seconds from year 1 to the end of year 9999: beyond, a time cannot be shown. */
const secondsMax = 315_537_897_599n;

function isTime(bytes: Uint8Array): boolean {
  const version = bytes[0];
  if (!(version === 1 && bytes.length === 15) && !(version === 2 && bytes.length === 16)) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const seconds = view.getBigInt64(1);
  const nanos = view.getInt32(9);
  return seconds >= 0n && seconds <= secondsMax && nanos >= 0 && nanos < 1_000_000_000;
}

function asText(key: string, bytes: Uint8Array): string {
  try {
    return textDecoder.decode(bytes);
  } catch {
    throw new RowError(key, 'UTF-8 text');
  }
}

/** A shallow copy that, like the codec's objects, inherits nothing. */
function bare(value: { readonly [key: string]: Value }): { [key: string]: Value } {
  return Object.assign(newMap(), value);
}

/** Keys in byte order, as Go writes structs. Struct keys are ASCII, where JS order is byte order. */
function sortedByKey(value: { readonly [key: string]: Value }): { [key: string]: Value } {
  const sorted: { [key: string]: Value } = newMap();
  for (const key of Object.keys(value).sort()) sorted[key] = value[key] as Value;
  return sorted;
}

/** Freezes the row through and through, except binary values, which JavaScript cannot freeze. */
export function freeze<T>(row: T): T {
  if (typeof row !== 'object' || row === null || Object.isFrozen(row) || ArrayBuffer.isView(row)) return row;
  for (const key of Object.keys(row)) {
    const below = (row as KeyedBy<unknown>)[key];
    if (typeof below === 'object') freeze(below);
  }
  return Object.freeze(row);
}

/** Deep equality that tells nil from empty and ignores the order of keys, which Go's maps do not have. */
export function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (a instanceof Uint8Array || b instanceof Uint8Array)
    return a instanceof Uint8Array && b instanceof Uint8Array && Buffer.compare(a, b) === 0;
  if (Array.isArray(a) || Array.isArray(b))
    return (
      Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((item, i) => same(item, b[i]))
    );
  return sameBut(a as KeyedBy<unknown>, b as KeyedBy<unknown>, undefined);
}

type KeyedBy<V> = { readonly [key: string]: V };

/** As `same`, of two objects, without looking at the fields in `ignored`, which both must have or both lack. */
export function sameBut(a: object, b: object, ignored: ReadonlySet<string> | undefined): boolean {
  const keys = Object.keys(a);
  const others = Object.keys(b);
  if (keys.length !== others.length) return false;
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i] as string;
    // Two rows of one kind nearly always have their keys in one order.
    if (key !== others[i] && !Object.hasOwn(b, key)) return false;
    if (ignored?.has(key)) continue;
    if (!same((a as KeyedBy<unknown>)[key], (b as KeyedBy<unknown>)[key])) return false;
  }
  return true;
}
