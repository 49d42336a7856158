/**
 * telling.ts: the way of an event to the application: snapshot, then user event coalescing, then member event
 * coalescing, then every listener. serf serf.go, Create (the chain of channels there, without the channels).
 *
 * Lives here: that order, listeners. Must not live here: which events there are (core/).
 */
import type { SerfConfig } from './config.ts';
import { Coalescer, MemberHolder, UserHolder } from './core/coalesce.ts';
import type { SerfEvent } from './core/events.ts';
import type { LogEvent, Millis } from './ports.ts';
import type { SnapshotFile } from './snapshot-file.ts';
import type { LamportTime } from './wire/message.ts';

export class Telling {
  readonly #listeners = new Set<(event: SerfEvent) => void>();
  readonly #userEvents: Coalescer;
  readonly #memberEvents: Coalescer;
  readonly #snapshot: SnapshotFile | undefined;
  readonly #log: (e: LogEvent) => void;

  constructor(o: { config: SerfConfig; snapshot: SnapshotFile | undefined; log: (e: LogEvent) => void }) {
    this.#userEvents = new Coalescer(o.config.userCoalesce, new UserHolder());
    this.#memberEvents = new Coalescer(o.config.memberCoalesce, new MemberHolder());
    this.#snapshot = o.snapshot;
    this.#log = o.log;
  }

  listen(listener: (event: SerfEvent) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** `clock` is the member clock. */
  tell(event: SerfEvent, clock: LamportTime, now: Millis): void {
    this.#snapshot?.record(event, clock, now);
    for (const passed of this.#userEvents.take(event, now)) this.#pass(passed, now);
  }

  /** A query that is not for the application; only the snapshot hears of it. */
  note(query: LamportTime, now: Millis): void {
    this.#snapshot?.queryAt(query, now);
  }

  /** The member clock may have moved. */
  tick(clock: LamportTime, now: Millis): void {
    this.#snapshot?.tick(clock, now);
  }

  deadline(): Millis {
    return Math.min(
      this.#userEvents.deadline(),
      this.#memberEvents.deadline(),
      this.#snapshot?.deadline() ?? Number.POSITIVE_INFINITY,
    );
  }

  expire(now: Millis): void {
    for (const event of this.#userEvents.expire(now)) this.#pass(event, now);
    for (const event of this.#memberEvents.expire(now)) this.#deliver(event);
    this.#snapshot?.expire(now);
  }

  /** Nothing is held back any longer. */
  flush(): void {
    for (const event of this.#userEvents.expire(0, true)) this.#deliver(event);
    for (const event of this.#memberEvents.expire(0, true)) this.#deliver(event);
  }

  /** Calls somebody else's code: a listener that throws has a bug of its own, and gossip goes on. */
  guard(call: () => void): void {
    try {
      call();
    } catch (cause) {
      this.#log({ level: 'error', code: 'listener_failed', text: 'a listener threw', cause });
    }
  }

  #pass(event: SerfEvent, now: Millis): void {
    for (const told of this.#memberEvents.take(event, now)) this.#deliver(told);
  }

  #deliver(event: SerfEvent): void {
    for (const listener of this.#listeners) this.guard(() => listener(event));
  }
}
