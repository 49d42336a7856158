/**
 * transcript.ts: what happened, in order, and one number that stands for all of it.
 *
 * Two runs of one seed must have the same hash; if they do not, something in the code asks the real world.
 * Lives here: lines and their hash. Must not live here: what is worth a line.
 */
import { createHash } from 'node:crypto';

/** Lines kept for the reader; the hash covers all of them. */
const linesMax = 2_000;

export class Transcript {
  readonly #hash = createHash('sha256');
  readonly #lines: string[] = [];
  #count = 0;

  /** Times are rounded to the microsecond, as floats of different histories may differ beyond that. */
  add(atMs: number, line: string): void {
    const text = `${atMs.toFixed(3)} ${line}`;
    this.#count++;
    this.#hash.update(text).update('\n');
    if (this.#lines.length === linesMax) this.#lines.shift();
    this.#lines.push(text);
  }

  get length(): number {
    return this.#count;
  }

  /** The most recent lines. */
  tail(n: number): readonly string[] {
    return this.#lines.slice(-n);
  }

  get hash(): string {
    return this.#hash.copy().digest('hex').slice(0, 16);
  }
}
