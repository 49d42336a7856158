/**
 * embedded.ts: the relay of this program as a data plane: an xDS client in front, an admin port beside it.
 *
 * Lives here: their coupling. Must not live here: connections (relay/), several processes (crew/), streams (@fed/xds).
 */
import { type HostPort, renderHostPort } from '@fed/alpn-mux';
import { openXdsClient, type XdsClient } from '@fed/xds';
import { openAdmin } from './admin.ts';
import { type Carrier, openCarrier } from './carrier.ts';
import type { GatewayConfig } from './config.ts';
import { Crew, type CrewEvent } from './crew/crew.ts';
import type { Announce, DataPlane } from './data-plane.ts';
import { connectionsMax } from './limits.ts';
import { type Log, relayLogger } from './log.ts';
import type { World } from './world.ts';

export interface EmbeddedOptions {
  readonly config: GatewayConfig;
  readonly world: World;
  readonly log: Log;
  readonly announce: Announce;
  /** The stream broke: the agent may have gone away, and come back without memory. */
  readonly streamLost: () => void;
  /** What we are to listen on has changed: our registration has, or it is not ours any more. */
  readonly bindsChanged: () => void;
}

/** Its admin port answers from now on. Throws an AdminError. */
export async function openEmbeddedPlane(o: EmbeddedOptions): Promise<DataPlane> {
  const { config, world, log } = o;
  const { clock, rng } = world;
  const { id, service, token, nodeName } = config;
  const openedAt = clock.now();
  let announced = false;
  let stopping = false;
  let binds: readonly HostPort[] = [];
  let xds: XdsClient | undefined;

  await using opened = new AsyncDisposableStack();
  const carrier: Carrier = opened.use(
    openCarrierOf(o, () => {
      if (announced) return;
      announced = true;
      o.announce(binds, admin.address);
    }),
  );
  const metrics = async (): Promise<string> => {
    const counters = await carrier.counters();
    counters.set('control_plane.connected_state', '', xds?.state().phase === 'connected' ? 1 : 0);
    counters.set('server.live', '', stopping ? 0 : 1);
    counters.set('server.state', '', stopping ? 1 : carrier.ready ? 0 : 3); // live, draining, initializing
    counters.set('server.uptime', '', Math.floor((clock.now() - openedAt) / 1_000));
    return counters.text();
  };
  const admin = opened.use(
    await openAdmin(config.adminBind, {
      metrics,
      ready: () => carrier.ready,
      connections: () => carrier.journal(),
    }),
  );
  opened.defer(async () => await xds?.[Symbol.asyncDispose]());
  const closing = opened.move();

  return {
    async start({ target, tls, keepaliveMs }) {
      xds = openXdsClient({
        target,
        nodeId: id,
        cluster: service,
        clock,
        rng,
        ...(keepaliveMs !== undefined && { keepaliveMs }),
        ...(tls !== undefined && { credentials: tls }),
        ...(token !== undefined && { token }),
        ...(nodeName !== undefined && { nodeName }),
        log: (n) => {
          log[n.level]({ code: n.code }, n.text);
          if (n.code === 'stream_lost') o.streamLost();
        },
        onConfig: (c) => {
          const before = binds.map(renderHostPort).join();
          binds = c.listeners.map((l) => l.bind);
          if (before !== '' && before !== binds.map(renderHostPort).join()) o.bindsChanged();
          carrier.apply(c);
          log.info({ listeners: c.listeners.length, clusters: c.clusters.size }, 'configuration applied');
        },
      });
    },
    redirect({ target, tls, keepaliveMs }) {
      xds?.redirect({
        target,
        ...(keepaliveMs !== undefined && { keepaliveMs }),
        ...(tls !== undefined && { credentials: tls }),
      });
    },
    ended: new Promise(() => {}),
    connections: () => carrier.connections(),
    async drain(withinMs) {
      stopping = true;
      await xds?.[Symbol.asyncDispose]();
      await carrier.drain(withinMs);
      return 0;
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  };
}

/** `onReady`: everybody listens on everything; may be called again. */
function openCarrierOf({ config, world, log }: EmbeddedOptions, onReady: () => void): Carrier {
  const { clock, wallMs, rng, resolve } = world;
  const { concurrency: size = 1 } = config;
  if (size > 1) {
    const tell = crewLogger(log);
    return new Crew({
      size,
      clock,
      start: (index) => world.startWorker(index, config.logLevel),
      freePort: world.freePort,
      onEvent: (e) => {
        tell(e);
        if (e.kind === 'ready') onReady();
      },
    });
  }
  const logRelay = relayLogger(log, () => clock.now());
  const carrier = openCarrier({
    clock,
    wallMs,
    rng,
    resolve,
    limits: { connectionsMax: connectionsMax(world.openFilesMax()) },
    onEvent: (e) => {
      logRelay(e);
      if (e.kind === 'listening' && carrier.ready) onReady();
    },
  });
  return carrier;
}

function crewLogger(log: Log): (e: CrewEvent) => void {
  const relayLog = relayLogger(log, () => 0);
  return (e) => {
    if (e.kind === 'bindFailed') relayLog(e);
    else if (e.kind === 'workerEnded')
      log.error(
        { worker: e.index, restartMs: e.restartMs },
        `a worker ended (${e.how}) and its connections with it; the others go on, another takes its place`,
      );
  };
}
