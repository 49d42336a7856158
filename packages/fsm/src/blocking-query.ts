/**
 * blocking-query.ts: "tell me when there is something newer than this".
 *
 * A client that knows index N asks to be answered when the index is above N, or when its patience ends. It is parked under
 * exactly the keys its answer depends on; being woken only means looking again.
 * Lives here: the loop, the waiting time. Must not live here: consistency, leadership, forwarding.
 * Source: Consul agent/consul/rpc.go blockingQuery (v1.9.8).
 */
import type { Clock, Rng } from './ports.ts';
import type { ReadStore } from './read-store.ts';
import type { Waiter } from './watch.ts';

/** Waited when the client names no time, and at most, in ms. */
export const queryWaitDefaultMs = 300_000;
export const queryWaitMaxMs = 600_000;

/** What the loop asks of the store; Store has it. */
export interface WatchableStore {
  /** Grows with every restore: indexes seen in another epoch mean nothing in this one. */
  readonly epoch: number;
  track<T>(read: (store: ReadStore) => T): { readonly value: T; readonly keys: ReadonlySet<string> };
  park(waiter: Waiter): Disposable;
}

export interface BlockingQueryOptions {
  /** The index the client has seen. 0: answer at once. */
  readonly minIndex: number;
  /** 0 means the default. Beyond the maximum it is cut. Up to a sixteenth is added at random, so that waiters part ways. */
  readonly waitMs: number;
  /** Ends the wait by rejecting with the signal's reason: the client is gone, or we are shutting down. */
  readonly signal?: AbortSignal;
  readonly clock: Clock;
  readonly rng: Rng;
}

/**
 * Runs `read` at once; while its index is at most `minIndex`, waits until something it read changes, or the time is over,
 * then answers with what is there. The index is never below 1: a client that got 0 would never block again. A restore
 * answers every waiter once, whatever the index became.
 */
export async function blockingQuery<T>(
  store: WatchableStore,
  o: BlockingQueryOptions,
  read: (store: ReadStore) => { readonly index: number; readonly value: T },
): Promise<{ readonly index: number; readonly value: T }> {
  o.signal?.throwIfAborted();
  const answer = store.track(read);
  if (o.minIndex <= 0 || answer.value.index > o.minIndex) return atLeastOne(answer.value);

  const waitMs = Math.min(o.waitMs > 0 ? o.waitMs : queryWaitDefaultMs, queryWaitMaxMs);
  const sixteenth = Math.floor(waitMs / 16);
  const until = o.clock.now() + waitMs + (sixteenth > 0 ? o.rng.below(sixteenth) : 0);

  return new Promise((resolve, reject) => {
    const { epoch } = store;
    let over = false;
    let parked: Disposable | undefined;
    const end = (): void => {
      over = true;
      timer[Symbol.dispose]();
      parked?.[Symbol.dispose]();
      o.signal?.removeEventListener('abort', aborted);
    };
    const aborted = (): void => {
      end();
      reject(o.signal?.reason);
    };
    const look = (timeIsOver: boolean): void => {
      if (over) return;
      try {
        const { value, keys } = store.track(read);
        if (timeIsOver || store.epoch !== epoch || value.index > o.minIndex) {
          end();
          resolve(atLeastOne(value));
        } else {
          park(keys);
        }
      } catch (error) {
        end();
        reject(error);
      }
    };
    // Looking again happens after the commit, not inside it; nothing is parked meanwhile, and the look sees all that came.
    const park = (keys: ReadonlySet<string>): void => {
      parked = store.park({ keys, wake: () => queueMicrotask(() => look(false)) });
    };
    const timer = o.clock.at(until, () => look(true));
    o.signal?.addEventListener('abort', aborted, { once: true });
    park(answer.keys);
  });
}

function atLeastOne<T>(answer: { readonly index: number; readonly value: T }): { index: number; value: T } {
  return { index: Math.max(1, answer.index), value: answer.value };
}
