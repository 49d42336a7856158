/**
 * go-json.ts: JSON text the way Go's encoding/json writes it.
 *
 * Structs keep the order of their fields, maps are sorted by key, integers of 64 bits are plain digits, and <, > and & are
 * escaped. A JavaScript object cannot hold map keys in byte order (it moves "10" before "a" and behind "9"), so maps are
 * Maps here and objects are structs.
 * Lives here: text. Must not live here: which fields a row shows (json.ts).
 * Source: Go encoding/json encode.go, time Duration.String.
 */
import { Float, type Value } from '@fed/msgpack';
import type { DurationNs } from './rows.ts';

export type JsonValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly JsonValue[]
  | ReadonlyMap<string, JsonValue>
  | { readonly [field: string]: JsonValue };

const lenient = new TextDecoder();

/** `pretty` indents by four spaces, as the API's ?pretty does. */
export function goJson(value: JsonValue, o: { readonly pretty?: boolean } = {}): string {
  return o.pretty === true ? write(value, '\n') : write(value, '');
}

function write(value: JsonValue, newline: string): string {
  switch (typeof value) {
    case 'string':
      return goString(value);
    case 'number':
    case 'boolean':
    case 'bigint':
      return String(value);
    case 'object':
      break;
  }
  if (value === null) return 'null';
  const inner = newline === '' ? '' : `${newline}    `;
  if (Array.isArray(value)) return writeList(value as readonly JsonValue[], newline, inner);
  return writeFields(value instanceof Map ? sortedEntries(value) : Object.entries(value), newline, inner);
}

// Text is put together in place: lists of parts, joined, take twice as long.

function writeList(items: readonly JsonValue[], newline: string, inner: string): string {
  if (items.length === 0) return '[]';
  let text = '';
  for (const item of items) text += (text === '' ? '[' : ',') + inner + write(item, inner);
  return `${text}${newline}]`;
}

function writeFields(entries: readonly [string, unknown][], newline: string, inner: string): string {
  if (entries.length === 0) return '{}';
  const colon = newline === '' ? ':' : ': ';
  let text = '';
  for (const [key, item] of entries)
    text += (text === '' ? '{' : ',') + inner + goString(key) + colon + write(item as JsonValue, inner);
  return `${text}${newline}}`;
}

function sortedEntries(map: ReadonlyMap<string, JsonValue>): [string, JsonValue][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

/** Nothing in it has to be escaped, as in nearly every text there is. */
const plain = /^[ !#-%'-;=?-[\]-~]*$/;

function goString(text: string): string {
  if (plain.test(text)) return `"${text}"`;
  return (
    JSON.stringify(text)
      .replace(/[<>&\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
      // Escape by escape, so that the second half of an escaped backslash is not taken for the start of another.
      .replace(/\\./g, (c) => (c === '\\b' ? '\\u0008' : c === '\\f' ? '\\u000c' : c))
  );
}

/** Text of somebody's program; bytes that are no UTF-8 show as the replacement character. */
export function freeText(text: string | Uint8Array): string {
  return typeof text === 'string' ? text : lenient.decode(text);
}

/** A value of a map[string]interface{}; binary inside shows as text. */
export function opaqueJson(value: Value): JsonValue {
  if (value === null || typeof value !== 'object') return value;
  if (value instanceof Uint8Array) return freeText(value);
  if (value instanceof Float) return value.value;
  if (Array.isArray(value)) return (value as readonly Value[]).map(opaqueJson);
  return new Map(
    Object.entries(value as { readonly [key: string]: Value }).map(([key, item]) => [key, opaqueJson(item)]),
  );
}

const microsecond = 1_000n;
const millisecond = 1_000_000n;
const second = 1_000_000_000n;

/** "10s", "1.5s", "100ms", "6h0m0s", "0s". */
export function goDuration(duration: DurationNs): string {
  const ns = BigInt(duration);
  if (ns < 0n) return `-${goDuration(-ns)}`;
  if (ns === 0n) return '0s';
  if (ns < microsecond) return `${ns}ns`;
  if (ns < millisecond) return `${decimal(ns, microsecond)}µs`;
  if (ns < second) return `${decimal(ns, millisecond)}ms`;
  const minutes = ns / (60n * second);
  const seconds = `${decimal(ns % (60n * second), second)}s`;
  if (minutes === 0n) return seconds;
  return minutes < 60n ? `${minutes}m${seconds}` : `${minutes / 60n}h${minutes % 60n}m${seconds}`;
}

function decimal(ns: bigint, unit: bigint): string {
  const fraction = String(ns % unit)
    .padStart(String(unit).length - 1, '0')
    .replace(/0+$/, '');
  return fraction === '' ? String(ns / unit) : `${ns / unit}.${fraction}`;
}
