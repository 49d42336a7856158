/**
 * user-events.ts: which user events were heard already, and which are too old to tell.
 *
 * A ring with one slot per Lamport time, `slots` times back. The same ring is what a push/pull tells a newcomer.
 * serf serf.go, handleUserEvent.
 * Lives here: that ring. Must not live here: delivery and re-broadcast (core.ts).
 */
import type { LamportTime, UserEventMessage, UserEventsAt } from '../wire/message.ts';
import { LamportClock } from './lamport.ts';

/** Different events of one Lamport time that are told apart. Guards our memory; a member raises its time each event. */
export const eventsPerTimeMax = 1_024;
/** Names and payloads kept in the ring, in bytes. Guards our memory and the size of a push/pull. */
const eventBufferBytesMax = 4 * 1_024 * 1_024;

type Kept = UserEventsAt['events'][number];
interface Slot {
  readonly ltime: LamportTime;
  readonly events: Kept[];
}

export type Heard = 'new' | 'before_minimum' | 'too_old' | 'seen' | 'full';

export class UserEvents {
  readonly clock: LamportClock = new LamportClock();
  /** Events before this are not told: they happened before we came (back). */
  minTime: LamportTime = 0n;
  readonly #ring: (Slot | null)[];
  #bytes = 0;

  constructor(slots: number) {
    this.#ring = new Array<Slot | null>(slots).fill(null);
  }

  hear(m: Pick<UserEventMessage, 'ltime' | 'name' | 'payload'>): Heard {
    this.clock.witness(m.ltime);
    if (m.ltime < this.minTime) return 'before_minimum';
    const slots = BigInt(this.#ring.length);
    if (this.clock.time > slots && m.ltime < this.clock.time - slots) return 'too_old';
    const at = Number(m.ltime % slots);
    let slot = this.#ring[at] ?? null;
    if (slot !== null && slot.ltime === m.ltime) {
      if (slot.events.some((kept) => kept.name === m.name && equal(kept.payload, m.payload))) return 'seen';
    } else {
      if (slot !== null) for (const kept of slot.events) this.#bytes -= size(kept);
      slot = { ltime: m.ltime, events: [] };
      this.#ring[at] = slot;
    }
    const kept: Kept = { name: m.name, payload: m.payload === null ? null : Uint8Array.from(m.payload) };
    if (slot.events.length >= eventsPerTimeMax || this.#bytes + size(kept) > eventBufferBytesMax)
      return 'full';
    slot.events.push(kept);
    this.#bytes += size(kept);
    return 'new';
  }

  /** As it is, with its holes. */
  ring(): readonly (UserEventsAt | null)[] {
    return this.#ring;
  }
}

function size(kept: Kept): number {
  return kept.name.length + (kept.payload?.length ?? 0);
}

/** nil and empty are the same payload. */
function equal(a: Uint8Array | null, b: Uint8Array | null): boolean {
  const x = a ?? none;
  const y = b ?? none;
  return x.length === y.length && Buffer.compare(x, y) === 0;
}

const none: Uint8Array = new Uint8Array(0);
