/**
 * load.ts: somebody who reads all the time, and remembers how every read went.
 */
import { setTimeout as pause } from 'node:timers/promises';

export interface Read {
  /** On the clock of `performance`. */
  readonly began: number;
  readonly tookMs: number;
  /** Undefined: it was answered. */
  readonly error: string | undefined;
}

/** Between the end of a read and the next of the same reader, on average, if nothing else is said. */
const usualPauseMs = 10;

export class Load implements AsyncDisposable {
  readonly reads: Read[] = [];
  readonly #stop = new AbortController();
  readonly #running: Promise<unknown>;
  readonly #pauseMs: number;
  #pauses = 0;

  /** `readers` of them, each one read at a time. */
  constructor(read: () => Promise<unknown>, readers = 1, pauseMs = usualPauseMs) {
    this.#pauseMs = pauseMs;
    this.#running = Promise.all(Array.from({ length: readers }, () => this.#loop(read)));
  }

  /** No new ones; resolves when those under way have ended. */
  async stop(): Promise<readonly Read[]> {
    this.#stop.abort();
    await this.#running;
    return this.reads;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Half to one and a half times the usual, or readers who failed together would march in step ever after. */
  #nextPauseMs(): number {
    const golden = (Math.sqrt(5) - 1) / 2;
    return this.#pauseMs * (0.5 + ((++this.#pauses * golden) % 1));
  }

  async #loop(read: () => Promise<unknown>): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const began = performance.now();
      let error: string | undefined;
      try {
        await read();
      } catch (cause) {
        error = (cause as Error).message;
      }
      this.reads.push({ began, tookMs: performance.now() - began, error });
      await pause(this.#nextPauseMs(), undefined, { signal: this.#stop.signal }).catch(() => {});
    }
  }
}

export const failed = (reads: readonly Read[]): readonly Read[] =>
  reads.filter(({ error }) => error !== undefined);
export const answered = (reads: readonly Read[]): readonly Read[] =>
  reads.filter(({ error }) => error === undefined);

export function quantileMs(reads: readonly Read[], q: number): number {
  const took = reads.map(({ tookMs }) => tookMs).sort((a, b) => a - b);
  return took[Math.min(took.length - 1, Math.floor(took.length * q))] ?? 0;
}

/** By how much the p99 of reads that ended after `when` exceeds that of the same readers before it. */
export function p99MoreMs(reads: readonly Read[], when: number): number {
  const ended = (read: Read): number => read.began + read.tookMs;
  const before = reads.filter((read) => ended(read) < when);
  return (
    quantileMs(
      reads.filter((read) => ended(read) >= when),
      0.99,
    ) - quantileMs(before, 0.99)
  );
}

export const longestMs = (reads: readonly Read[]): number =>
  Math.max(0, ...reads.map(({ tookMs }) => tookMs));

/** From `since` until the end of the first read answered that began after it; undefined while there is none. */
export function recoveredMs(reads: readonly Read[], since: number): number | undefined {
  const first = answered(reads).find(({ began }) => began >= since);
  return first && first.began + first.tookMs - since;
}
