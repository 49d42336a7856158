/**
 * blocking.ts: a read over RPC: query options in, query meta out, and the wait between.
 *
 * Source: Consul agent/consul/rpc.go (blockingQuery), structs.QueryOptions and QueryMeta.
 */
import type { Fsm, ReadStore } from '@fed/fsm';
import type { Value } from '@fed/msgpack';
import { type Args, flag, integer } from './args.ts';
import type { AskContext } from './ask.ts';
import { knowsLeader } from './status.ts';

export interface BlockingOptions {
  readonly fsm: Pick<Fsm, 'query' | 'engine'>;
  readonly queryTimeDefaultMs: number;
  readonly queryTimeMaxMs: number;
}

const nanosPerMs = 1e6;

/** Runs `read` until its index passes the caller's, and adds the meta keys to what it returned, in the order Go writes them. */
export async function blocking(
  o: BlockingOptions,
  args: Args,
  context: AskContext,
  read: (store: ReadStore) => { readonly index: number; readonly reply: { readonly [key: string]: Value } },
): Promise<Value> {
  if (flag(args, 'RequireConsistent')) await o.fsm.engine.barrier(context.signal);
  const askedMs = integer(args, 'MaxQueryTime') / nanosPerMs;
  const { index, value } = await o.fsm.query(
    {
      minIndex: integer(args, 'MinQueryIndex'),
      waitMs: askedMs > 0 ? Math.min(askedMs, o.queryTimeMaxMs) : o.queryTimeDefaultMs,
      signal: context.signal,
    },
    (store) => {
      const { index, reply } = read(store);
      return { index, value: reply };
    },
  );
  return inOrder({
    ...value,
    ConsistencyLevel: '',
    Index: index,
    KnownLeader: knowsLeader(o.fsm.engine),
    LastContact: Math.round((o.fsm.engine.lastContactMs() ?? 0) * nanosPerMs),
    NotModified: value['NotModified'] ?? false,
  });
}

function inOrder(reply: { readonly [key: string]: Value }): Value {
  const sorted: { [key: string]: Value } = {};
  for (const key of Object.keys(reply).sort()) sorted[key] = reply[key] as Value;
  return sorted;
}
