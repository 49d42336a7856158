/**
 * errors.ts: what can go wrong, sorted by whose fault it is.
 *
 * A peer that breaks the rules, a path that breaks, and a mistake of ours end differently, so they are different
 * classes. Branch on `code`, never on the text: texts follow Consul's, because Go programs search them for substrings.
 * Lives here: the error classes. Must not live here: decisions that raise them.
 * Sources: Consul agent/pool/pool.go (prefixes), lib/eof.go (what counts as end of file), net/rpc server.go.
 */
import type { RpcTarget } from './ports.ts';

export type YamuxErrorCode =
  | 'session_closed' // the session is over; the cause tells why
  | 'go_away' // the peer accepts no new streams; those that exist go on
  | 'streams_exhausted' // every stream id of this side has been used
  | 'stream_reset' // the peer, or a memory limit of ours, ended this one stream
  | 'stream_closed'; // the stream was closed on our side while something was still waiting for it

/** A stream or a session could not go on. Nothing outside that stream or session has been touched. */
export class YamuxError extends Error {
  override readonly name = 'YamuxError';
  readonly code: YamuxErrorCode;
  constructor(code: YamuxErrorCode, text: string, options?: ErrorOptions) {
    super(text, options);
    this.code = code;
  }
}

export type RpcWireErrorCode = 'malformed' | 'too_large';

/** The peer's fault: bytes that are no net/rpc message, or one larger than we take. The stream is out of step: close it. */
export class RpcWireError extends Error {
  override readonly name = 'RpcWireError';
  readonly code: RpcWireErrorCode;
  constructor(code: RpcWireErrorCode, text: string, options?: ErrorOptions) {
    super(text, options);
    this.code = code;
  }
}

/** Thrown by a handler: its message becomes the reply's Error text, character for character. */
export class RpcApplicationError extends Error {
  override readonly name = 'RpcApplicationError';
  readonly code = 'application';
}

/** Thrown by a handler whose arguments have the wrong shape. Like RpcApplicationError, but the stream ends after the reply. */
export class RpcArgumentError extends Error {
  override readonly name = 'RpcArgumentError';
  readonly code = 'bad_argument';
}

export type RpcErrorCode =
  | 'remote' // the peer answered, and its answer is an error: `remoteText`
  | 'dial' // no connection could be made; nothing was sent
  | 'session_lost' // the connection ended before the answer came; the call may or may not have happened
  | 'timeout' // no answer in time; the call may or may not have happened
  | 'aborted' // the caller gave up
  | 'malformed' // the answer is no net/rpc message
  | 'busy'; // too many calls to this datacenter already wait; nothing was sent

/** A call that brought no result. `message` carries Consul's prefixes, so that Go peers recognise it when it is passed on. */
export class RpcError extends Error {
  override readonly name = 'RpcError';
  readonly code: RpcErrorCode;
  readonly target: RpcTarget;
  readonly remoteText?: string;
  constructor(
    code: RpcErrorCode,
    text: string,
    o: { readonly target: RpcTarget; readonly remoteText?: string; readonly cause?: unknown },
  ) {
    super(text, o.cause === undefined ? undefined : { cause: o.cause });
    this.code = code;
    this.target = o.target;
    if (o.remoteText !== undefined) this.remoteText = o.remoteText;
  }
}

/** Ours: a bug in this package or in how it is used. Nobody below the composition root catches it. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
  readonly code = 'invariant';
}

export function assert(condition: boolean, text: string): asserts condition {
  if (!condition) throw new InvariantError(text);
}
