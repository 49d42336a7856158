/**
 * coalesce.ts: waits for a flurry of events to settle and tells the outcome once.
 *
 * Events are held until none has come for `quiescentMs`, but no longer than `periodMs` after the first. Of a member
 * only the last event counts, and not even that if the same was told before; of user events that allow it, those of
 * the newest Lamport time. serf coalesce.go, coalesce_member.go, coalesce_user.go.
 * Lives here: what is held and told. Must not live here: time (handed in), listeners (serf.ts).
 */
import type { Millis } from '../ports.ts';
import type { MemberEvent, SerfEvent, UserEvent } from './events.ts';
import type { SerfMember } from './members.ts';

export interface CoalesceTimes {
  /** Longest wait after the first event, in ms; 0: tell at once. */
  readonly periodMs: number;
  /** Quiet time that ends the wait early, in ms; 0: tell at once. */
  readonly quiescentMs: number;
}

interface Holder {
  /** Whether the event is held; what is not is told at once. */
  hold(event: SerfEvent): boolean;
  flush(): SerfEvent[];
}

/** One kind of event, held and told. */
export class Coalescer {
  readonly #times: CoalesceTimes;
  readonly #holder: Holder;
  #latest = Number.POSITIVE_INFINITY;
  #quiet = Number.POSITIVE_INFINITY;

  constructor(times: CoalesceTimes, holder: Holder) {
    this.#times = times;
    this.#holder = holder;
  }

  /** What is to be told now because of `event`. */
  take(event: SerfEvent, now: Millis): readonly SerfEvent[] {
    if (this.#times.periodMs <= 0 || this.#times.quiescentMs <= 0 || !this.#holder.hold(event))
      return [event];
    if (this.#latest === Number.POSITIVE_INFINITY) this.#latest = now + this.#times.periodMs;
    this.#quiet = now + this.#times.quiescentMs;
    return [];
  }

  deadline(): Millis {
    return Math.min(this.#latest, this.#quiet);
  }

  /** What is to be told because it is `now`; with `force` everything held. */
  expire(now: Millis, force = false): readonly SerfEvent[] {
    if (!force && now < this.deadline()) return [];
    this.#latest = Number.POSITIVE_INFINITY;
    this.#quiet = Number.POSITIVE_INFINITY;
    return this.#holder.flush();
  }
}

export class MemberHolder implements Holder {
  readonly #held = new Map<string, { kind: MemberEvent['kind']; member: SerfMember }>();
  readonly #told = new Map<string, MemberEvent['kind']>();

  hold(event: SerfEvent): boolean {
    if (event.kind === 'user' || event.kind === 'query') return false;
    for (const member of event.members) this.#held.set(member.name, { kind: event.kind, member });
    return true;
  }

  flush(): SerfEvent[] {
    const byKind = new Map<MemberEvent['kind'], SerfMember[]>();
    for (const [name, { kind, member }] of this.#held) {
      if (kind !== 'member-update' && this.#told.get(name) === kind) continue;
      if (kind === 'member-reap')
        this.#told.delete(name); // forgotten: what comes next is news
      else this.#told.set(name, kind);
      const members = byKind.get(kind);
      if (members === undefined) byKind.set(kind, [member]);
      else members.push(member);
    }
    this.#held.clear();
    return Array.from(byKind, ([kind, members]) => ({ kind, members }));
  }
}

/** Different names held at most; more are told at once. Names are the peers' choice: guards our memory. */
export const heldNamesMax = 4_096;
/** Events of one name and time held at most; more are told at once. */
const heldPerNameMax = 1_024;

export class UserHolder implements Holder {
  readonly #held = new Map<string, UserEvent[]>();

  hold(event: SerfEvent): boolean {
    if (event.kind !== 'user' || !event.coalesce) return false;
    const held = this.#held.get(event.name);
    const newest = held?.[0]?.ltime;
    if (held === undefined || newest === undefined || newest < event.ltime) {
      if (held === undefined && this.#held.size >= heldNamesMax) return false;
      this.#held.set(event.name, [event]);
      return true;
    }
    if (newest > event.ltime) return true; // overtaken
    if (held.length >= heldPerNameMax) return false;
    held.push(event);
    return true;
  }

  flush(): SerfEvent[] {
    const all = [...this.#held.values()].flat();
    this.#held.clear();
    return all;
  }
}
