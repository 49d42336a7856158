/**
 * system.ts: the machine's own time, chance, resolver and files, for a discovery that was given none.
 *
 * The only file of this package that reads the clock, sets timers, throws dice, asks DNS or opens files.
 */
import { lookup, resolveSrv } from 'node:dns/promises';
import { open } from 'node:fs/promises';
import type { Clock, ReadText, Resolve, Rng } from './ports.ts';

/** setTimeout takes at most this; longer waits are taken in stages. */
const timeoutMsMax = 0x7fff_ffff;

/**
 * Monotonic milliseconds. Its timers do not keep the process alive: looking up addresses is no reason to
 * live.
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

/** The system's resolver for names (so /etc/hosts counts), DNS for SRV. Neither can be interrupted. */
export const systemResolve: Resolve = {
  addresses: async (host) => (await lookup(host, { all: true })).map(({ address }) => address),
  services: (name) => resolveSrv(name),
};

/** A list of addresses is never larger; what is beyond is not read. */
const fileBytesMax = 64 * 1024;

export const systemReadText: ReadText = async (path) => {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(fileBytesMax), 0, fileBytesMax, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
};
