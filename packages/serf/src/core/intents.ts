/**
 * intents.ts: joins and leaves of members nobody here has met yet, kept until they are met or forgotten.
 *
 * Gossip brings an intent before memberlist reports the member as easily as after. Only the newest per name counts.
 * serf serf.go: upsertIntent, recentIntent, reapIntents.
 * Lives here: that buffer. Must not live here: members (members.ts).
 */
import type { Millis } from '../ports.ts';
import type { LamportTime } from '../wire/message.ts';

/** Names remembered at most; names are the peers' choice, so this guards our memory (I5). The oldest goes first. */
export const intentsMax = 16_384;

/** Characters of a name; memberlist lets no longer one in (I5). */
export const nameCharsMax = 512;

export interface Intent {
  readonly kind: 'join' | 'leave';
  readonly ltime: LamportTime;
  readonly heardAt: Millis;
}

export class Intents {
  readonly #byName = new Map<string, Intent>();

  /** Whether it was news: nothing was known of that name, or something older. */
  upsert(name: string, kind: Intent['kind'], ltime: LamportTime, now: Millis): boolean {
    const known = this.#byName.get(name);
    if (known !== undefined && ltime <= known.ltime) return false;
    this.#byName.delete(name); // to the end: the map stays ordered by age
    this.#byName.set(name, { kind, ltime, heardAt: now });
    if (this.#byName.size > intentsMax) {
      const [oldest] = this.#byName.keys();
      if (oldest !== undefined) this.#byName.delete(oldest);
    }
    return true;
  }

  get(name: string): Intent | undefined {
    return this.#byName.get(name);
  }

  entries(): IterableIterator<[string, Intent]> {
    return this.#byName.entries();
  }

  reap(now: Millis, timeoutMs: number): void {
    for (const [name, intent] of this.#byName) {
      if (now - intent.heardAt <= timeoutMs) return; // ordered by age
      this.#byName.delete(name);
    }
  }
}
