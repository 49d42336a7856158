/**
 * system.ts: the machine's own clock, the default where none is injected.
 *
 * Lives here: the package's only `setTimeout`. Must not live here: anything else.
 */
import type { Clock } from './ports.ts';

/** Monotonic: a step of the wall clock moves no deadline. Timers keep the process alive only while they matter. */
export const systemClock: Clock = {
  now: () => performance.now(),
  at: (when, wake) => {
    const timer = setTimeout(wake, Math.max(0, when - performance.now()));
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};
