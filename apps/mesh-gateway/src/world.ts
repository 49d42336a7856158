/**
 * world.ts: the only clock, dice, timers and machine facts of this process.
 *
 * Everything below `main` is handed these as ports, so that the same code runs on virtual time in tests.
 */
import { randomInt } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { WorkerLink } from './crew/messages.ts';
import { startWorker } from './crew/start-worker.ts';
import { type Exchange, exchange } from './exchange.ts';
import { type Programs, systemPrograms } from './programs.ts';
import type { Clock, Resolve, Rng } from './relay/ports.ts';

export interface World {
  readonly clock: Clock;
  /** The calendar, in Unix milliseconds. For what people read, never for deadlines. */
  readonly wallMs: () => number;
  readonly rng: Rng;
  readonly resolve: Resolve;
  /** Addresses of this machine's interfaces. */
  readonly hostAddresses: () => ReadonlySet<string>;
  /** A TCP port that was free a moment ago; this one, if one is named. Rejects if it cannot be bound. */
  readonly freePort: (host: string, port?: number) => Promise<number>;
  /** How many file descriptors this process may have. */
  readonly openFilesMax: () => number;
  readonly exchange: Exchange;
  readonly programs: Programs;
  /** A process that relays, told by the link what. */
  readonly startWorker: (index: number, logLevel: string) => WorkerLink;
  /** SIGHUP, until disposed. */
  readonly onHangup: (heard: () => void) => Disposable;
  /** One line on stdout. */
  readonly print: (line: string) => void;
}

/** setTimeout fires at once for a longer delay than this. */
const timeoutMsMax = 2 ** 31 - 1;
/** What POSIX systems allow where nothing better is known. */
const openFilesDefault = 1_024;

export function systemWorld(): World {
  const now = (): number => performance.now();
  return {
    clock: {
      now,
      at(when, wake) {
        let timer: NodeJS.Timeout;
        const arm = (): void => {
          const leftMs = when - now();
          timer = setTimeout(leftMs > timeoutMsMax ? arm : wake, Math.min(Math.max(leftMs, 0), timeoutMsMax));
        };
        arm();
        return { [Symbol.dispose]: () => clearTimeout(timer) };
      },
    },
    wallMs: () => Date.now(),
    rng: { below: (n) => (n <= 1 ? 0 : randomInt(n)) },
    resolve: async (host, family) =>
      (await lookup(host, { all: true, family, order: 'verbatim' })).map((a) => a.address),
    hostAddresses: () =>
      new Set(
        Object.values(networkInterfaces()).flatMap((addresses) => addresses?.map((a) => a.address) ?? []),
      ),
    freePort: async (host, port = 0) => {
      const server = createServer().listen(port, host);
      await once(server, 'listening');
      const address = server.address();
      server.close();
      await once(server, 'close');
      return address !== null && typeof address !== 'string' ? address.port : 0;
    },
    openFilesMax: () => {
      try {
        const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
        return soft === undefined ? openFilesDefault : Number(soft);
      } catch {
        return openFilesDefault; // no Linux
      }
    },
    exchange,
    programs: systemPrograms,
    startWorker,
    onHangup: (heard) => {
      process.on('SIGHUP', heard);
      return { [Symbol.dispose]: () => void process.off('SIGHUP', heard) };
    },
    print: (line) => void process.stdout.write(`${line}\n`),
  };
}
