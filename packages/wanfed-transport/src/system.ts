/**
 * system.ts: the machine's own time and chance, for a transport that was given none.
 *
 * The only file of this package that reads the clock, sets timers or throws dice.
 */
import type { Clock, Rng } from './ports.ts';

/** setTimeout takes at most this; longer waits are taken in stages. */
const timeoutMsMax = 0x7fff_ffff;

/**
 * Monotonic milliseconds. Its timers do not keep the process alive: they only ever close or fail something.
 */
export const systemClock: Clock = {
  now: () => performance.now(),
  at(when, wake) {
    let timer: NodeJS.Timeout | undefined;
    const arm = (): void => {
      const waitMs = Math.max(0, Math.ceil(when - performance.now()));
      timer = setTimeout(ring, Math.min(waitMs, timeoutMsMax)).unref();
    };
    const ring = (): void => {
      if (performance.now() < when)
        arm(); // Node's timers may ring a little early
      else wake();
    };
    arm();
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};

export const systemRng: Rng = { below: (n) => Math.floor(Math.random() * n) };
