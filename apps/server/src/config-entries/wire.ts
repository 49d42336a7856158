/**
 * wire.ts: the ConfigEntry methods as their bodies stand on the wire.
 *
 * Go cannot decode an interface without being told its type first, so these bodies are raw strings with values in them: a
 * request the kind and a map, a list a count and the kinds, one entry its kind and itself. Inside this program they are
 * plain arguments and replies like all others.
 * Lives here: these bodies. Must not live here: the entries' own bytes (@fed/fsm), what is answered (rpc/config-entry.ts).
 * Source: Consul agent/structs/config_entry.go (MarshalBinary, UnmarshalBinary; v1.10.1).
 */
import {
  type ConfigEntry,
  type ConfigEntryValue,
  decodeConfigEntryRequest,
  encodeConfigEntry,
  encodeConfigEntryRequest,
  FsmError,
  newConfigEntry,
  readConfigEntry,
} from '@fed/fsm';
import { MsgpackError, Reader, type Value, Writer } from '@fed/msgpack';
import { RpcApplicationError } from '@fed/rpc';
import { type Args, asArgs, text } from '../rpc/args.ts';
import type { Wire } from '../rpc/ask.ts';

/** Entries in one answer; a mesh has one or two per service. */
const entriesMax = 65_536;

/** The entry a request carries. */
export function entryOf(args: Args): ConfigEntry {
  return newConfigEntry(text(args, 'Kind'), asArgs(args['Entry'] ?? null) as ConfigEntryValue);
}

export function entryArgs({ kind, value }: ConfigEntry): { readonly Kind: string; readonly Entry: Value } {
  return { Kind: kind, Entry: value };
}

/** `Apply` and `Delete`. */
export const requestWire: Wire = {
  readArgs: (body) => {
    if (!isRaw(body)) return asArgs(body);
    return reading(() => {
      const { op, entry, datacenter = '', token = '' } = decodeConfigEntryRequest(bytesOf(body));
      return { ...entryArgs(entry), Op: op, Datacenter: datacenter, Token: token };
    });
  },
  writeArgs: (args) =>
    encodeConfigEntryRequest({
      op: text(args, 'Op'),
      entry: entryOf(args),
      datacenter: text(args, 'Datacenter'),
      token: text(args, 'Token'),
    }),
};

/** `ListAll`: a count, then kind and entry in turn. */
export const listAllWire: Wire = {
  writeReply: (reply) => {
    const { Entries, ...meta } = asArgs(reply);
    const entries = entriesIn(Entries);
    const out = new Writer().int(entries.length);
    for (const entry of entries) out.str(entry.kind).verbatim(encodeConfigEntry(entry));
    return out.value(meta).take();
  },
  readReply: (body) =>
    replying(body, (reader) => {
      const entries: Value[] = [];
      for (let left = count(reader); left > 0; left -= 1) {
        const kind = reader.str();
        entries.push(entryArgs(readConfigEntry(reader, kind)));
      }
      return { ...asArgs(reader.value()), Entries: entries };
    }),
};

/** `List`: a count and the one kind, then a map. */
export const listWire: Wire = {
  writeReply: (reply) => {
    const { Entries, ...rest } = asArgs(reply);
    const kind = text(rest, 'Kind');
    const entries = entriesIn(Entries);
    const keys = [...Object.keys(rest), 'Entries'].sort();
    const out = new Writer().int(entries.length).str(kind).map(keys.length);
    for (const key of keys) {
      out.str(key);
      if (key !== 'Entries') out.value(rest[key] as Value);
      else {
        out.array(entries.length);
        for (const entry of entries) out.verbatim(encodeConfigEntry(entry));
      }
    }
    return out.take();
  },
  readReply: (body) =>
    replying(body, (reader) => {
      count(reader);
      const kind = reader.str();
      const reply: Record<string, Value> = {};
      for (let left = reader.map(); left > 0; left -= 1) {
        const key = reader.key();
        if (key !== 'Entries') reply[key] = reader.value();
        else {
          const entries: Value[] = [];
          for (let size = reader.array(); size > 0; size -= 1)
            entries.push(entryArgs(readConfigEntry(reader, kind)));
          reply[key] = entries;
        }
      }
      return reply;
    }),
};

/** `Get`: kind and entry, or an empty kind where there is none, then the query meta. */
export const getWire: Wire = {
  writeReply: (reply) => {
    const { Entry = null, Kind = '', ...meta } = asArgs(reply);
    const out = new Writer();
    if (Entry === null) return out.str('').value(meta).take();
    const entry = newConfigEntry(String(Kind), asArgs(Entry) as ConfigEntryValue);
    return out.str(entry.kind).verbatim(encodeConfigEntry(entry)).value(meta).take();
  },
  readReply: (body) =>
    replying(body, (reader) => {
      const kind = reader.str();
      const entry = kind === '' ? { Kind: '', Entry: null } : entryArgs(readConfigEntry(reader, kind));
      return { ...asArgs(reader.value()), ...entry };
    }),
};

function entriesIn(list: Value | undefined): readonly ConfigEntry[] {
  return ((list ?? []) as readonly Value[]).map((item) => entryOf(asArgs(item)));
}

function count(reader: Reader): number {
  return reader.uint(entriesMax);
}

/** The answer of another server; what is none is his fault. */
function replying(body: Value, read: (reader: Reader) => Value): Value {
  if (!isRaw(body)) return body;
  return reading(() => read(new Reader(bytesOf(body))));
}

function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof MsgpackError) && !(cause instanceof FsmError)) throw cause;
    throw new RpcApplicationError(`rpc: the body holds no config entries: ${cause.message}`, { cause });
  }
}

const isRaw = (body: Value): body is string | Uint8Array =>
  typeof body === 'string' || body instanceof Uint8Array;

/** A raw string that happens to be UTF-8 is decoded as text, without loss. */
const bytesOf = (body: string | Uint8Array): Uint8Array =>
  typeof body === 'string' ? Buffer.from(body) : body;
