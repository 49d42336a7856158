/**
 * journal.ts: what somebody has told, in order, and a way to await what is still to come.
 */
import { within } from './until.ts';

/** One thing told: an object as it travels in JSON. */
export type Line = Readonly<Record<string, unknown>>;

export class Journal {
  readonly lines: Line[] = [];
  readonly #owner: string;
  readonly #watching = new Set<() => void>();

  readonly #linesMax: number;

  /**
   * @param owner who tells, for the error about what did not come
   * @param linesMax how much is kept, for those who tell without end
   */
  constructor(owner: string, linesMax: number = Number.POSITIVE_INFINITY) {
    this.#owner = owner;
    this.#linesMax = linesMax;
  }

  tell(line: Line): void {
    this.lines.push(line);
    if (this.lines.length > this.#linesMax) this.lines.shift();
    for (const look of [...this.#watching]) look();
  }

  /** Resolves as soon as `find` accepts something told so far (from line number `since` on) or later. */
  async heard(what: string, timeoutMs: number, find: (line: Line) => boolean, since = 0): Promise<Line> {
    const { promise, resolve } = Promise.withResolvers<Line>();
    const look = (): void => {
      const found = this.lines.slice(since).find(find);
      if (found !== undefined) resolve(found);
    };
    this.#watching.add(look);
    look();
    try {
      return await within(`${this.#owner} tells ${what}`, timeoutMs, promise);
    } finally {
      this.#watching.delete(look);
    }
  }
}
