/**
 * wire.ts: config entries as bytes: encoded twice, and some thrice.
 *
 * Go cannot decode into an interface without being told the type first. So a request is one raw string, in it the kind and
 * then a map with the entry; and an entry of kind proxy-defaults is in turn one raw string around its map.
 * Lives here: these wrappings. Must not live here: what an entry says, the replies of RPC (apps/server).
 * Source: Consul agent/structs/config_entry.go (MarshalBinary of ConfigEntryRequest, ProxyConfigEntry; v1.10.1).
 */
import { MsgpackError, Reader, type Value, Writer } from '@fed/msgpack';
import { FsmError } from '../errors.ts';
import { type ConfigEntry, type ConfigEntryValue, newConfigEntry } from './entry.ts';

/** 'upsert', 'upsert-cas', 'delete', …: see apply.ts. Others decode, and are refused when applied. */
export interface ConfigEntryRequest {
  readonly op: string;
  readonly entry: ConfigEntry;
  readonly datacenter?: string;
  readonly token?: string;
}

const wrappedKind = 'proxy-defaults';

/** The entry as it stands in any message. */
export function encodeConfigEntry({ kind, value }: ConfigEntry): Uint8Array {
  const plain = new Writer().value(value).take();
  return kind === wrappedKind ? new Writer().raw(plain).take() : plain;
}

/** The next value as an entry of this kind. Throws FsmError `malformed`. */
export function readConfigEntry(reader: Reader, kind: string): ConfigEntry {
  return newConfigEntry(kind, readEntryValue(reader, kind));
}

/** As one raw string, in a message or in the log. */
export function encodeConfigEntryRequest(request: ConfigEntryRequest): Uint8Array {
  const inner = new Writer()
    .str(request.entry.kind)
    .map(4)
    .str('Datacenter')
    .str(request.datacenter ?? '')
    .str('Entry')
    .verbatim(encodeConfigEntry(request.entry))
    .str('Op')
    .str(request.op)
    .str('Token')
    .str(request.token ?? '')
    .take();
  return inner;
}

/** The content of that string. Throws FsmError `malformed`. */
export function decodeConfigEntryRequest(inner: Uint8Array): ConfigEntryRequest {
  try {
    const reader = new Reader(inner);
    const kind = reader.str();
    let entry: ConfigEntry | undefined;
    const texts: Record<string, string> = {};
    for (let left = reader.map(); left > 0; left -= 1) {
      const key = reader.key();
      if (key === 'Entry') entry = readConfigEntry(reader, kind);
      else if (key === 'Datacenter' || key === 'Op' || key === 'Token') texts[key] = reader.str();
      else reader.skip();
    }
    if (entry === undefined) throw new FsmError('malformed', `a config entry of kind "${kind}" has no Entry`);
    const { Datacenter = '', Op = '', Token = '' } = texts;
    return { op: Op, entry, datacenter: Datacenter, token: Token };
  } catch (cause) {
    if (!(cause instanceof MsgpackError)) throw cause;
    throw new FsmError('malformed', `a config entry request: ${cause.message}`, { cause });
  }
}

function readEntryValue(reader: Reader, kind: string): ConfigEntryValue {
  if (kind !== wrappedKind || isMap(reader.peek())) return asMap(reader.value(), kind);
  return asMap(new Reader(reader.bytes()).value(), kind);
}

const isMap = (descriptor: number): boolean =>
  (descriptor & 0xf0) === 0x80 || descriptor === 0xde || descriptor === 0xdf;

function asMap(value: Value, kind: string): ConfigEntryValue {
  if (typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array))
    return value as ConfigEntryValue;
  throw new FsmError('malformed', `the Entry of kind "${kind}" is not a map`);
}
