/**
 * effect-queue.ts: effects are carried out one after another, also when carrying one out brings new ones (I7).
 */
import type { Effect } from './core/effects.ts';

export class EffectQueue {
  readonly #carryOut: (effect: Effect) => void;
  /** Not empty only while effects are being carried out. */
  readonly #waiting: Effect[] = [];

  constructor(carryOut: (effect: Effect) => void) {
    this.#carryOut = carryOut;
  }

  /** Whether all are done when this returns; false when it was called from within. */
  add(effects: readonly Effect[]): boolean {
    const busy = this.#waiting.length > 0;
    for (const effect of effects) this.#waiting.push(effect);
    if (busy) return false;
    try {
      for (let i = 0; i < this.#waiting.length; i++) this.#carryOut(this.#waiting[i] as Effect);
    } finally {
      this.#waiting.length = 0;
    }
    return true;
  }
}
