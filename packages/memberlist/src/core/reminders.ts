/**
 * reminders.ts: telling an accuser again what has been answered already.
 *
 * A refutation is gossiped a limited number of times and can miss somebody. He keeps accusing us at the old incarnation,
 * which is no news and is ignored, until in the end he declares us dead: on a network without any fault (found by
 * simulation, seed 246). So whoever accuses us of something we have refuted gets our alive message directly. The
 * original waits for the next push/pull instead; the message is one it understands.
 * Lives here: to whom, and not too often. Must not live here: refuting (members.ts).
 */
import type { Millis } from '../ports.ts';
import { encodeMessage } from '../wire/codec.ts';
import type { Dead, Suspect } from '../wire/message.ts';
import { type Gossip, readsCrc } from './gossip.ts';
import type { Members } from './members.ts';
import { addressOf } from './row.ts';

/** I5: accusers remembered; when there are more, all are forgotten and may be reminded anew. */
const accusersMax = 1_024;

export class Reminders {
  readonly #members: Members;
  readonly #gossip: Gossip;
  readonly #everyMs: number;
  readonly #remindedAt = new Map<string, Millis>();

  /** At most one per accuser in `everyMs`. */
  constructor(o: { readonly members: Members; readonly gossip: Gossip; readonly everyMs: number }) {
    this.#members = o.members;
    this.#gossip = o.gossip;
    this.#everyMs = o.everyMs;
  }

  /** An accusation as it came in, of anybody. */
  accused(accusation: Suspect | Dead, now: Millis): void {
    const { self, leaving } = this.#members;
    if (accusation.node !== self.name || accusation.incarnation >= self.incarnation || leaving) return;
    const accuser = this.#members.get(accusation.from);
    if (accuser === undefined || accuser === self) return;
    const last = this.#remindedAt.get(accuser.name);
    if (last !== undefined && now - last < this.#everyMs) return;
    if (this.#remindedAt.size >= accusersMax) this.#remindedAt.clear();
    this.#remindedAt.set(accuser.name, now);
    const alive = encodeMessage(this.#members.selfAlive());
    this.#gossip.send(addressOf(accuser), [alive], readsCrc(accuser));
  }
}
