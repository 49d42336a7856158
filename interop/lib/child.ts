/**
 * child.ts: a foreign program as a child process: what it says is kept, its end is awaited, and it ends with its owner.
 *
 * Lives here: starting, listening, ending by pid. Must not live here: what the program means.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { Journal } from './journal.ts';

/** Lines kept of what a program says besides its answers, for the message about its failure. */
const logLinesMax = 2_000;
/** How long a program may take to end when asked to, in ms. */
const endMs = 5_000;

/** Those still running: a test that is cut off leaves none behind. */
const alive = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

export class Child implements AsyncDisposable {
  readonly name: string;
  /** Exit code or signal; never rejects. */
  readonly exited: Promise<number | string>;
  readonly #process: ChildProcess;
  readonly #said: Journal;
  #over = false;

  /** @param onLine hears each line of its standard output; without it they go to the log. */
  constructor(
    name: string,
    path: string,
    o: {
      readonly args?: readonly string[];
      readonly cwd?: string;
      readonly onLine?: (line: string) => void;
    } = {},
  ) {
    this.name = name;
    this.#said = new Journal(name, logLinesMax);
    this.#process = spawn(path, o.args ?? [], {
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(o.cwd ? { cwd: o.cwd } : {}),
    });
    alive.add(this.#process);
    const { stdin, stdout, stderr } = this.#process;
    const keep = (text: string): void => this.#said.tell({ text });
    createInterface({ input: stdout! }).on('line', o.onLine ?? keep);
    createInterface({ input: stderr! }).on('line', keep);
    stdin!.on('error', () => {}); // its end is told by `exited`
    this.exited = new Promise((resolve) => {
      const over = (): void => {
        this.#over = true;
        alive.delete(this.#process);
      };
      this.#process.once('error', (cause) => {
        over();
        resolve(`cannot be started: ${cause.message}`);
      });
      this.#process.once('close', (code, signal) => {
        over();
        resolve(signal ?? code ?? 0);
      });
    });
  }

  /** Undefined if it could not be started. */
  get pid(): number | undefined {
    return this.#process.pid;
  }

  get running(): boolean {
    return !this.#over;
  }

  /** What it said besides its answers, oldest first. */
  get log(): readonly string[] {
    return this.#said.lines.map(({ text }) => text as string);
  }

  /** Resolves once it has said something that `pattern` matches; fails at once when it ends instead. */
  async says(pattern: RegExp, timeoutMs: number): Promise<void> {
    const heard = this.#said.heard(String(pattern), timeoutMs, ({ text }) => pattern.test(text as string));
    const ended = this.exited.then((end) => {
      throw new Error(`${this.name} ended (${end})`);
    });
    try {
      await Promise.race([heard, ended]);
    } catch (cause) {
      throw new Error(`${(cause as Error).message}\n${this.tail()}`, { cause });
    } finally {
      ended.catch(() => {});
      heard.catch(() => {});
    }
  }

  write(line: string): void {
    this.#process.stdin!.write(`${line}\n`);
  }

  /** The last things it said, to go with an error. */
  tail(lines = 20): string {
    return `--- ${this.name} said:\n${this.log.slice(-lines).join('\n')}`;
  }

  /** SIGSTOP and SIGCONT, mostly. */
  signal(name: NodeJS.Signals): void {
    this.#process.kill(name);
  }

  /** Gone at once, without a word to anybody. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#over) return;
    const impatience = setTimeout(() => this.#process.kill('SIGKILL'), endMs);
    this.#process.stdin!.end();
    this.#process.kill('SIGTERM');
    await this.exited;
    clearTimeout(impatience);
  }
}
