/**
 * config-entries.ts: reads the config entries among the records we only keep for others.
 *
 * We give them no meaning, but whoever replicates from us must be told of them: a list without them would make him delete
 * his own. A record is one raw string, in it the kind and then the request with the entry.
 * Lives here: finding kind and entry in those bytes. Must not live here: what an entry says.
 * Source: Consul agent/structs/config_entry.go (ConfigEntryRequest.MarshalBinary, v1.9.8).
 */
import { MsgpackError, Reader } from '@fed/msgpack';
import { messageType } from './command.ts';
import { FsmError } from './errors.ts';
import type { ConfigEntry } from './rows.ts';
import type { ForeignRecord } from './tables.ts';

export function configEntriesIn(records: readonly ForeignRecord[]): readonly ConfigEntry[] {
  return records
    .filter((record) => record.typeByte === messageType.configEntry)
    .map((record) => configEntry(record.body));
}

function configEntry(body: Uint8Array): ConfigEntry {
  try {
    const request = new Reader(body).bytes();
    const reader = new Reader(request);
    const kind = reader.str();
    for (let left = reader.map(); left > 0; left -= 1) {
      const isEntry = reader.key() === 'Entry';
      const start = reader.offset;
      reader.skip();
      if (isEntry) return { kind, value: request.subarray(start, reader.offset) };
    }
    throw new FsmError('malformed', `a config entry of kind "${kind}" has no Entry`);
  } catch (cause) {
    if (!(cause instanceof MsgpackError)) throw cause;
    throw new FsmError('malformed', `a config entry of a snapshot: ${cause.message}`, { cause });
  }
}
