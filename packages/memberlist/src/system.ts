/**
 * system.ts: the machine's own time and chance, for shells that were given none.
 *
 * The only file of this package that reads the clock, sets timers or throws dice.
 */
import { randomBytes } from 'node:crypto';
import type { Clock, RandomBytes, Rng } from './ports.ts';

/** setTimeout takes at most this; longer waits are taken in stages. */
const timeoutMsMax = 0x7fff_ffff;
/**
 * Node's timers count whole milliseconds of their own clock and ring early by up to one. Without this, every other
 * wake-up would be two: one that comes too early, and one for the rest.
 */
const earlyMsMax = 1;

/** Monotonic milliseconds. Timers keep the process alive: a member that stops probing is taken for dead. */
export const systemClock: Clock = {
  now: () => performance.now(),
  at(when, wake) {
    let disposed = false;
    let immediate: NodeJS.Immediate | undefined;
    let timeout: NodeJS.Timeout | undefined;
    const arm = (): void => {
      const waitMs = when - performance.now();
      if (waitMs <= 0) immediate = setImmediate(wake);
      else timeout = setTimeout(ring, Math.min(Math.ceil(waitMs) + earlyMsMax, timeoutMsMax));
    };
    // A timer longer than there is may still have time to go.
    const ring = (): void => {
      if (disposed) return;
      if (performance.now() < when) arm();
      else wake();
    };
    arm();
    return {
      [Symbol.dispose]: () => {
        disposed = true;
        clearImmediate(immediate);
        clearTimeout(timeout);
      },
    };
  },
};

export const systemRng: Rng = { below: (n) => Math.floor(Math.random() * n) };

export const systemRandomBytes: RandomBytes = (n) => randomBytes(n);
