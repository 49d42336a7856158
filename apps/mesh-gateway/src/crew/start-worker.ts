/**
 * start-worker.ts: a worker as a child process, with a channel to it.
 *
 * Lives here: starting, and the link. Must not live here: when (crew.ts), what it does (worker.ts).
 */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { FromWorker, ToWorker, WorkerLink } from './messages.ts';

/** Built, both programs lie in one folder; from the sources, this file lies beside the worker's. */
const program = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url),
);

/** It logs to our stderr and says nothing on stdout. */
export function startWorker(index: number, logLevel: string): WorkerLink {
  const child = fork(program, [], {
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const send = (message: ToWorker): void => {
    if (child.connected) child.send(message, () => {}); // it may end meanwhile; `ended` says so
  };
  const ended = new Promise<string>((resolve) => {
    child.once('exit', (code, signal) => resolve(signal ?? `status ${code}`));
    child.once('error', (e) => resolve(e.message));
  });
  send({ kind: 'begin', index, logLevel });
  return {
    send,
    onMessage: (hear) => void child.on('message', (message) => hear(message as FromWorker)),
    ended,
    kill: () => void child.kill('SIGKILL'),
  };
}
