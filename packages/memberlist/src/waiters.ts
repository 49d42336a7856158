/**
 * waiters.ts: callers waiting for something the core will say later.
 *
 * Lives here: tickets, and their promises, each with a time limit. Must not live here: what is waited for.
 */
import type { Ticket } from './core/event.ts';
import { MemberlistError } from './errors.ts';
import type { Clock } from './ports.ts';

interface Waiter {
  readonly resolve: (value: unknown) => void;
  readonly reject: (cause: Error) => void;
  readonly limit: Disposable | undefined;
}

export class Waiters {
  readonly #clock: Clock;
  readonly #waiting = new Map<Ticket, Waiter>();
  #ticket = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Rejects with 'timeout' and `what` after `limitMs`, if given. */
  wait<T>(
    what: string,
    limitMs: number | undefined,
  ): { readonly ticket: Ticket; readonly promise: Promise<T> } {
    const ticket = ++this.#ticket;
    const promise = new Promise<T>((resolve, reject) => {
      const limit =
        limitMs === undefined
          ? undefined
          : this.#clock.at(this.#clock.now() + limitMs, () =>
              this.#take(ticket)?.reject(
                new MemberlistError('timeout', `${what} took longer than ${limitMs} ms`),
              ),
            );
      this.#waiting.set(ticket, { resolve: resolve as Waiter['resolve'], reject, limit });
    });
    return { ticket, promise };
  }

  /** Nothing happens if nobody waits any more. */
  resolve(ticket: Ticket, value: unknown): void {
    this.#take(ticket)?.resolve(value);
  }

  rejectAll(cause: Error): void {
    for (const ticket of [...this.#waiting.keys()]) this.#take(ticket)?.reject(cause);
  }

  #take(ticket: Ticket): Waiter | undefined {
    const waiter = this.#waiting.get(ticket);
    this.#waiting.delete(ticket);
    waiter?.limit?.[Symbol.dispose]();
    return waiter;
  }
}
