/**
 * suspicion.ts: how long a suspect is given to clear its name.
 *
 * Think of a jury: each independent witness shortens the wait, on a log scale, from `maxMs` down to `minMs`;
 * hearing the same witness twice changes nothing. Lifeguard §IV-B; memberlist suspicion.go.
 * Lives here: the arithmetic of one deadline. Must not live here: timers, member state, gossip.
 */
import type { Millis } from '../ports.ts';
import { suspicionTotalMs } from './formulas.ts';

export class Suspicion {
  /** When the suspect is to be declared dead; may lie in the past after a confirmation. */
  deadline: Millis;
  readonly minMs: number;
  readonly maxMs: number;
  /** How many further witnesses shorten the wait. */
  readonly wanted: number;
  readonly #since: Millis;
  readonly #heard: Set<string>;

  constructor(
    accuser: string,
    o: { readonly since: Millis; readonly minMs: number; readonly maxMs: number; readonly wanted: number },
  ) {
    this.#heard = new Set([accuser]); // our own rumour coming home is no second witness
    this.#since = o.since;
    this.minMs = o.minMs;
    this.maxMs = o.maxMs;
    this.wanted = o.wanted;
    this.deadline = o.since + (o.wanted < 1 ? o.minMs : o.maxMs);
  }

  /** Witnesses after the first accuser. */
  get confirmed(): number {
    return this.#heard.size - 1;
  }

  /** Everybody whose word no longer counts. */
  get heard(): readonly string[] {
    return [...this.#heard];
  }

  /** Whether `from` was news, worth gossiping on. May move `deadline` into the past. */
  confirm(from: string): boolean {
    if (this.confirmed >= this.wanted || this.#heard.has(from)) return false;
    this.#heard.add(from);
    this.deadline = this.#since + suspicionTotalMs(this.confirmed, this.wanted, this.minMs, this.maxMs);
    return true;
  }
}
