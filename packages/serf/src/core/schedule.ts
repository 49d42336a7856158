/**
 * schedule.ts: the three things a serf does by the clock: reap, reconnect, look at its queues.
 *
 * Lives here: when each is due next. Must not live here: what is done then (core.ts).
 */
import type { SerfConfig } from '../config.ts';
import type { Millis } from '../ports.ts';

export type Chore = 'reap' | 'reconnect' | 'checkQueues';

export class Schedule {
  readonly #chores: { readonly chore: Chore; readonly everyMs: number; next: Millis }[];

  constructor(o: { readonly config: SerfConfig; readonly now: Millis }) {
    const { reapIntervalMs, reconnectIntervalMs, queueCheckIntervalMs } = o.config;
    const every: readonly (readonly [Chore, number])[] = [
      ['reap', reapIntervalMs],
      ['reconnect', reconnectIntervalMs],
      ['checkQueues', queueCheckIntervalMs],
    ];
    this.#chores = every
      .filter(([, everyMs]) => everyMs > 0)
      .map(([chore, everyMs]) => ({ chore, everyMs, next: o.now + everyMs }));
  }

  deadline(): Millis {
    return Math.min(...this.#chores.map((c) => c.next));
  }

  /** Each chore whose time has come, once, however late we are. */
  due(now: Millis): Chore[] {
    const due = this.#chores.filter((c) => now >= c.next);
    for (const c of due) c.next = now + c.everyMs;
    return due.map((c) => c.chore);
  }
}
