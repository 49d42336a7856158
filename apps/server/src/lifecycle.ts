/**
 * lifecycle.ts: how a server says that it is up, is told to stop, says goodbye, and is told to reload.
 */
import type { LogEngine } from '@fed/fsm';
import type { Serf } from '@fed/serf';
import type { StopReason } from './commands/server-command.ts';
import { type Config, ConfigError } from './config/config.ts';
import type { Log } from './log.ts';
import type { Machine } from './machine.ts';

type Address = { readonly host: string; readonly port: number };

/** A line for the log, and one for whoever started it. */
export function tellUp(
  log: Log,
  machine: Pick<Machine, 'say'>,
  at: {
    readonly config: Config;
    readonly http: readonly string[];
    readonly grpc: { readonly plain: number; readonly tls: number };
    readonly server: Address;
  },
): void {
  const { datacenter, nodeName: node } = at.config;
  const { http, grpc, server } = at;
  log.info({ room: 'server', datacenter, node, http, grpc, server }, 'up');
  machine.say(
    `server ${node} of ${datacenter} is up: HTTP ${http.join(' and ')}, server port ${server.port}`,
  );
}

/** Resolves with the reason once the signal aborts. */
export function stopped(signal: AbortSignal): Promise<StopReason> {
  return new Promise((resolve) => {
    const end = (): void => resolve(signal.reason as StopReason);
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
}

/**
 * Says goodbye, if that was asked for. Whoever leads hands over first, so that the datacenter has a leader again while this
 * server is still on its way out. A pool that cannot be told in time does not keep us from leaving the others.
 */
export async function leaveIfAsked(
  reason: StopReason,
  o: {
    /** From here on nothing is answered that only a leader may answer. */
    readonly leaving: AbortController;
    readonly engine: Pick<LogEngine, 'resign'>;
    readonly pools: readonly Serf[];
    readonly log: Log;
  },
): Promise<void> {
  if (!reason.leave) return;
  o.leaving.abort(new Error('this server is leaving'));
  try {
    await o.engine.resign();
  } catch (error) {
    o.log.warn({ room: 'server', cause: (error as Error).message }, 'leadership could not be handed over');
  }
  for (const pool of o.pools) {
    try {
      await pool.leave();
    } catch (error) {
      o.log.warn(
        { room: 'server', cause: (error as Error).message },
        `leaving as ${pool.name} was not heard by all`,
      );
    }
  }
}

/** A signal has nobody to answer to: what is wrong with the new files goes to the log, and all stays as it was. */
export function onHangup(reload: () => unknown, log: Log): Disposable {
  const listener = (): void => {
    try {
      reload();
    } catch (error) {
      const problems = error instanceof ConfigError ? error.problems : [(error as Error).message];
      log.error({ room: 'config', problems }, `reload refused, nothing is changed: ${problems.join('; ')}`);
    }
  };
  process.on('SIGHUP', listener);
  return { [Symbol.dispose]: () => void process.off('SIGHUP', listener) };
}
