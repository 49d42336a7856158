/**
 * warnings.ts: how often what peers sent was worth a warning, by code. A flood of it fills a counter and not the log.
 */
export class Warnings {
  readonly #byCode = new Map<string, number>();

  /** Counts one; whether it is worth a line: the first ten of a code, and then each time their number has doubled. */
  add(code: string): boolean {
    const count = (this.#byCode.get(code) ?? 0) + 1;
    this.#byCode.set(code, count);
    return count <= 10 || (count & (count - 1)) === 0;
  }

  counts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#byCode);
  }
}
