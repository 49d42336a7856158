/**
 * server-door.ts: the one port for all who come: type byte, or TLS with ALPN; and which room each protocol leads to.
 */
import { alpn, type FrontDoor, type Handler, type TlsIdentity, typeBytes } from '@fed/alpn-mux';
import { type RpcRegistry, serveMulti, serveSingle } from '@fed/rpc';
import type { WanfedTransport } from '@fed/wanfed-transport';
import { binding } from './binding.ts';
import type { Config } from './config/config.ts';
import type { ForeignConnections } from './foreign-connections.ts';
import type { Log } from './log.ts';
import type { World } from './world.ts';

export interface ServerDoorOptions {
  readonly config: Config;
  readonly tls: TlsIdentity;
  readonly registry: RpcRegistry;
  readonly transport: Pick<WanfedTransport, 'ingestPackets' | 'ingestStream'>;
  readonly foreign: ForeignConnections;
  readonly world: Pick<World, 'clock' | 'machine'>;
  readonly log: Log;
}

export function openServerDoor(o: ServerDoorOptions): Promise<FrontDoor> {
  const { config, tls, registry, transport, foreign, log } = o;
  const { clock, machine } = o.world;
  const bind = { host: config.bindHost, port: config.serverPort };
  const single: Handler = ({ stream, peer }) => serveSingle(stream, registry, { peer, clock });
  const multi: Handler = ({ stream, peer }) => serveMulti(stream, registry, { peer, clock });
  return binding('ports.server', bind, () =>
    machine.openDoor({
      bind,
      tls,
      policy: config.tls,
      domain: config.domain,
      handshakeTimeoutMs: config.handshakeTimeoutMs,
      perClientConnectionsMax: config.connsPerClientMax,
      onRefused: (refusal) => log.warn({ room: 'door', ...refusal }, refusal.detail),
      clock,
      alpn: {
        [alpn.rpcMulti]: foreign.noting(multi),
        [alpn.rpcSingle]: foreign.noting(single),
        [alpn.wanGossipPacket]: foreign.noting((conn) => transport.ingestPackets(conn)),
        [alpn.wanGossipStream]: foreign.noting((conn) => transport.ingestStream(conn)),
      },
      typeBytes: { [typeBytes.rpc]: single, [typeBytes.rpcMulti]: multi },
    }),
  );
}
