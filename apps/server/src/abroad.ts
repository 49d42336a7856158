/**
 * abroad.ts: a question for another datacenter: which server is asked, how long it may take, and what is said when
 * it cannot be.
 *
 * Lives here: the choice of server and the words of failure. Must not live here: connections (the pool), routes (the
 * locator). Source of the error texts: Consul agent/consul/rpc.go, agent/structs/errors.go.
 */
import { UnreachableError } from '@fed/alpn-mux';
import { binaryKeys } from '@fed/fsm';
import type { Locator } from '@fed/gateway-locator';
import type { Value } from '@fed/msgpack';
import { RpcApplicationError, RpcError, type RpcPool } from '@fed/rpc';
import type { RoomEvent } from './log.ts';
import type { Router } from './router.ts';
import { asArgs, integer } from './rpc/args.ts';
import type { AskOptions } from './rpc/ask.ts';

export interface AbroadOptions {
  readonly router: Router;
  readonly pool: Pick<RpcPool, 'call'>;
  readonly holdTimeoutMs: number;
  readonly queryTimeDefaultMs: number;
  readonly queryTimeMaxMs: number;
  readonly locator: Pick<Locator, 'diagnose'>;
  readonly log: (event: RoomEvent) => void;
}

/** A read that does not wait is answered within this, or not at all. */
const answerMsMax = 10_000;

export function createAbroad(o: AbroadOptions): AskOptions['abroad'] {
  return async (datacenter, method, args, { signal }) => {
    const route = o.router.route(datacenter);
    if (route.kind === 'unknown') throw new RpcApplicationError('No path to datacenter');
    // A member that gossip calls failed may answer still; and if it does not, its error says which hop is broken.
    const server = route.kind === 'server' ? route.server : route.servers[0];
    if (server === undefined) throw new RpcApplicationError('Remote DC has no server currently reachable');
    const target = { datacenter, node: server.name, address: { host: server.host, port: server.port } };
    try {
      return await o.pool.call(target, method, args, { timeoutMs: patienceMs(o, args), signal, binaryKeys });
    } catch (error) {
      // An answer is an answer, also when it is an error.
      if (error instanceof RpcError && error.code === 'remote') throw error;
      if (signal.aborted) throw error;
      o.router.failed(datacenter, server.name);
      const told = explained(o, datacenter, error);
      o.log({
        level: 'warn',
        code: 'rpc_abroad_failed',
        text: `${method} to ${server.name}.${datacenter}: ${told.message}`,
      });
      throw told;
    }
  };
}

/** The same error, with the hop that failed and what to do about it at the end of its message. */
function explained(o: AbroadOptions, datacenter: string, error: unknown): Error {
  const unreachable = causeOf(error);
  if (unreachable === undefined) return error as Error;
  const { hop, text } = o.locator.diagnose(datacenter, unreachable.attempts);
  return new RpcApplicationError(`${(error as Error).message} (${hop}: ${text})`, { cause: error });
}

function causeOf(error: unknown): UnreachableError | undefined {
  for (let at = error; at instanceof Error; at = at.cause) if (at instanceof UnreachableError) return at;
  return undefined;
}

/** A blocking query may take its wait, the jitter the other side adds (1/16), and the time to find a leader. */
function patienceMs(o: AbroadOptions, args: Value): number {
  const asked = asArgs(args);
  if (integer(asked, 'MinQueryIndex') === 0) return answerMsMax;
  const waitMs = integer(asked, 'MaxQueryTime') / 1e6;
  const effectiveMs = waitMs > 0 ? Math.min(waitMs, o.queryTimeMaxMs) : o.queryTimeDefaultMs;
  return effectiveMs * (1 + 1 / 16) + o.holdTimeoutMs;
}
