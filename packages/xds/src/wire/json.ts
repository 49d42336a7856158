/**
 * json.ts: canonical protobuf JSON, the form in which humans, Envoy's admin port and our own builders write resources.
 *
 * It differs from a plain object dump in a handful of types only: durations are "5s", wrappers are the bare value, an
 * Any is its message with "@type", a Struct is ordinary JSON, enums are names, 64-bit integers are strings.
 * Lives here: both directions, driven by descriptors. Must not live here: defaults and byte order (codec.ts).
 * Source: the "ProtoJSON" chapter of the protobuf documentation.
 */
import protobuf from 'protobufjs/light.js';
import { decode, encode, type Message, toNumber, typeOf, WireError } from './codec.ts';

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export type JsonObject = { readonly [key: string]: Json };

export const typeUrlPrefix = 'type.googleapis.com/';
const wrapper = /^google\.protobuf\.(Double|Float|Int64|UInt64|Int32|UInt32|Bool|String|Bytes)Value$/;
const integer64 = new Set(['int64', 'uint64', 'sint64', 'fixed64', 'sfixed64']);
/** Deepest nesting accepted. Resources of this package nest eight deep. */
const depthMax = 64;

/** `json` as a message of the named type, ready for `encode`. Keys the type does not have are refused. */
export function fromJson(typeName: string, json: Json): Message {
  try {
    return messageFrom(typeOf(typeName), json, 0);
  } catch (cause) {
    if (!(cause instanceof Misfit)) throw cause;
    throw new WireError(cause.code, `${typeName}${cause.path}: ${cause.message}`);
  }
}

/** A decoded message in canonical JSON. An Any of a type outside the bundle becomes { "@type", value: base64 }. */
export function toJson(typeName: string, message: Message): Json {
  return messageTo(typeOf(typeName), message, 0);
}

/** The JSON of a message inside an Any: { "@type": url, ...fields }. */
export function anyToJson(typeUrl: string, value: Uint8Array, depth = 0): Json {
  const name = typeUrl.slice(typeUrl.lastIndexOf('/') + 1);
  let type: protobuf.Type;
  try {
    type = typeOf(name);
  } catch {
    return { '@type': typeUrl, value: Buffer.from(value).toString('base64') };
  }
  const body = messageTo(type, decode(name, value), depth + 1);
  if (shapeOf(type).special !== undefined) return { '@type': typeUrl, value: body };
  return { '@type': typeUrl, ...(body as JsonObject) };
}

/** A WireError in the making: the path is put together on the way out, since only errors need it. */
class Misfit extends Error {
  readonly code: WireError['code'];
  path = '';
  constructor(code: WireError['code'], detail: string) {
    super(detail);
    this.code = code;
  }
}

function inside<T>(step: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    if (cause instanceof Misfit) cause.path = step + cause.path;
    throw cause;
  }
}

function messageFrom(type: protobuf.Type, json: Json, depth: number): Message {
  if (depth > depthMax) throw new Misfit('malformed', `nested deeper than ${depthMax}`);
  const { special, fields } = shapeOf(type);
  if (special === 'duration') return durationFrom(json);
  if (special === 'any') return anyFrom(json, depth);
  if (special === 'struct') return structFrom(json, depth);
  if (special === 'wrapper') return { value: scalarFrom(type.fields['value'] as protobuf.Field, json) };
  if (!isObject(json)) throw new Misfit('wrong_type', 'expected an object');
  const message: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(json)) {
    if (key === '@type' || value === null) continue;
    const field = fields.get(key);
    if (field === undefined) throw new Misfit('unknown_field', `${type.name} has no field ${key}`);
    message[field.name] = inside(`.${key}`, () => fieldFrom(field, value, depth));
  }
  return message;
}

function fieldFrom(field: protobuf.Field, json: Json, depth: number): unknown {
  if (field.resolve() instanceof protobuf.MapField) {
    if (!isObject(json)) throw new Misfit('wrong_type', 'expected an object');
    const entries = Object.entries(json);
    return Object.fromEntries(
      entries.map(([k, v]) => [k, inside(`.${k}`, () => valueFrom(field, v, depth))]),
    );
  }
  if (!field.repeated) return valueFrom(field, json, depth);
  if (!Array.isArray(json)) throw new Misfit('wrong_type', 'expected a list');
  return json.map((v: Json, i) => inside(`[${i}]`, () => valueFrom(field, v, depth)));
}

function valueFrom(field: protobuf.Field, json: Json, depth: number): unknown {
  const inner = field.resolvedType;
  if (inner instanceof protobuf.Type) return messageFrom(inner, json, depth + 1);
  if (inner instanceof protobuf.Enum) {
    const number = typeof json === 'number' ? json : inner.values[String(json)];
    if (number === undefined) throw new Misfit('wrong_type', `${inner.name} has no ${String(json)}`);
    return number;
  }
  return scalarFrom(field, json);
}

function scalarFrom(field: protobuf.Field, json: Json): unknown {
  const wrong = (expected: string) => new Misfit('wrong_type', `expected ${expected}`);
  switch (field.type) {
    case 'string':
      if (typeof json !== 'string') throw wrong('a string');
      return json;
    case 'bool':
      if (typeof json !== 'boolean') throw wrong('true or false');
      return json;
    case 'bytes':
      if (typeof json !== 'string') throw wrong('base64');
      return new Uint8Array(Buffer.from(json, 'base64'));
    default: {
      const number = typeof json === 'string' && json !== '' ? Number(json) : json;
      if (typeof number !== 'number' || Number.isNaN(number)) throw wrong('a number');
      if (!/^(double|float)$/.test(field.type) && !Number.isSafeInteger(number)) throw wrong('an integer');
      return number;
    }
  }
}

function durationFrom(json: Json): Message {
  const parts = typeof json === 'string' ? /^(-?)(\d{1,12})(?:\.(\d{1,9}))?s$/.exec(json) : null;
  if (parts === null) throw new Misfit('wrong_type', 'expected a duration such as "5s" or "0.250s"');
  const sign = parts[1] === '-' ? -1 : 1;
  return { seconds: sign * Number(parts[2]), nanos: sign * Number((parts[3] ?? '').padEnd(9, '0')) };
}

function anyFrom(json: Json, depth: number): Message {
  const url = isObject(json) ? json['@type'] : undefined;
  if (!isObject(json) || typeof url !== 'string') throw new Misfit('wrong_type', 'expected "@type"');
  const name = url.slice(url.lastIndexOf('/') + 1);
  const type = typeOf(name);
  const body = shapeOf(type).special === undefined ? json : (json['value'] ?? null);
  return { type_url: url, value: encode(name, messageFrom(type, body, depth + 1)) };
}

function structFrom(json: Json, depth: number): Message {
  if (!isObject(json)) throw new Misfit('wrong_type', 'expected an object');
  if (depth > depthMax) throw new Misfit('malformed', `nested deeper than ${depthMax}`);
  const fields = Object.entries(json).map(([k, v]) => [
    k,
    inside(`.${k}`, () => structValueFrom(v, depth + 1)),
  ]);
  return { fields: Object.fromEntries(fields) };
}

function structValueFrom(json: Json, depth: number): Message {
  if (json === null) return { nullValue: 0 };
  if (typeof json === 'number') return { numberValue: json };
  if (typeof json === 'string') return { stringValue: json };
  if (typeof json === 'boolean') return { boolValue: json };
  if (isObject(json)) return { structValue: structFrom(json, depth + 1) };
  if (depth > depthMax) throw new Misfit('malformed', `nested deeper than ${depthMax}`);
  return { listValue: { values: json.map((v, i) => inside(`[${i}]`, () => structValueFrom(v, depth + 1))) } };
}

function messageTo(type: protobuf.Type, message: Message, depth: number): Json {
  if (depth > depthMax) throw new WireError('malformed', `nested deeper than ${depthMax}`);
  const { special } = shapeOf(type);
  if (special === 'duration') return durationTo(message);
  if (special === 'any') {
    const value = (message['value'] as Uint8Array | undefined) ?? new Uint8Array();
    return anyToJson(String(message['type_url'] ?? ''), value, depth);
  }
  if (special === 'struct') return structTo(message, depth);
  if (special === 'wrapper') return scalarTo(type.fields['value'] as protobuf.Field, message['value']);
  const json: Record<string, Json> = {};
  for (const field of type.fieldsArray) {
    if (!Object.hasOwn(message, field.name)) continue;
    const value = message[field.name];
    if (field.resolve() instanceof protobuf.MapField) {
      const entries = Object.entries(value as Record<string, unknown>);
      if (entries.length > 0)
        json[jsonName(field)] = Object.fromEntries(entries.map(([k, v]) => [k, valueTo(field, v, depth)]));
    } else if (field.repeated) {
      const items = value as readonly unknown[];
      if (items.length > 0) json[jsonName(field)] = items.map((v) => valueTo(field, v, depth));
    } else {
      json[jsonName(field)] = valueTo(field, value, depth);
    }
  }
  return json;
}

function valueTo(field: protobuf.Field, value: unknown, depth: number): Json {
  const inner = field.resolvedType;
  if (inner instanceof protobuf.Type) return messageTo(inner, value as Message, depth + 1);
  if (inner instanceof protobuf.Enum) return inner.valuesById[value as number] ?? (value as number);
  return scalarTo(field, value);
}

function scalarTo(field: protobuf.Field, value: unknown): Json {
  if (integer64.has(field.type)) return String(value ?? 0);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (value === undefined) return field.type === 'bool' ? false : field.type === 'string' ? '' : 0;
  return value as Json;
}

function durationTo(message: Message): string {
  const seconds = toNumber(message['seconds']);
  const nanos = toNumber(message['nanos']);
  const sign = seconds < 0 || nanos < 0 ? '-' : '';
  const digits = String(Math.abs(nanos)).padStart(9, '0');
  const fraction = nanos === 0 ? '' : `.${digits.replace(/(?:000){1,2}$/, '')}`;
  return `${sign}${Math.abs(seconds)}${fraction}s`;
}

function structTo(message: Message, depth: number): JsonObject {
  if (depth > depthMax) throw new WireError('malformed', `nested deeper than ${depthMax}`);
  const fields = Object.entries((message['fields'] ?? {}) as Record<string, Message>);
  return Object.fromEntries(fields.map(([key, value]) => [key, structValueTo(value, depth + 1)]));
}

function structValueTo(value: Message, depth: number): Json {
  if (Object.hasOwn(value, 'stringValue')) return value['stringValue'] as string;
  if (Object.hasOwn(value, 'numberValue')) return value['numberValue'] as number;
  if (Object.hasOwn(value, 'boolValue')) return value['boolValue'] as boolean;
  if (Object.hasOwn(value, 'structValue')) return structTo(value['structValue'] as Message, depth + 1);
  if (!Object.hasOwn(value, 'listValue')) return null;
  const list = value['listValue'] as { values?: readonly Message[] };
  return (list.values ?? []).map((v) => structValueTo(v, depth + 1));
}

/** What fromJson and toJson have to know of a type, found out once. */
interface Shape {
  /** JSON of its own; inside an Any it then sits under "value". */
  readonly special: 'duration' | 'any' | 'struct' | 'wrapper' | undefined;
  readonly fields: ReadonlyMap<string, protobuf.Field>;
}

const shapes = new WeakMap<protobuf.Type, Shape>();

function shapeOf(type: protobuf.Type): Shape {
  let shape = shapes.get(type);
  if (shape === undefined) {
    shape = {
      special: specialOf(type.fullName.slice(1)),
      fields: new Map(type.fieldsArray.map((f) => [jsonName(f), f])),
    };
    shapes.set(type, shape);
  }
  return shape;
}

function specialOf(name: string): Shape['special'] {
  if (name === 'google.protobuf.Duration') return 'duration';
  if (name === 'google.protobuf.Any') return 'any';
  if (name === 'google.protobuf.Struct') return 'struct';
  return wrapper.test(name) ? 'wrapper' : undefined;
}

function jsonName(field: protobuf.Field): string {
  const named: unknown = field.options?.['json_name'];
  return typeof named === 'string' ? named : field.name;
}

function isObject(json: Json | undefined): json is JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}
