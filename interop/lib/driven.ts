/**
 * driven.ts: a program of this folder around a library, driven over JSON lines.
 *
 * `ask` sends {"id", "cmd", ...} and resolves with the answer of that id; what comes without an id is an event and goes
 * to the journal. Lives here: that dialogue. Must not live here: any command.
 */
import { Child } from './child.ts';
import { Journal, type Line } from './journal.ts';
import { within } from './until.ts';

/** An answer that takes longer than this, in ms, will not come. */
const answerMs = 60_000;

/** The program answered, and its answer is an error. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly answer: Line;
  constructor(text: string, answer: Line) {
    super(text);
    this.answer = answer;
  }
}

export class Driven implements AsyncDisposable {
  readonly child: Child;
  readonly journal: Journal;
  readonly #waiting = new Map<number, { resolve(line: Line): void; reject(error: Error): void }>();
  #lastId = 0;

  constructor(name: string, path: string, args: readonly string[] = []) {
    this.journal = new Journal(name);
    this.child = new Child(name, path, { args, onLine: (line) => this.#line(line) });
    void this.child.exited.then((end) => {
      for (const { reject } of this.#waiting.values())
        reject(new Error(`${name} ended (${end}) without an answer\n${this.child.tail()}`));
      this.#waiting.clear();
    });
  }

  /** The answer. Throws Refusal when it is an error, and an Error at the program's end or silence. */
  async ask(cmd: string, fields: Line = {}): Promise<Line> {
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<Line>();
    this.#waiting.set(id, { resolve, reject });
    this.child.write(JSON.stringify({ id, cmd, ...fields }));
    const line = await within(`${this.child.name} answers ${cmd}`, answerMs, promise);
    if (line['error'] !== undefined)
      throw new Refusal(`${this.child.name}: ${cmd}: ${String(line['error'])}`, line);
    return line;
  }

  /** An event told so far or later. */
  async event(what: string, timeoutMs: number, find: (line: Line) => boolean, since = 0): Promise<Line> {
    try {
      return await this.journal.heard(what, timeoutMs, find, since);
    } catch (cause) {
      throw new Error(`${(cause as Error).message}\n${this.child.tail()}`, { cause });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.child[Symbol.asyncDispose]();
  }

  #line(text: string): void {
    const line = JSON.parse(text) as Line;
    const id = line['id'];
    if (typeof id !== 'number') {
      this.journal.tell(line);
      return;
    }
    this.#waiting.get(id)?.resolve(line);
    this.#waiting.delete(id);
  }
}
