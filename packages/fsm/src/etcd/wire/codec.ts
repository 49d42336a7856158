/**
 * codec.ts: protobuf messages to bytes and back.
 *
 * Lives here: the reflection root, encoding, decoding. Must not live here: what any message means.
 */
import protobuf from 'protobufjs/light.js';
import { bundle } from './bundle.ts';

/** lowerCamelCase keys; 64-bit fields go in as numbers and come out as `toNumber` takes them. */
export type Message = { readonly [field: string]: unknown };

/** Bytes that are not the message they should be. */
export class WireError extends Error {
  override readonly name = 'WireError';
  readonly code = 'malformed';
}

let root: protobuf.Root | undefined;
const types = new Map<string, protobuf.Type>();

function typeOf(name: string): protobuf.Type {
  const known = types.get(name);
  if (known !== undefined) return known;
  root ??= protobuf.Root.fromJSON(JSON.parse(bundle) as protobuf.INamespace).resolveAll() as protobuf.Root;
  const found = root.lookupType(name);
  types.set(name, found); // only names of the bundle get here, so this does not grow
  return found;
}

export function encode(typeName: string, message: Message): Buffer {
  const bytes = typeOf(typeName).encode(message).finish();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Throws WireError. */
export function decode(typeName: string, bytes: Uint8Array): Message {
  try {
    // The plain reader, on purpose: the one for Buffers cuts a string that runs over the end instead of refusing it.
    const view = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return typeOf(typeName).decode(new protobuf.Reader(view)) as unknown as Message;
  } catch (cause) {
    throw new WireError(`not a ${typeName}: ${(cause as Error).message}`, { cause });
  }
}

/** A 64-bit field; protobufjs hands out Long objects. Exact up to 2^53 - 1. */
export function toNumber(value: unknown): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'object' && value !== null && 'toNumber' in value)
    return (value as { toNumber(): number }).toNumber();
  return 0;
}
