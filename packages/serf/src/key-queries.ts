/**
 * key-queries.ts: changes the keys of all members by asking them to. serf keymanager.go.
 *
 * Lives here: one key operation from query to report. Must not live here: what a member does with its ring (core/keys.ts).
 */
import type { KeyOutcome, Keys, Query, QueryOptions } from './api.ts';
import { type KeyOperation, KeyTally, keyFailure } from './core/keys.ts';
import { internalPrefix } from './core/query-desk.ts';
import { encodeMessage } from './wire/encode.ts';

export interface Ask {
  query(name: string, payload: Uint8Array, o: QueryOptions): Query;
  /** Members alive now, ourselves included. */
  members(): number;
}

export function keyQueries(ask: Ask): Keys {
  const run = async (operation: KeyOperation, key: Uint8Array, relayFactor = 0): Promise<KeyOutcome> => {
    const tally = new KeyTally(ask.members());
    const payload = encodeMessage({ kind: 'keyRequest', key });
    const query = ask.query(internalPrefix + operation, payload, {
      relayFactor,
      onResponse: ({ from, payload }) => {
        if (tally.complete) return;
        tally.add(from, payload);
        if (tally.complete) query[Symbol.dispose]();
      },
    });
    await query.done;
    const report = tally.report();
    return { ...report, failure: keyFailure(report) };
  };
  const none = new Uint8Array(0);
  return {
    install: (key, o) => run('install-key', key, o?.relayFactor),
    use: (key, o) => run('use-key', key, o?.relayFactor),
    remove: (key, o) => run('remove-key', key, o?.relayFactor),
    list: (o) => run('list-keys', none, o?.relayFactor),
  };
}
