/**
 * programs.ts: other programs of this machine: find one, ask it something short, run it, hand it a secret.
 *
 * Node cannot become another program, so the other one is a child that shares our standard streams. A secret goes to it
 * in a file only our user can read, in a folder only our user can enter, that is gone soon: not on the command line,
 * which everybody sees, and not through a pipe, which holds less than such a document.
 * Lives here: the port and the machine's own. Must not live here: which program, or what it is told.
 */
import { execFile, spawn } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { constants as osConstants, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

/** Longest wait for a short answer. */
const outputMsMax = 10_000;
const outputBytesMax = 65_536;
/** What a shell reports for a program that a signal ended. */
const signalStatusBase = 128;

export interface Running {
  /** Its exit status; for one that a signal ended 128 + the signal's number. Never rejects. */
  readonly ended: Promise<number>;
  /** Nothing happens once it has ended. */
  kill(signal: NodeJS.Signals): void;
}

export interface Secret extends Disposable {
  readonly path: string;
}

export interface Programs {
  /** Path of a program on PATH. */
  find(name: string): string | undefined;
  /** What the program says on stdout. Rejects if it cannot be run, fails, or takes too long. */
  output(path: string, args: readonly string[]): Promise<string>;
  /** Rejects if it cannot be started. */
  start(path: string, args: readonly string[]): Promise<Running>;
  /** Signals for our own children, too: to those still running. */
  forward(signal: NodeJS.Signals): void;
  /** A file readable by us alone. Disposing removes it with its folder. Throws the system's error. */
  secret(name: string, text: string): Secret;
}

const running = new Set<Running>();

export const systemPrograms: Programs = {
  forward: (signal) => {
    for (const child of running) child.kill(signal);
  },
  find: (name) =>
    (process.env['PATH'] ?? '')
      .split(delimiter)
      .filter((folder) => folder !== '')
      .map((folder) => join(folder, name))
      .find(isProgram),
  output: (path, args) =>
    new Promise((resolve, reject) => {
      const limits = { timeout: outputMsMax, maxBuffer: outputBytesMax };
      execFile(path, args, limits, (error, stdout) => (error ? reject(error) : resolve(stdout)));
    }),
  start: (path, args) =>
    new Promise((resolve, reject) => {
      const child = spawn(path, args, { stdio: ['ignore', 'inherit', 'inherit'] });
      const ended = new Promise<number>((tell) => {
        child.once('exit', (code, signal) =>
          tell(signal === null ? (code ?? 0) : signalStatusBase + osConstants.signals[signal]),
        );
      });
      child.once('error', reject);
      child.once('spawn', () => {
        child.on('error', () => {}); // a signal that came too late
        const it: Running = { ended, kill: (signal) => void child.kill(signal) };
        running.add(it);
        void ended.then(() => running.delete(it));
        resolve(it);
      });
    }),
  secret: (name, text) => {
    const folder = mkdtempSync(join(tmpdir(), 'fed-mesh-gateway-')); // 0700
    const path = join(folder, name);
    const remove = (): void => rmSync(folder, { recursive: true, force: true });
    try {
      writeFileSync(path, text, { mode: 0o600, flag: 'wx' });
    } catch (e) {
      remove();
      throw e;
    }
    return { path, [Symbol.dispose]: remove };
  },
};

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
