/**
 * system.ts: this machine's time and chance, for shells that were given none.
 *
 * Lives here: the only Date, setTimeout and Math.random of this package.
 */
import type { Clock, Rng } from './ports.ts';

/** Longest delay setTimeout keeps, in ms; beyond it fires at once. */
const timeoutMaxMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  at(when, wake) {
    // Not unref'ed: somebody waits for the answer this timer brings.
    let timer: NodeJS.Timeout;
    const arm = (): void => {
      const left = when - Date.now();
      timer = left > timeoutMaxMs ? setTimeout(arm, timeoutMaxMs) : setTimeout(wake, Math.max(0, left));
    };
    arm();
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};

/** Time that nobody sets back: for claims that end by the clock. */
export const steadyClock: Clock = {
  now: () => performance.now(),
  at: (when, wake) => systemClock.at(Date.now() + (when - performance.now()), wake),
};

export const systemRng: Rng = { below: (n) => Math.floor(Math.random() * n) };
