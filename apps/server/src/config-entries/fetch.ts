/**
 * fetch.ts: the primary's config entries, all of them, as a secondary asks for them.
 */
import { configEntryKinds } from '@fed/fsm';
import type { Value } from '@fed/msgpack';
import type { EntryAnswer } from '@fed/replication';
import { asArgs } from '../rpc/args.ts';
import type { Ask } from '../rpc/ask.ts';
import { entryOf } from './wire.ts';

/** Every kind there ever was is asked for: what the primary has never heard of it does not list. */
export async function fetchConfigEntries(o: {
  readonly ask: Ask;
  readonly primary: string;
  /** 0: at once; else when there is news, or after some minutes. */
  readonly minIndex: number;
  readonly signal: AbortSignal;
}): Promise<EntryAnswer> {
  const reply = asArgs(
    await o.ask(
      'ConfigEntry.ListAll',
      {
        Datacenter: o.primary,
        Kinds: configEntryKinds,
        AllowStale: true,
        MinQueryIndex: o.minIndex,
        MaxQueryTime: 0,
      },
      { signal: o.signal },
    ),
  );
  const entries = (reply['Entries'] ?? []) as readonly Value[];
  return { index: Number(reply['Index'] ?? 0), entries: entries.map((item) => entryOf(asArgs(item))) };
}
