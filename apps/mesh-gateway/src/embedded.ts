/**
 * embedded.ts: the relay of this program as a data plane: an xDS client in front, an admin port beside it.
 *
 * Lives here: their coupling. Must not live here: connections (relay/), streams (@fed/xds).
 */
import type { HostPort } from '@fed/alpn-mux';
import { openXdsClient, type XdsClient } from '@fed/xds';
import { openAdmin } from './admin.ts';
import type { GatewayConfig } from './config.ts';
import type { Announce, DataPlane } from './data-plane.ts';
import { type Log, relayLogger } from './log.ts';
import { Relay } from './relay/relay.ts';
import type { World } from './world.ts';

/** Each relayed connection is two descriptors; a tenth is left for everything else. */
const connectionsPerDescriptor = 0.45;

export interface EmbeddedOptions {
  readonly config: GatewayConfig;
  readonly world: World;
  readonly log: Log;
  readonly announce: Announce;
  /** The stream broke: the agent may have gone away, and come back without memory. */
  readonly streamLost: () => void;
}

/** Its admin port answers from now on. Throws an AdminError. */
export async function openEmbeddedPlane(o: EmbeddedOptions): Promise<DataPlane> {
  const { config, world, log } = o;
  const { clock, wallMs, rng, resolve } = world;
  const { id, service, token, nodeName } = config;
  const logRelay = relayLogger(log, clock.now);
  let announced = false;
  let binds: readonly HostPort[] = [];
  let xds: XdsClient | undefined;

  const relay: Relay = new Relay({
    clock,
    wallMs,
    rng,
    resolve,
    limits: { connectionsMax: Math.floor(world.openFilesMax() * connectionsPerDescriptor) },
    onEvent: (e) => {
      logRelay(e);
      if (announced || e.kind !== 'listening' || !relay.ready) return;
      announced = true;
      o.announce(binds, admin.address);
    },
  });
  const admin = await openAdmin(config.adminBind, {
    metrics: () => {
      relay.counters.set('control_plane.connected_state', '', xds?.state().phase === 'connected' ? 1 : 0);
      return relay.metrics();
    },
    ready: () => relay.ready,
    connections: () => relay.journal.list(),
  });

  return {
    async start({ target, tls }) {
      xds = openXdsClient({
        target,
        nodeId: id,
        cluster: service,
        clock,
        rng,
        ...(tls !== undefined && { credentials: tls }),
        ...(token !== undefined && { token }),
        ...(nodeName !== undefined && { nodeName }),
        log: (n) => {
          log[n.level]({ code: n.code }, n.text);
          if (n.code === 'stream_lost') o.streamLost();
        },
        onConfig: (c) => {
          binds = c.listeners.map((l) => l.bind);
          relay.apply(c);
          log.info({ listeners: c.listeners.length, clusters: c.clusters.size }, 'configuration applied');
        },
      });
    },
    ended: new Promise(() => {}),
    connections: async () => relay.connections,
    async drain(withinMs) {
      await xds?.[Symbol.asyncDispose]();
      await relay.drain(withinMs);
      return 0;
    },
    async [Symbol.asyncDispose]() {
      await xds?.[Symbol.asyncDispose]();
      await relay[Symbol.asyncDispose]();
      await admin[Symbol.asyncDispose]();
    },
  };
}
