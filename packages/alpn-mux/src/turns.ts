/**
 * turns.ts: one handshake per turn of the event loop, however many are asked for at once.
 *
 * A handshake holds the thread for the better part of a millisecond. When a hundred clients come back at the same moment, those
 * who are inside already would wait for all of them; so each waits for one at most, and the hundred take hardly longer.
 * Lives here: the queue. Must not live here: what a turn does. Who waits is bounded by who may be connected.
 */
export class Turns {
  #waiting: (() => void)[] = [];
  #taken = 0;
  #running = false;

  /** At once if it is the first of this turn. */
  take(run: () => void): void {
    if (this.#running) {
      this.#waiting.push(run);
      return;
    }
    this.#running = true;
    setImmediate(this.#next);
    run();
  }

  get waiting(): number {
    return this.#waiting.length - this.#taken;
  }

  readonly #next = (): void => {
    const run = this.#waiting[this.#taken];
    if (run === undefined) {
      this.#waiting = [];
      this.#taken = 0;
      this.#running = false;
      return;
    }
    this.#taken += 1;
    setImmediate(this.#next);
    run();
  };
}
