/**
 * awareness.ts: how well we are ourselves.
 *
 * Somebody who misses answers should first doubt his own ears: each sign of trouble raises the score, and our probes
 * become more patient by that factor. Lifeguard §IV-A; memberlist awareness.go.
 * Lives here: one number. Must not live here: what raises it (probe.ts, members.ts).
 */
export class Awareness {
  #score = 0;
  readonly #scoreMax: number;

  /** The score stays below `maxMultiplier`. */
  constructor(maxMultiplier: number) {
    this.#scoreMax = maxMultiplier - 1;
  }

  /** 0 is healthy. */
  get score(): number {
    return this.#score;
  }

  apply(delta: number): void {
    this.#score = Math.min(this.#scoreMax, Math.max(0, this.#score + delta));
  }

  scaleMs(ms: number): number {
    return ms * (this.#score + 1);
  }
}
