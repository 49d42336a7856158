/**
 * world.ts: the only clock, dice and timers of this process.
 *
 * Everything below `main` is handed these as ports, so that the same code runs on virtual time in tests.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { type Machine, systemMachine } from './machine.ts';

export interface World {
  readonly clock: {
    /** Milliseconds that never go back; no relation to the calendar. */
    now(): number;
    /** Calls `wake` once, at or after `when`. Disposing forgets it. */
    at(when: number, wake: () => void): Disposable;
  };
  /** The calendar, in Unix milliseconds. For what people and peers read, never for deadlines. */
  readonly wallMs: () => number;
  readonly rng: { below(n: number): number };
  /** Unguessable bytes: nonces, serial numbers, node ids. */
  readonly randomBytes: (size: number) => Uint8Array;
  /** Files, sockets, signals. */
  readonly machine: Machine;
}

/** setTimeout fires at once for a longer delay than this. */
const timeoutMsMax = 2 ** 31 - 1;

/** `readConfig`: where a reload finds the configuration. */
export function systemWorld(readConfig: Machine['readConfig'] = systemMachine.readConfig): World {
  const now = (): number => performance.now();
  return {
    clock: {
      now,
      at: (when, wake) => alarm(when, wake, now),
    },
    wallMs: () => Date.now(),
    rng: { below: (n) => (n <= 1 ? 0 : randomInt(n)) },
    randomBytes: (size) => randomBytes(size),
    machine: { ...systemMachine, readConfig },
  };
}

/** Whole milliseconds, upwards: never early, and node keeps timers of one length in one list. */
function alarm(when: number, wake: () => void, now: () => number): Disposable {
  const leftMs = Math.max(0, Math.ceil(when - now()));
  if (leftMs <= timeoutMsMax) return setTimeout(wake, leftMs);
  let stage: Disposable = setTimeout(() => {
    stage = alarm(when, wake, now);
  }, timeoutMsMax);
  return { [Symbol.dispose]: () => stage[Symbol.dispose]() };
}
