/**
 * alarm.ts: one timer for many deadlines that keep moving away.
 *
 * An idle deadline moves with every packet; re-arming a timer each time would cost more than the packet. So
 * the timer is only ever moved nearer; when it rings too early, the owner just says when it should ring next.
 * Lives here: that timer. Must not live here: whose deadlines they are.
 */
import type { Clock, Millis } from './ports.ts';

export class Alarm implements Disposable {
  readonly #clock: Clock;
  readonly #ring: (now: Millis) => Millis;
  #at: Millis = Number.POSITIVE_INFINITY;
  #timer: Disposable | undefined;

  /** `ring` does what is due and returns the next deadline (Infinity: none). */
  constructor(clock: Clock, ring: (now: Millis) => Millis) {
    this.#clock = clock;
    this.#ring = ring;
  }

  /** Rings at `when` or earlier. */
  want(when: Millis): void {
    if (when >= this.#at || when === Number.POSITIVE_INFINITY) return;
    this.#timer?.[Symbol.dispose]();
    this.#at = when;
    this.#timer = this.#clock.at(when, () => {
      this.#at = Number.POSITIVE_INFINITY;
      this.#timer = undefined;
      this.want(this.#ring(this.#clock.now()));
    });
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#at = Number.NEGATIVE_INFINITY; // never armed again
  }
}
