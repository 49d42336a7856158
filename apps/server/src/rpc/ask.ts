/**
 * ask.ts: the one way to ask anything of any datacenter: at home if it is ours, through the router if it is not.
 *
 * HTTP handlers, RPC from outside and our own routines all come through this door, so forwarding rules exist once.
 * Lives here: whose question it is. Must not live here: answers (the endpoint files), connections (the pool).
 * Source: Consul agent/consul/rpc.go (ForwardRPC, forwardDC).
 */
import type { Value } from '@fed/msgpack';
import { RpcApplicationError } from '@fed/rpc';
import { type Args, asArgs, text } from './args.ts';
import type { Caller } from './callers.ts';

export interface AskContext {
  /** Aborted when whoever asked has gone. */
  readonly signal: AbortSignal;
  /** Who asked, when a certificate tells; absent for our own questions. */
  readonly caller?: Caller | undefined;
}

export type Answer = (args: Args, context: AskContext) => Value | Promise<Value>;

/** How a method's bodies stand on the wire where they are not what `answer` takes and returns. */
export interface Wire {
  /** Takes arguments that already are plain as they are. Throws RpcApplicationError. */
  readonly readArgs?: (body: Value) => Args;
  readonly writeArgs?: (args: Args) => Value;
  readonly readReply?: (body: Value) => Value;
  readonly writeReply?: (reply: Value) => Value;
}

export interface Endpoint {
  readonly answer: Answer;
  /**
   * Whose question it is: `here` always ours; `datacenter` that of the Datacenter key; `target` that of
   * TargetDatacenter (FederationState.Get has the two the other way round); `primary` always the primary's.
   */
  readonly belongs: 'here' | 'datacenter' | 'target' | 'primary';
  /** Who of that datacenter answers. Default: its leader, unless a read can live with an answer that is a little old. */
  readonly answeredBy?: 'leader' | 'any';
  readonly wire?: Wire;
}

/** Sends a question to another server and reads its answer, each as it stands on the wire. */
export async function overWire(
  { wire }: Pick<Endpoint, 'wire'>,
  args: Args,
  send: (body: Value) => Promise<Value>,
): Promise<Value> {
  const reply = await send(wire?.writeArgs?.(args) ?? args);
  return wire?.readReply === undefined ? reply : wire.readReply(reply);
}

export type Ask = (method: string, args: Value, context: AskContext) => Promise<Value>;

export interface AskOptions {
  readonly datacenter: string;
  readonly primary: string;
  readonly endpoints: Readonly<Record<string, Endpoint>>;
  /** The datacenter a caller came from, if it is another than ours. */
  readonly cameFrom?: (caller: Caller | undefined) => string | undefined;
  /** Asks whoever of our own datacenter has to answer. Default: this server. */
  readonly atHome?: (endpoint: Endpoint, method: string, args: Args, context: AskContext) => Promise<Value>;
  /** Asks a server of another datacenter; rejects with an error whose message says why it cannot. */
  readonly abroad: (datacenter: string, method: string, args: Value, context: AskContext) => Promise<Value>;
}

export function createAsk(o: AskOptions): Ask {
  return async (method, body, context) => {
    const endpoint = o.endpoints[method];
    if (endpoint === undefined) throw new RpcApplicationError(`rpc: can't find method ${method}`);
    const args = endpoint.wire?.readArgs?.(body) ?? asArgs(body);
    if (endpoint.belongs === 'here') return endpoint.answer(args, context);
    const datacenter = owner(endpoint, args, o);
    if (datacenter === o.datacenter)
      return o.atHome === undefined
        ? endpoint.answer(args, context)
        : o.atHome(endpoint, method, args, context);
    // Who comes from abroad has chosen this datacenter himself. Sent on, a question that two servers each believe to be the
    // other's would go round for ever; so one crossing is the limit, and it needs no mark that other programs would drop.
    const from = o.cameFrom?.(context.caller);
    if (from !== undefined && endpoint.belongs === 'primary')
      throw new RpcApplicationError(`No path to datacenter: ${notPrimary(o, from)}`);
    if (from !== undefined)
      throw new RpcApplicationError(
        `No path to datacenter: ${method} for ${datacenter} came to ${o.datacenter} from ${from}, and is not sent on a second time`,
      );
    // The primary's own methods are sent on under its name, whatever the caller wrote there.
    const sent = endpoint.belongs === 'primary' ? { ...args, Datacenter: o.primary } : args;
    return overWire(endpoint, sent, (wired) => o.abroad(datacenter, method, wired, context));
  };
}

/** Between our own servers these words are the protocol: RPC errors have no other field. */
export const isNotPrimary = (words: string): boolean => words.includes('is not the primary datacenter');

const notPrimary = ({ datacenter, primary }: AskOptions, from: string): string =>
  `${datacenter} is not the primary datacenter, ${primary} is: set primary_datacenter = "${primary}" in ${from}`;

/** An empty datacenter means ours, as it does for Consul since 1.11. */
function owner(endpoint: Endpoint, args: Args, o: AskOptions): string {
  switch (endpoint.belongs) {
    case 'here':
      return o.datacenter;
    case 'primary':
      return o.primary;
    case 'datacenter':
      return text(args, 'Datacenter').toLowerCase() || o.datacenter;
    case 'target':
      return text(args, 'TargetDatacenter').toLowerCase() || o.datacenter;
  }
}
