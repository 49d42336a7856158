/**
 * system.ts: the machine's own clock, the default where none is injected.
 *
 * Lives here: the package's only `setTimeout`. Must not live here: anything else.
 */
import type { Clock } from './ports.ts';

/** Monotonic: a step of the wall clock moves no deadline. Timers keep the process alive only while they matter. */
export const systemClock: Clock = {
  now: () => performance.now(),
  // Whole milliseconds, upwards: never early, and node keeps timers of one length in one list.
  at: (when, wake) => setTimeout(wake, Math.max(0, Math.ceil(when - performance.now()))),
};
