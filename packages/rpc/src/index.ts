/**
 * @fed/rpc: calls between servers: yamux sessions, Go's net/rpc in msgpack, and a pool that shares connections.
 */
export type { BreakerConfig } from './breaker.ts';
export {
  InvariantError,
  RpcApplicationError,
  RpcArgumentError,
  RpcError,
  type RpcErrorCode,
  RpcWireError,
  type RpcWireErrorCode,
  YamuxError,
  type YamuxErrorCode,
} from './errors.ts';
export {
  type CallOptions,
  openRpcPool,
  type RpcPool,
  type RpcPoolOptions,
  type RpcPoolStats,
} from './pool.ts';
export type { Clock, DialRpc, HostPort, RpcTarget } from './ports.ts';
export { type RpcContext, type RpcHandler, type RpcMethod, RpcRegistry } from './registry.ts';
export type { RpcReport } from './served-stream.ts';
export { type RpcConnection, type ServeOptions, serveMulti, serveSingle } from './server.ts';
export {
  openYamux,
  type SessionEnd,
  type YamuxOptions,
  type YamuxSession,
  type YamuxStats,
} from './yamux/session.ts';
export { type SessionEndCode, type YamuxConfig, yamuxDefaults } from './yamux/session-events.ts';
export type { YamuxStream } from './yamux/stream.ts';
