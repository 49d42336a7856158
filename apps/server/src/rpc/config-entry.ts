/**
 * config-entry.ts: ConfigEntry.*: what operators say of services as a whole. Written in the primary only; secondaries copy it.
 *
 * A secondary's users write through the primary and read what was copied. Whoever replicates from us is told of every kind
 * he asks for and no other: he would fail on one he has never heard of.
 * Lives here: the methods. Must not live here: their bodies (config-entries/wire.ts), rules of an entry (rules.ts).
 * Source: Consul agent/consul/config_endpoint.go (v1.10.1).
 */
import { type ConfigEntry, type ConfigEntryOp, configEntryNamed, type Fsm, FsmError } from '@fed/fsm';
import { RpcApplicationError } from '@fed/rpc';
import { schemaOf } from '../config-entries/decode.ts';
import { ConfigEntryError } from '../config-entries/errors.ts';
import { checkedConfigEntry } from '../config-entries/rules.ts';
import { entryArgs, entryOf, getWire, listAllWire, listWire, requestWire } from '../config-entries/wire.ts';
import { type Args, list, text } from './args.ts';
import type { Endpoint } from './ask.ts';
import { type BlockingOptions, blocking } from './blocking.ts';
import type { Caller, Callers } from './callers.ts';

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

export interface ConfigEntryOptions extends BlockingOptions {
  readonly fsm: Pick<Fsm, 'query' | 'engine' | 'apply'>;
  readonly callers: Callers;
}

export function configEntryEndpoints(o: ConfigEntryOptions): Readonly<Record<string, Endpoint>> {
  const write = async (op: ConfigEntryOp, entry: ConfigEntry): Promise<boolean | null> => {
    const { result } = await o.fsm.apply({ type: 'configEntry', request: { op, entry } });
    return result as boolean | null;
  };
  /** From abroad servers pass on what their users write; at home tokens say who may. */
  const mayWrite = (caller: Caller | undefined): void => {
    if (caller?.byAlpn === true) o.callers.mustBeServer(caller, 'writing config entries');
  };
  return {
    'ConfigEntry.Apply': {
      belongs: 'primary',
      wire: requestWire,
      answer: async (args, { caller }) => {
        mayWrite(caller);
        return told(async () => {
          const entry = entryOf(args);
          schemaOf(entry.kind);
          const op = text(args, 'Op') === 'upsert-cas' ? 'upsert-cas' : 'upsert';
          return (await write(op, checkedConfigEntry(entry))) === true;
        });
      },
    },
    'ConfigEntry.Delete': {
      belongs: 'primary',
      wire: requestWire,
      answer: async (args, { caller }) => {
        mayWrite(caller);
        return told(async () => {
          const entry = entryOf(args);
          if (text(args, 'Op') !== 'delete-cas') {
            await write('delete', entry);
            return {};
          }
          return { Deleted: (await write('delete-cas', entry)) === true };
        });
      },
    },
    'ConfigEntry.Get': {
      belongs: 'datacenter',
      wire: getWire,
      answer: (args, context) => {
        const { kind, name } = configEntryNamed(text(args, 'Kind'), text(args, 'Name'));
        return blocking(o, args, context, (store) => {
          const { index, row } = store.configEntry(kind, name);
          return { index, reply: row === undefined ? { Kind: '', Entry: null } : entryArgs(row) };
        });
      },
    },
    'ConfigEntry.List': {
      belongs: 'datacenter',
      wire: listWire,
      answer: (args, context) => {
        const kind = text(args, 'Kind');
        return blocking(o, args, context, (store) => {
          const { index, rows } = store.configEntries(kind);
          return { index, reply: { Kind: kind, Entries: rows.map(entryArgs) } };
        });
      },
    },
    'ConfigEntry.ListAll': {
      belongs: 'datacenter',
      wire: listAllWire,
      answer: (args, context) => {
        const kinds = kindsAsked(args);
        return blocking(o, args, context, (store) => {
          const { index, rows } = store.configEntries();
          return { index, reply: { Entries: rows.filter(({ kind }) => kinds.has(kind)).map(entryArgs) } };
        });
      },
    },
  };
}

function kindsAsked(args: Args): ReadonlySet<string> {
  const asked = list(args, 'Kinds').map(String);
  return new Set(asked.length === 0 ? kindsOf18 : asked);
}

/** What the entry itself is to blame for is told in its words. */
async function told<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (!(cause instanceof FsmError) && !(cause instanceof ConfigEntryError)) throw cause;
    throw new RpcApplicationError(cause.message, { cause });
  }
}
