/**
 * program.ts: a program of ours in a datacenter: its log in a file, frozen, thawed or killed when a story says so.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';

/** How long a program may take to end when asked to. */
const endMs = 5_000;

/** Those still running: a test that is cut off leaves none behind. */
const alive = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

export class Program implements AsyncDisposable {
  readonly name: string;
  readonly logFile: string;
  readonly exited: Promise<number | string>;
  readonly #child: ChildProcess;

  constructor(
    name: string,
    command: readonly string[],
    logFile: string,
    env: Readonly<Record<string, string>> = {},
  ) {
    this.name = name;
    this.logFile = logFile;
    const log = openSync(logFile, 'a');
    this.#child = spawn(command[0] as string, command.slice(1), {
      stdio: ['ignore', log, log],
      env: { ...process.env, ...env },
    });
    closeSync(log);
    alive.add(this.#child);
    this.exited = new Promise((resolve) => {
      const over = (how: number | string): void => {
        alive.delete(this.#child);
        resolve(how);
      };
      this.#child.once('error', (cause) => over(cause.message));
      this.#child.once('exit', (code, signal) => over(signal ?? code ?? 0));
    });
  }

  get running(): boolean {
    return alive.has(this.#child);
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  /** It keeps its connections and takes new ones (the kernel does), and never says anything. */
  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child.kill('SIGCONT');
  }

  /** Gone at once, without a word to anybody; its kernel still closes its connections. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exited;
  }

  tail(lines = 8): string {
    return `--- ${this.name}:\n${readFileSync(this.logFile, 'utf8').trimEnd().split('\n').slice(-lines).join('\n')}`;
  }

  rssMiB(): number {
    const [, kib] = /^VmRSS:\s*(\d+) kB/m.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8')) ?? [];
    return Number(kib) / 1024;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.running) return;
    this.thaw();
    const impatience = setTimeout(() => this.#child.kill('SIGKILL'), endMs);
    this.#child.kill('SIGTERM');
    await this.exited;
    clearTimeout(impatience);
  }
}
