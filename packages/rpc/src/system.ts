/**
 * system.ts: the machine's own clock.
 *
 * Lives here: the one use of Date and setTimeout in this package. Must not live here: any decision about time.
 */
import type { Clock } from './ports.ts';

export const systemClock: Clock = {
  now: () => Date.now(),
  at: (when, wake) => {
    const timer = setTimeout(wake, Math.max(0, when - Date.now()));
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};
