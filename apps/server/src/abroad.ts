/**
 * abroad.ts: a question for another datacenter: which server is asked, how long it may take, and what is said when
 * it cannot be.
 *
 * Lives here: the choice of server and the words of failure. Must not live here: connections (the pool), routes (the
 * locator). Source of the error texts: Consul agent/consul/rpc.go, agent/structs/errors.go.
 */
import { UnreachableError } from '@fed/alpn-mux';
import { binaryKeys } from '@fed/fsm';
import { type Attempt, type Hop, type Locator, renderHostPort } from '@fed/gateway-locator';
import type { Value } from '@fed/msgpack';
import { RpcApplicationError, RpcError, type RpcPool } from '@fed/rpc';
import type { RoomEvent } from './log.ts';
import type { Router } from './router.ts';
import { type Args, asArgs, integer } from './rpc/args.ts';
import type { AskOptions } from './rpc/ask.ts';
import type { Observed } from './status/observed.ts';

export interface QueryTimes {
  readonly holdTimeoutMs: number;
  readonly queryTimeDefaultMs: number;
  readonly queryTimeMaxMs: number;
}

export interface AbroadOptions extends QueryTimes {
  readonly router: Router;
  readonly pool: Pick<RpcPool, 'call'>;
  readonly locator: Pick<Locator, 'diagnose' | 'explain'>;
  readonly clock: { now(): number };
  /**
   * A connection to that datacenter broke or went silent. Others that hang on the same gateways may be as dead without
   * knowing: gossip's get no answers by which they could tell.
   */
  readonly lost: (datacenter: string) => void;
  readonly log: (event: RoomEvent) => void;
  readonly observed: Pick<Observed, 'asked' | 'reached' | 'unanswered'>;
}

/** A question that no server of another datacenter answered. The message says all of it, in the original's words first. */
export class UnansweredError extends RpcApplicationError {
  readonly datacenter: string;
  /** Where on the way it failed, as far as we can tell. */
  readonly hop: Hop | undefined;
  readonly attempts: readonly { readonly gateway: string; readonly code: string }[];
  constructor(
    o: { readonly datacenter: string; readonly hop?: Hop; readonly attempts?: readonly Attempt[] },
    text: string,
    options?: ErrorOptions,
  ) {
    super(text, options);
    this.datacenter = o.datacenter;
    this.hop = o.hop;
    this.attempts = (o.attempts ?? []).map(({ gateway, code }) => ({
      gateway: renderHostPort(gateway),
      code,
    }));
  }
}

/** A read that does not wait is answered within this, or not at all. */
const answerMsMax = 10_000;
/** How often a question is asked again: a read whose connection broke, and anything that could not be sent to this server. */
const againMax = 2;

/**
 * How the pool treats a datacenter. A session abroad hangs on two gateways, and one that a network swallows without a word
 * is noticed by its silence only: so while a call waits it is asked soon and often (a ping is 12 bytes), and a read has time
 * left for another way. With two hundred datacenters most sessions have no call: they are left in peace. And a server or gateway that is back is found within a second; a dial that fails costs 5 s at most, and there is one
 * at a time.
 */
export const abroadPool: {
  readonly yamux: { readonly keepaliveMs: number; readonly pingTimeoutMs: number };
  readonly breaker: { readonly refuseMsMax: number };
} = { yamux: { keepaliveMs: 2_000, pingTimeoutMs: 2_500 }, breaker: { refuseMsMax: 750 } };

export function createAbroad(o: AbroadOptions): AskOptions['abroad'] {
  return async (datacenter, method, args, { signal }) => {
    const until = o.clock.now() + patienceMs(o, args);
    const tried = new Set<string>();
    for (let again = 0; ; again++) {
      const route = o.router.route(datacenter);
      if (route.kind === 'unknown') throw new UnansweredError({ datacenter }, 'No path to datacenter');
      // A member that gossip calls failed may answer still; and if it does not, its error says which hop is broken.
      const server = route.kind === 'server' ? route.server : route.servers[0];
      if (server === undefined)
        throw new UnansweredError({ datacenter }, 'Remote DC has no server currently reachable');
      const target = { datacenter, node: server.name, address: { host: server.host, port: server.port } };
      const timeoutMs = until - o.clock.now();
      o.observed.asked(datacenter);
      try {
        const answer = await o.pool.call(target, method, args, { timeoutMs, signal, binaryKeys });
        o.observed.reached(datacenter);
        return answer;
      } catch (error) {
        // An answer is an answer, also when it is an error.
        if (error instanceof RpcError && error.code === 'remote') {
          o.observed.reached(datacenter);
          throw error;
        }
        if (signal.aborted) throw error;
        o.router.failed(datacenter, server.name);
        if (lostItsConnection(error)) o.lost(datacenter);
        const what = `${method} to ${server.name}.${datacenter}`;
        tried.add(server.name);
        const safe =
          (lostItsConnection(error) && isRead(args)) ||
          (wasNotSent(error) && otherThan(tried, o, datacenter));
        if (again < againMax && safe && o.clock.now() < until) {
          const text = `${what}: ${(error as Error).message}; asking again`;
          o.log({ level: 'debug', code: 'rpc_abroad_again', text });
          continue;
        }
        const told = explained(o, datacenter, error);
        const hop = told instanceof UnansweredError ? told.hop : undefined;
        o.observed.unanswered(datacenter, hop ?? 'none');
        o.log({
          level: 'warn',
          code: 'rpc_abroad_failed',
          text: `${what}: ${told.message}`,
          fields: { datacenter, ...(hop !== undefined && { hop }) },
        });
        throw told;
      }
    }
  };
}

/** The question may have arrived, so only one that changes nothing is asked twice. */
const lostItsConnection = (error: unknown): error is RpcError =>
  error instanceof RpcError && error.code === 'session_lost';

/** No connection to this server could be made. Another server of the datacenter may be there. */
const wasNotSent = (error: unknown): boolean => error instanceof RpcError && error.code === 'dial';

function otherThan(tried: ReadonlySet<string>, o: AbroadOptions, datacenter: string): boolean {
  const route = o.router.route(datacenter);
  return route.kind === 'server' && !tried.has(route.server.name);
}

/** Reads carry query options and writes do not; source: Consul agent/structs (QueryOptions, WriteRequest: IsRead). */
const isRead = (args: Value): boolean => plainArgs(args)['AllowStale'] !== undefined;

/** The same error, with the hop that failed and what to do about it at the end of its message. */
function explained(o: AbroadOptions, datacenter: string, error: unknown): Error {
  const attempts = causeOf(error)?.attempts ?? silent(o, datacenter, error);
  if (attempts === undefined) return error as Error;
  const { hop, text } = o.locator.diagnose(datacenter, attempts);
  const words = `${(error as Error).message} (${hop}: ${text})`;
  return new UnansweredError({ datacenter, hop, attempts }, words, { cause: error });
}

/** No dial failed: there was a connection, which broke or went silent. It led through the gateway that is tried first. */
function silent(
  o: AbroadOptions,
  datacenter: string,
  error: unknown,
): Parameters<Locator['diagnose']>[1] | undefined {
  if (!(error instanceof RpcError) || (error.code !== 'timeout' && error.code !== 'session_lost'))
    return undefined;
  const tried = o.locator.explain(datacenter).candidates;
  const via = tried.find(({ standing }) => standing === 'good') ?? tried[0];
  return via && [{ gateway: via.gateway, code: error.code === 'timeout' ? 'silent' : 'lost' }];
}

function causeOf(error: unknown): UnreachableError | undefined {
  for (let at = error; at instanceof Error; at = at.cause) if (at instanceof UnreachableError) return at;
  return undefined;
}

/** A blocking query may take its wait, the jitter the other side adds (1/16), and the time to find a leader. */
export function patienceMs(o: QueryTimes, args: Value): number {
  const asked = plainArgs(args);
  if (integer(asked, 'MinQueryIndex') === 0) return answerMsMax;
  const waitMs = integer(asked, 'MaxQueryTime') / 1e6;
  const effectiveMs = waitMs > 0 ? Math.min(waitMs, o.queryTimeMaxMs) : o.queryTimeDefaultMs;
  return effectiveMs * (1 + 1 / 16) + o.holdTimeoutMs;
}

/** A body that is one raw string is a write: it asks for no waiting, and must not be sent twice. */
function plainArgs(args: Value): Args {
  return args instanceof Uint8Array ? {} : asArgs(args);
}
