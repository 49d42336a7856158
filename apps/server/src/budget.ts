/**
 * budget.ts: how long we wait for somebody in another datacenter, at most.
 *
 * A connection through gateways can go silent without a word, and what runs over it then waits for its own limit, which may be
 * meant for the slowest of exchanges. Lives here: giving up in time. Must not live here: how much time, and what is done then.
 */

export class BudgetError extends Error {
  readonly code = 'budget_spent';
}

/**
 * Calls `work` with a signal that aborts on `stop` and after `ms`; does not wait for it beyond that, whether it heeds the
 * signal or not. Rejects with BudgetError `budget_spent`, the stop signal's reason, or as `work` does.
 */
export function withinBudget<T>(
  work: (signal: AbortSignal) => Promise<T>,
  o: {
    readonly clock: { now(): number; at(when: number, wake: () => void): Disposable };
    readonly ms: number;
    readonly stop: AbortSignal;
    readonly what: string;
  },
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const call = new AbortController();
  const giveUp = (reason: unknown): void => {
    end();
    reject(reason);
    call.abort(reason);
  };
  const stopped = (): void => giveUp(o.stop.reason);
  const timer = o.clock.at(o.clock.now() + o.ms, () =>
    giveUp(
      new BudgetError(
        `${o.what}: nothing within ${o.ms} ms; a gateway on the way takes connections and stays silent, or the way is very slow`,
      ),
    ),
  );
  const end = (): void => {
    timer[Symbol.dispose]();
    o.stop.removeEventListener('abort', stopped);
  };
  o.stop.addEventListener('abort', stopped);
  if (o.stop.aborted) stopped();
  // A call that throws has failed, no more and no less than one that rejects.
  else new Promise<T>((settle) => settle(work(call.signal))).finally(end).then(resolve, reject);
  return promise;
}
