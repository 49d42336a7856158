/**
 * join.ts: how a server finds the others of its datacenter when it starts: addresses the operator named.
 *
 * `start_join` is tried once and must work. `retry_join` is tried until somebody other than ourselves answers: soon at
 * first, because servers are often started together, and then on the interval. With a limit on attempts all of them keep
 * the interval, so that the limit stands for the time the operator meant.
 * Must not live here: what a pool does with an address (@fed/memberlist).
 * Source: Consul agent/retry_join.go, agent/agent.go (JoinLAN); a member that joins only itself counts as joined there.
 */
import type { Serf } from '@fed/serf';
import { ConfigError } from '../config/config.ts';
import type { LanJoinConfig } from '../config/servers.ts';
import type { World } from '../world.ts';

export interface LanJoinOptions {
  readonly pool: Pick<Serf, 'join' | 'members'>;
  readonly join: LanJoinConfig;
  /** Where this server's own pool listens: an address of ours in the list is left out. */
  readonly own: { readonly hosts: readonly string[]; readonly port: number };
  readonly onEvent?: (event: JoinEvent) => void;
  /** `retry_max` attempts have failed. */
  readonly exhausted: (error: Error) => void;
  readonly clock: World['clock'];
}

export type JoinEvent =
  | { readonly kind: 'joined'; readonly addresses: number; readonly attempts: number }
  | { readonly kind: 'failed'; readonly error: unknown; readonly attempts: number; readonly waitMs: number };

const firstWaitMs = 1_000;

/** Throws ConfigError when none of `start_join` answers. Then `retry_join` goes on in the background until it is disposed. */
export async function openLanJoin(o: LanJoinOptions): Promise<AsyncDisposable> {
  const { startJoin, retryJoin } = o.join;
  const stop = new AbortController();
  if (startJoin.length > 0) {
    try {
      const { joined } = await o.pool.join(startJoin, { ignoreOld: true, signal: stop.signal });
      o.onEvent?.({ kind: 'joined', addresses: joined, attempts: 1 });
    } catch (error) {
      throw new ConfigError([
        `start_join: none of ${startJoin.join(', ')} can be joined (${(error as Error).message}); correct the list, or use retry_join, which goes on trying`,
      ]);
    }
  }
  const others = retryJoin.filter((target) => !isOwn(target, o.own));
  const running = others.length === 0 ? Promise.resolve() : retry(o, others, stop.signal);
  return {
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('this server is stopping'));
      await running;
    },
  };
}

async function retry(o: LanJoinOptions, targets: readonly string[], signal: AbortSignal): Promise<void> {
  const { retryIntervalMs, retryMax } = o.join;
  for (let attempts = 1; ; attempts++) {
    try {
      const { joined } = await o.pool.join(targets, { ignoreOld: true, signal });
      o.onEvent?.({ kind: 'joined', addresses: joined, attempts });
      return;
    } catch (error) {
      if (signal.aborted) return;
      if (retryMax > 0 && attempts > retryMax) {
        const cause = (error as Error).message;
        o.exhausted(
          new Error(`retry_join: none answered in ${attempts} attempts: ${cause}`, { cause: error }),
        );
        return;
      }
      const soonMs = Math.min(retryIntervalMs, firstWaitMs * 2 ** Math.min(attempts - 1, 16));
      const waitMs = retryMax > 0 ? retryIntervalMs : soonMs;
      o.onEvent?.({ kind: 'failed', error, attempts, waitMs });
      await pause(o.clock, waitMs, signal);
      if (signal.aborted) return;
    }
  }
}

function isOwn(target: string, { hosts, port }: LanJoinOptions['own']): boolean {
  return hosts.some((host) => {
    const shown = host.includes(':') ? `[${host}]` : host;
    return [host, shown, `${shown}:${port}`].includes(target);
  });
}

function pause(clock: World['clock'], ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = (): void => {
      timer[Symbol.dispose]();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = clock.at(clock.now() + ms, end);
    signal.addEventListener('abort', end, { once: true });
  });
}
