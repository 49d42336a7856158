/**
 * pool.ts: many independent runs over all cores. A run is a function of its task, so it does not matter where it happens.
 *
 * Lives here: handing out tasks, results in the order they finish. Must not live here: what a task is (worker.ts).
 */
import { Worker } from 'node:worker_threads';
import type { Outcome, Task } from './worker.ts';

/** Whole clusters make garbage faster than the default's 48 MiB let it die. */
const youngMb = 192;

/**
 * Runs all of `tasks` on `workers` threads; `done` is called as each ends. Rejects with the first failure.
 * @param heapMbMax what each may take, if more than Node's default
 */
export async function runAll(
  tasks: readonly Task[],
  workers: number,
  done: (outcome: Outcome, index: number) => void,
  heapMbMax?: number,
): Promise<void> {
  const old = heapMbMax === undefined ? {} : { maxOldGenerationSizeMb: heapMbMax };
  const limits = { resourceLimits: { maxYoungGenerationSizeMb: youngMb, ...old } };
  const threads = Array.from(
    { length: Math.min(workers, tasks.length) },
    () => new Worker(new URL('./worker.ts', import.meta.url), limits),
  );
  let next = 0;
  try {
    await Promise.all(
      threads.map(async (thread) => {
        while (next < tasks.length) {
          const index = next++;
          done(await ask(thread, tasks[index]!), index);
        }
      }),
    );
  } finally {
    await Promise.all(threads.map((thread) => thread.terminate()));
  }
}

function ask(thread: Worker, task: Task): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const answered = (outcome: Outcome): void => {
      thread.off('error', reject);
      resolve(outcome);
    };
    thread.once('message', answered);
    thread.once('error', reject);
    thread.postMessage(task);
  });
}
