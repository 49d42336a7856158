/**
 * config-entry.ts: ConfigEntry.ListAll: what a secondary copies of the primary's configuration.
 *
 * We hold no config entries but those that came with a snapshot, and pass these on as they are: an empty answer would
 * make secondaries delete theirs. The reply is one raw string, in it a count, kind and entry in turn, then the query meta.
 * Source: Consul agent/consul/config_endpoint.go, agent/structs/config_entry.go (IndexedGenericConfigEntries).
 */
import { type Value, Writer } from '@fed/msgpack';
import { list } from './args.ts';
import type { Endpoint } from './ask.ts';
import { type BlockingOptions, blocking } from './blocking.ts';

/** All that peers of 1.8 know, who do not say. */
const kindsOf18: readonly string[] = [
  'service-defaults',
  'proxy-defaults',
  'service-router',
  'service-splitter',
  'service-resolver',
  'ingress-gateway',
  'terminating-gateway',
];

export function configEntryEndpoints(o: BlockingOptions): Readonly<Record<string, Endpoint>> {
  return {
    'ConfigEntry.ListAll': {
      belongs: 'datacenter',
      answer: async (args, context) => {
        const asked = list(args, 'Kinds').map(String);
        // A peer fails on a kind it has never heard of, so nothing is sent that was not asked for.
        const kinds = new Set(asked.length === 0 ? kindsOf18 : asked);
        const reply = await blocking(o, args, context, (store) => {
          const { index, rows } = store.configEntries();
          const entries = rows.filter((entry) => kinds.has(entry.kind));
          return { index, reply: { Entries: entries.map(({ kind, value }) => ({ kind, value })) } };
        });
        return doubleEncoded(reply as { readonly [key: string]: Value });
      },
    },
  };
}

function doubleEncoded({ Entries, ...meta }: { readonly [key: string]: Value }): Uint8Array {
  const entries = Entries as readonly { readonly kind: string; readonly value: Uint8Array }[];
  const out = new Writer().int(entries.length);
  for (const { kind, value } of entries) out.str(kind).verbatim(value);
  return out.value(meta).take();
}
