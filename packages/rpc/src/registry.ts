/**
 * registry.ts: which methods we answer.
 *
 * Lives here: the table of methods and what a name that is not in it is told. Must not live here: streams, framing.
 * Source: Go net/rpc server.go (readRequestHeader): these texts are what Go servers say, and Go callers search for.
 */
import type { Value } from '@fed/msgpack';
import { InvariantError } from './errors.ts';

export interface RpcContext {
  /** "Service.Method", as called. */
  readonly method: string;
  /**
   * Aborted when the caller has gone: its stream or its session has ended. There is no other way to cancel a call.
   * What a handler still returns after that is sent if the stream takes it, and lost otherwise.
   */
  readonly signal: AbortSignal;
  /** Who calls, as told to `serveMulti` or `serveSingle`. */
  readonly peer: unknown;
}

export type RpcHandler = (args: Value, context: RpcContext) => Value | Promise<Value>;

export interface RpcMethod {
  readonly handler: RpcHandler;
  /** Keys of the arguments whose values are bytes, at any depth. */
  readonly binaryKeys?: ReadonlySet<string>;
  /** Also answered when the connection has as many calls running as it may: for calls that ask whether we are alive. */
  readonly always?: boolean;
}

export type Resolved =
  | { readonly kind: 'found'; readonly method: RpcMethod }
  | { readonly kind: 'refused'; readonly text: string };

export class RpcRegistry {
  readonly #services = new Map<string, Map<string, RpcMethod>>();

  /** Adds methods, named "Service.Method". A name given twice is a bug. */
  register(methods: { readonly [name: string]: RpcHandler | RpcMethod }): void {
    for (const [name, given] of Object.entries(methods)) {
      const dot = name.lastIndexOf('.');
      if (dot < 1) throw new InvariantError(`an RPC method is named "Service.Method", not "${name}"`);
      const service = this.#services.get(name.slice(0, dot)) ?? new Map<string, RpcMethod>();
      if (service.has(name.slice(dot + 1)))
        throw new InvariantError(`RPC method ${name} is registered twice`);
      service.set(name.slice(dot + 1), typeof given === 'function' ? { handler: given } : given);
      this.#services.set(name.slice(0, dot), service);
    }
  }

  resolve(name: string): Resolved {
    const dot = name.lastIndexOf('.');
    if (dot < 0) return { kind: 'refused', text: `rpc: service/method request ill-formed: ${name}` };
    const service = this.#services.get(name.slice(0, dot));
    if (service === undefined) return { kind: 'refused', text: `rpc: can't find service ${name}` };
    const method = service.get(name.slice(dot + 1));
    if (method === undefined) return { kind: 'refused', text: `rpc: can't find method ${name}` };
    return { kind: 'found', method };
  }
}
