/**
 * system.ts: the machine's own clock and dice, the defaults where none are injected.
 *
 * Lives here: the package's only `setTimeout` and `Math.random`. Must not live here: anything else.
 */
import type { Clock, Rng } from './ports.ts';

/** Monotonic: a step of the wall clock moves no deadline. */
export const systemClock: Clock = {
  now: () => performance.now(),
  at: (when, wake) => {
    const timer = setTimeout(wake, Math.max(0, Math.ceil(when - performance.now())));
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};

/** Spreads reconnects; no secret depends on it. */
export const systemRng: Rng = { below: (n) => Math.floor(Math.random() * n) };
