/**
 * codec.ts: messages to bytes and back, the same bytes on every server.
 *
 * Versions are hashes of bytes, so two equal messages must never differ in a byte: fields go out in the order of
 * their numbers, map entries sorted by key, and a value equal to its default is left out. One exception proves the
 * rule: a chosen member of a oneof is written even when empty, because being chosen is what it says
 * (`TcpProxy.cluster: ""` is the bytes 12 00, and Envoy refuses the filter without them).
 * Lives here: the reflection root, encoding, decoding. Must not live here: JSON, what any message means.
 * Source: protobuf's encoding specification; upb's deterministic mode, against which the golden bytes were recorded.
 */
import protobuf from 'protobufjs/light.js';
import { bundle } from './bundle.ts';

/** A decoded or to-be-encoded message: lowerCamelCase keys, enums as numbers, Any as { type_url, value }. */
export type Message = { readonly [field: string]: unknown };

/** The other side's bytes, or a caller's message, do not fit the schema. */
export class WireError extends Error {
  override readonly name = 'WireError';
  readonly code: 'unknown_type' | 'malformed' | 'unknown_field' | 'wrong_type';
  constructor(code: WireError['code'], detail: string, options?: ErrorOptions) {
    super(`[${code}] ${detail}`, options);
    this.code = code;
  }
}

let root: protobuf.Root | undefined;
const types = new Map<string, protobuf.Type>();

/** The descriptor of a fully qualified message name; the bundle is read at the first call. */
export function typeOf(name: string): protobuf.Type {
  const known = types.get(name);
  if (known !== undefined) return known;
  root ??= load();
  const found = root.lookup(name);
  if (!(found instanceof protobuf.Type)) throw new WireError('unknown_type', `no message type ${name}`);
  types.set(name, found); // only names of the bundle get here, so this does not grow
  return found;
}

function load(): protobuf.Root {
  const loaded = protobuf.Root.fromJSON(JSON.parse(bundle) as protobuf.INamespace);
  loaded.resolveAll();
  return loaded;
}

export function encode(typeName: string, message: Message): Uint8Array {
  const type = typeOf(typeName);
  return type.encode(tidy(type, message)).finish();
}

export function decode(typeName: string, bytes: Uint8Array): Message {
  const type = typeOf(typeName);
  try {
    // The plain reader, on purpose: the one for Buffers cuts a string that runs over the end instead of refusing it.
    const view = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return type.decode(new protobuf.Reader(view)) as unknown as Message;
  } catch (cause) {
    throw new WireError('malformed', `not a ${typeName}: ${(cause as Error).message}`, { cause });
  }
}

/** The same message without defaults that presence does not need, map keys sorted, to any depth. */
function tidy(type: protobuf.Type, message: Message): Message {
  const tidied: Record<string, unknown> = {};
  for (const field of type.fieldsArray) {
    if (!Object.hasOwn(message, field.name)) continue;
    const value = message[field.name];
    if (value === undefined || value === null) continue;
    const inner = field.resolve().resolvedType;
    if (field instanceof protobuf.MapField) {
      const entries = Object.entries(value as Record<string, unknown>).sort(byKey);
      if (entries.length > 0)
        tidied[field.name] = Object.fromEntries(entries.map(([key, v]) => [key, tidyValue(inner, v)]));
    } else if (field.repeated) {
      const items = value as readonly unknown[];
      if (items.length > 0) tidied[field.name] = items.map((v) => tidyValue(inner, v));
    } else if (inner instanceof protobuf.Type) {
      tidied[field.name] = tidyValue(inner, value);
    } else if (field.partOf !== null || !isDefault(value)) {
      tidied[field.name] = value;
    }
  }
  return tidied;
}

function tidyValue(inner: protobuf.Type | protobuf.Enum | null, value: unknown): unknown {
  return inner instanceof protobuf.Type ? tidy(inner, value as Message) : value;
}

function isDefault(value: unknown): boolean {
  return (
    value === 0 || value === '' || value === false || (value instanceof Uint8Array && value.length === 0)
  );
}

function byKey(a: readonly [string, unknown], b: readonly [string, unknown]): number {
  return a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0;
}

/** A 64-bit field as a number; protobufjs hands out Long objects. Exact up to 2^53 - 1. */
export function toNumber(value: unknown): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'object' && value !== null && 'toNumber' in value)
    return (value as { toNumber(): number }).toNumber();
  return 0;
}
