/**
 * process.ts: one running program in the simulation: its own view of time, which ends when it is killed.
 *
 * A killed program does nothing more: no timer of its fires, no connection of its is heard. One that stands still is woken
 * when it goes on, late. Lives here: that. Must not live here: what the program is.
 */
import type { Clock } from '@fed/memberlist';
import type { SimHost } from './network.ts';

export class SimProcess implements Clock {
  readonly host: SimHost;
  readonly #clock: Clock;
  #over = false;

  constructor(host: SimHost, clock: Clock) {
    this.host = host;
    this.#clock = clock;
    host.alive = true;
  }

  now(): number {
    return this.#clock.now();
  }

  at(when: number, wake: () => void): Disposable {
    return this.#clock.at(when, () => this.#wake(wake));
  }

  get isOver(): boolean {
    return this.#over;
  }

  kill(): void {
    this.#over = true;
  }

  /** While it stands still, what is due waits. */
  #wake(wake: () => void): void {
    if (this.#over) return;
    if (this.host.frozen) this.#clock.at(this.#clock.now() + frozenLookMs, () => this.#wake(wake));
    else wake();
  }
}

/** How late a program is that was let go on, at most. */
const frozenLookMs = 50;
