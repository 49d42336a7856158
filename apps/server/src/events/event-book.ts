/**
 * event-book.ts: the user events this server has heard of, and who waits for the next.
 *
 * Lives here: the last ones, the waiting. Must not live here: what an event is (user-event.ts), HTTP.
 * Source: Consul agent/user_event.go (ingestUserEvent), agent/event_endpoint.go.
 */
import type { SerfEvent } from '@fed/serf';
import { decodeUserEvent, isFor, poolPrefix, type UserEvent } from './user-event.ts';

/** As many as the original remembers. */
const eventsMax = 256;

export interface EventBookOptions {
  readonly nodeName: string;
  readonly services: () => Iterable<{ readonly Service: string; readonly Tags: readonly string[] | null }>;
}

export class EventBook {
  readonly #o: EventBookOptions;
  readonly #events: UserEvent[] = [];
  readonly #waiting = new Set<() => void>();

  constructor(o: EventBookOptions) {
    this.#o = o;
  }

  /** What the LAN pool tells. Anything but an event that is meant for this node is passed over. */
  heard(event: SerfEvent): void {
    if (event.kind !== 'user' || !event.name.startsWith(poolPrefix)) return;
    const read = decodeUserEvent(event.payload, event.ltime);
    if (read === undefined || !isFor(read, this.#o.nodeName, this.#o.services())) return;
    this.#events.push(read);
    if (this.#events.length > eventsMax) this.#events.shift();
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  /** Oldest first. */
  list(): readonly UserEvent[] {
    return this.#events;
  }

  /** Resolves at the next event; rejects with the signal's reason. */
  next(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const aborted = (): void => {
        this.#waiting.delete(wake);
        reject(signal.reason);
      };
      const wake = (): void => {
        signal.removeEventListener('abort', aborted);
        resolve();
      };
      if (signal.aborted) return reject(signal.reason);
      signal.addEventListener('abort', aborted, { once: true });
      this.#waiting.add(wake);
    });
  }
}
