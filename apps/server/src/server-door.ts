/**
 * server-door.ts: the one port for all who come: type byte, or TLS with ALPN; and which room each protocol leads to.
 */
import { alpn, type DoorSettings, type FrontDoor, type TlsIdentity, typeBytes } from '@fed/alpn-mux';
import type { RpcRegistry } from '@fed/rpc';
import type { WanfedTransport } from '@fed/wanfed-transport';
import { binding } from './binding.ts';
import type { Config } from './config/config.ts';
import type { ForeignConnections } from './foreign-connections.ts';
import type { KnownAddresses } from './known-addresses.ts';
import { type Log, roomLog } from './log.ts';
import { ServedRpc } from './served-rpc.ts';
import type { World } from './world.ts';

export interface ServerDoorOptions {
  readonly config: Config;
  readonly tls: TlsIdentity;
  readonly registry: RpcRegistry;
  readonly transport: Pick<WanfedTransport, 'ingestPackets' | 'ingestStream'>;
  readonly foreign: ForeignConnections;
  readonly known: Pick<KnownAddresses, 'has'>;
  readonly world: Pick<World, 'clock' | 'machine'>;
  readonly log: Log;
}

export interface ServerDoor extends AsyncDisposable {
  readonly front: FrontDoor;
  readonly rpc: ServedRpc;
}

/** What the configuration says of who may come in, for connections from now on. */
export function doorSettings(config: Config): DoorSettings {
  return {
    policy: config.tls,
    handshakeTimeoutMs: config.handshakeTimeoutMs,
    perClientConnectionsMax: config.connsPerClientMax,
    failures: config.failedConns,
  };
}

/** Disposing shuts the port, lets calls that run finish for a moment, then closes every connection. */
export async function openServerDoor(o: ServerDoorOptions): Promise<ServerDoor> {
  const { config, tls, registry, transport, foreign, log } = o;
  const { clock, machine } = o.world;
  const bind = { host: config.bindHost, port: config.serverPort };
  const rpc = new ServedRpc({ registry, clock, log: roomLog(log, 'rpc', () => clock.now()) });
  const front = await binding('ports.server', bind, () =>
    machine.openDoor({
      bind,
      tls,
      ...doorSettings(config),
      domain: config.domain,
      vouchedFor: (host) => o.known.has(host),
      onRefused: (refusal) => log.warn({ room: 'door', ...refusal }, refusal.detail),
      clock,
      alpn: {
        [alpn.rpcMulti]: foreign.noting(rpc.multi),
        [alpn.rpcSingle]: foreign.noting(rpc.single),
        [alpn.wanGossipPacket]: foreign.noting((conn) => transport.ingestPackets(conn)),
        [alpn.wanGossipStream]: foreign.noting((conn) => transport.ingestStream(conn)),
      },
      typeBytes: { [typeBytes.rpc]: rpc.single, [typeBytes.rpcMulti]: rpc.multi },
    }),
  );
  return {
    front,
    rpc,
    async [Symbol.asyncDispose]() {
      front.shut();
      await rpc.drain();
      await front[Symbol.asyncDispose]();
    },
  };
}
