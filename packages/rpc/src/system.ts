/**
 * system.ts: the machine's own clock.
 *
 * Lives here: the one use of Date and setTimeout in this package. Must not live here: any decision about time.
 */
import type { Clock } from './ports.ts';

export const systemClock: Clock = {
  now: () => Date.now(),
  // Whole milliseconds, upwards: never early, and node keeps timers of one length in one list.
  at: (when, wake) => setTimeout(wake, Math.max(0, Math.ceil(when - Date.now()))),
};
