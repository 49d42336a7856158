/**
 * process.ts: a program of ours as a child process: its log in a file, its end awaited, killed with its owner.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';

export class Program implements AsyncDisposable {
  readonly name: string;
  readonly logFile: string;
  readonly #child: ChildProcess;
  readonly exited: Promise<number | NodeJS.Signals>;
  #ended = false;

  constructor(
    name: string,
    command: readonly string[],
    o: { readonly cwd: string; readonly logFile: string },
  ) {
    this.name = name;
    this.logFile = o.logFile;
    const log = openSync(o.logFile, 'a');
    this.#child = spawn(command[0] as string, command.slice(1), { cwd: o.cwd, stdio: ['ignore', log, log] });
    closeSync(log);
    this.exited = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('exit', (code, signal) => {
        this.#ended = true;
        resolve(signal ?? code ?? 0);
      });
    });
    this.exited.catch(() => {});
  }

  get running(): boolean {
    return !this.#ended;
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  /** Sends the signal and waits for the end. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.#ended) return;
    this.#child.kill(signal);
    await this.exited;
  }

  /** The last lines of the log, for a message about a program that would not start. */
  tail(lines = 8): string {
    return readFileSync(this.logFile, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  }

  rssMiB(): number {
    const kib = Number(execFileSync('ps', ['-o', 'rss=', '-p', String(this.pid)], { encoding: 'utf8' }));
    return Math.round((kib / 1024) * 10) / 10;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended) return;
    // A program that does not end when asked politely is not waited for: the folder it writes to is about to go.
    const impatience = setTimeout(() => this.#child.kill('SIGKILL'), 10_000);
    try {
      await this.stop('SIGTERM');
    } finally {
      clearTimeout(impatience);
    }
  }
}
