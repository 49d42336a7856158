/**
 * at-home.ts: a question for our own datacenter: whether this server answers it, or the one that leads.
 *
 * Whoever can live with an answer that is a little old has it from any server; writes and all other reads are the leader's.
 * While nobody leads a question waits for the next leader, within a budget: an election lasts two or three seconds, and no
 * client should have to know that there was one.
 * Lives here: that choice, and when a question is asked again. Must not live here: whose datacenter it is (ask.ts),
 * connections (the pool), leadership (the engine).
 * Source: Consul agent/consul/rpc.go (ForwardRPC, getLeader, canRetry), lib/eof.go.
 */
import { binaryKeys, type Leadership, type LogEngine } from '@fed/fsm';
import type { Value } from '@fed/msgpack';
import { type CallOptions, RpcApplicationError, RpcError, type RpcTarget } from '@fed/rpc';
import { patienceMs, type QueryTimes } from '../abroad.ts';
import type { World } from '../world.ts';
import { type Args, flag } from './args.ts';
import { type AskContext, type Endpoint, overWire } from './ask.ts';

export interface AtHomeOptions extends QueryTimes {
  readonly datacenter: string;
  readonly engine: Pick<LogEngine, 'leadership' | 'onLeadership' | 'lastContactMs'>;
  readonly pool: {
    call(target: RpcTarget, method: string, args: Value, o: CallOptions): Promise<Value>;
  };
  /** The node that has this `host:port`, if the LAN pool knows it. */
  readonly nodeAt: (address: string) => string | undefined;
  /** Whether a server of our own datacenter sent the question: it took us for the leader, and is not sent on again. */
  readonly fromOwnServer: (context: AskContext) => boolean;
  /** Aborted once this server says goodbye: it answers nothing any more that a leader must answer. */
  readonly leaving: AbortSignal;
  readonly clock: World['clock'];
  readonly rng: World['rng'];
}

export type AtHome = (endpoint: Endpoint, method: string, args: Args, context: AskContext) => Promise<Value>;

/** Peers look for these words. */
export const noLeaderText = 'No cluster leader';
/** Between two looks at who leads passes at most this part of the hold time. */
const jitterFraction = 16;

export function createAtHome(o: AtHomeOptions): AtHome {
  return async (endpoint, method, args, context) => {
    if (endpoint.answeredBy === 'any') return endpoint.answer(args, context);
    if (flag(args, 'AllowStale') && o.engine.lastContactMs() !== undefined)
      return endpoint.answer(args, context);
    const until = o.clock.now() + o.holdTimeoutMs;
    for (;;) {
      if (o.leaving.aborted) throw noLeader();
      const before = o.engine.leadership();
      try {
        return await attempt(o, endpoint, method, args, context);
      } catch (error) {
        if (context.signal.aborted || o.clock.now() >= until || !mayAskAgain(error, args)) throw error;
      }
      await pause(o, before, context.signal);
    }
  };
}

async function attempt(
  o: AtHomeOptions,
  endpoint: Endpoint,
  method: string,
  args: Args,
  context: AskContext,
): Promise<Value> {
  const { leader, leaderAddress } = o.engine.leadership();
  if (leader) {
    try {
      return await endpoint.answer(args, context);
    } catch (error) {
      if (isNotLeader(error)) throw noLeader(error);
      throw error;
    }
  }
  if (leaderAddress === undefined || o.fromOwnServer(context)) throw noLeader();
  const target = { datacenter: o.datacenter, ...serverAt(leaderAddress, o.nodeAt) };
  return overWire(endpoint, args, (body) =>
    o.pool.call(target, method, body, {
      timeoutMs: patienceMs(o, args),
      signal: context.signal,
      binaryKeys,
    }),
  );
}

/** Where a server listens is enough to find it: gossip may not have told us of it yet. */
function serverAt(address: string, nodeAt: AtHomeOptions['nodeAt']): Pick<RpcTarget, 'node' | 'address'> {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  return { node: nodeAt(address) ?? address, address: { host, port: Number(address.slice(colon + 1)) } };
}

/**
 * Where nobody leads nothing was done, and where no connection was made nothing was sent: both are safe to ask again. A
 * connection that broke may have carried the question: only what changes nothing is asked twice.
 */
function mayAskAgain(error: unknown, args: Args): boolean {
  const text = (error as Error).message;
  if (text.includes(noLeaderText)) return true;
  if (!(error instanceof RpcError)) return false;
  if (error.code === 'dial') return true;
  return isRead(args) && (error.code === 'session_lost' || (error.code === 'remote' && isEof(text)));
}

/** Another hop lost its connection and says so; source: Consul lib/eof.go. */
const isEof = (text: string): boolean =>
  text.includes('stream closed') || text.includes('session shutdown') || text.endsWith(': EOF');

/** Reads carry query options and writes do not. */
const isRead = (args: Args): boolean => args['AllowStale'] !== undefined;

/** The engine's word for it, whichever engine it is. */
export function isNotLeader(error: unknown): boolean {
  return (error as { readonly code?: unknown } | undefined)?.code === 'log_not_leader';
}

export function noLeader(cause?: unknown): RpcApplicationError {
  return new RpcApplicationError(noLeaderText, { cause });
}

/** A moment, or until leadership is no longer what it was before the question: whichever comes first. Never rejects. */
function pause(o: AtHomeOptions, before: Leadership, signal: AbortSignal): Promise<void> {
  const now = o.engine.leadership();
  if (now.term !== before.term || now.leaderAddress !== before.leaderAddress) return Promise.resolve();
  return new Promise((resolve) => {
    const signals = [signal, o.leaving];
    const end = (): void => {
      timer[Symbol.dispose]();
      listening[Symbol.dispose]();
      for (const each of signals) each.removeEventListener('abort', end);
      resolve();
    };
    const jitterMs = Math.max(1, Math.floor(o.holdTimeoutMs / jitterFraction));
    const timer = o.clock.at(o.clock.now() + 1 + o.rng.below(jitterMs), end);
    const listening = o.engine.onLeadership(end);
    for (const each of signals) each.addEventListener('abort', end, { once: true });
  });
}
