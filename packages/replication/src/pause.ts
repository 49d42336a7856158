/**
 * pause.ts: waiting that can be cut short, and calls that can be given up.
 *
 * Every wait of a routine goes through here, so that stopping it never takes longer than the step it is in,
 * and a wake-up that comes while nobody waits is not lost.
 * Lives here: promises around a clock. Must not live here: how long to wait.
 */
import { ReplicationError } from './errors.ts';
import type { Clock } from './ports.ts';

export class Pause {
  readonly #clock: Clock;
  readonly #stop: AbortSignal;
  #wakePending = false;
  #wake: (() => void) | undefined;

  constructor(clock: Clock, stop: AbortSignal) {
    this.#clock = clock;
    this.#stop = stop;
  }

  /** Ends the wait under way, or the next one before it begins. */
  wake(): void {
    if (this.#wake) this.#wake();
    else this.#wakePending = true;
  }

  /** A wake-up that came earlier is not needed any more. */
  forgetWake(): void {
    this.#wakePending = false;
  }

  /** Until `ms` have passed, or `wake`, or stop; true if it was woken. A wake-up that came before is used up, also by 0. */
  async for(ms: number): Promise<boolean> {
    if (this.#stop.aborted) return false;
    if (this.#wakePending) {
      this.#wakePending = false;
      return true;
    }
    if (ms <= 0) return false;
    return new Promise<boolean>((resolve) => {
      const end = (woken: boolean): void => {
        timer[Symbol.dispose]();
        this.#stop.removeEventListener('abort', stopped);
        this.#wake = undefined;
        resolve(woken);
      };
      const stopped = (): void => end(false);
      const timer = this.#clock.at(this.#clock.now() + ms, () => end(false));
      this.#stop.addEventListener('abort', stopped);
      this.#wake = () => end(true);
    });
  }

  /** Until `ms` have passed or stop; cannot be woken. */
  async gap(ms: number): Promise<void> {
    if (this.#stop.aborted || ms <= 0) return;
    await new Promise<void>((resolve) => {
      const end = (): void => {
        timer[Symbol.dispose]();
        this.#stop.removeEventListener('abort', end);
        resolve();
      };
      const timer = this.#clock.at(this.#clock.now() + ms, end);
      this.#stop.addEventListener('abort', end);
    });
  }
}

/**
 * Calls `work` with a signal that aborts on stop and after `ms`, and does not wait for it beyond that,
 * whether it heeds the signal or not. Rejects with ReplicationError `timeout`, or with the stop signal's
 * reason.
 */
export function within<T>(
  work: (signal: AbortSignal) => Promise<T>,
  o: { readonly clock: Clock; readonly ms: number; readonly stop: AbortSignal; readonly what: string },
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    if (o.stop.aborted) {
      reject(o.stop.reason);
      return;
    }
    const budget = new AbortController();
    const release = (): void => {
      timer[Symbol.dispose]();
      o.stop.removeEventListener('abort', stopped);
    };
    const giveUp = (reason: unknown): void => {
      release();
      budget.abort(reason);
      reject(reason);
    };
    const stopped = (): void => giveUp(o.stop.reason);
    const timer = o.clock.at(o.clock.now() + o.ms, () =>
      giveUp(new ReplicationError('timeout', `${o.what}: no answer within ${o.ms} ms`)),
    );
    o.stop.addEventListener('abort', stopped);
    // A call that throws has failed, no more and no less than one that rejects.
    new Promise<T>((settle) => settle(work(budget.signal))).then(
      (value) => {
        release();
        resolve(value);
      },
      (error: unknown) => {
        release();
        reject(error);
      },
    );
  });
}
