/**
 * alpn.ts: the protocols a server port speaks inside TLS, by name.
 *
 * A client that comes through a gateway offers exactly one of these; the gateway never looks at it. The name replaces
 * the type byte of the older, direct way in, because a first byte cannot be read before TLS has ended.
 * Lives here: the names and their order. Must not live here: who handles them.
 * Source: Consul agent/pool/conn.go (ALPN_* constants), tlsutil/config.go (alpnProtos).
 */

export const alpn = {
  rpcSingle: 'consul/rpc-single',
  raft: 'consul/raft',
  rpcMulti: 'consul/rpc-multi',
  rpcSnapshot: 'consul/rpc-snapshot',
  rpcGossip: 'consul/rpc-gossip',
  rpcGrpc: 'consul/rpc-grpc',
  wanGossipPacket: 'consul/wan-gossip/packet',
  wanGossipStream: 'consul/wan-gossip/stream',
} as const;

export type Alpn = (typeof alpn)[keyof typeof alpn];

/** Every protocol, most preferred first: a server picks the first of its own list that the client offers too. */
export const alpnPreference: readonly Alpn[] = [
  alpn.rpcSingle,
  alpn.raft,
  alpn.rpcMulti,
  alpn.rpcSnapshot,
  alpn.rpcGossip,
  alpn.rpcGrpc,
  alpn.wanGossipPacket,
  alpn.wanGossipStream,
];

export function isAlpn(name: unknown): name is Alpn {
  return (alpnPreference as readonly unknown[]).includes(name);
}
