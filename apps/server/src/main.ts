/**
 * main.ts: the hallway. Every room is opened here, in the order the story is told, and closed in reverse.
 *
 * The circle of federation closes in this file and nowhere else: gossip needs a route to other datacenters, routes
 * come from replicated state, replication needs RPC, RPC needs to know members, and members come from gossip.
 * Must not live here: decisions. An `if` in this file is a function missing from a package.
 */
import { join } from 'node:path';
import { alpn, createGatewayDialer, openFrontDoor, TlsIdentity, typeBytes, wanName } from '@fed/alpn-mux';
import { embeddedLog, openFsm } from '@fed/fsm';
import { createLocator, openDiscovery } from '@fed/gateway-locator';
import { openUdpTcpTransport } from '@fed/memberlist';
import { openRpcPool, serveMulti, serveSingle } from '@fed/rpc';
import { openSerf } from '@fed/serf';
import { openWanfedTransport } from '@fed/wanfed-transport';
import { openXdsServer } from '@fed/xds';
import { createAbroad } from './abroad.ts';
import { Agent } from './agent/agent.ts';
import { probeNetwork } from './agent/checks.ts';
import { binding } from './binding.ts';
import type { StopReason } from './commands/server-command.ts';
import type { Config } from './config/config.ts';
import { dialRpc } from './dial-rpc.ts';
import { ForeignConnections } from './foreign-connections.ts';
import { watchGateways } from './gateway-worlds.ts';
import { lanGossip, lanSerf, ring, wanGossip, wanSerf } from './gossip-config.ts';
import { agentRoutes } from './http/agent.ts';
import { readRoutes } from './http/reads.ts';
import { openHttp } from './http/server.ts';
import { readIdentity, readNodeId, usingDataDir } from './identity.ts';
import { openLeaderDuties } from './leader.ts';
import { leaveIfAsked, onHangup, stopped } from './lifecycle.ts';
import { discoveryReports, type Log, logEvents, roomLog, tellFailedRequest } from './log.ts';
import { Reach } from './reach.ts';
import { Router } from './router.ts';
import { answering } from './rpc/answering.ts';
import { createAsk } from './rpc/ask.ts';
import { catalogEndpoints } from './rpc/catalog.ts';
import { federationStateEndpoints } from './rpc/federation-state.ts';
import { statusEndpoints } from './rpc/status.ts';
import { ownNode } from './self-rows.ts';
import { serverTags } from './tags.ts';
import { buildTag } from './version.ts';
import { federationView, metricsView, type Rooms, selfView } from './views.ts';
import {
  followMembers,
  followRoutes,
  forceLeave,
  logFailedMeeting,
  logMeeting,
  meet,
  meetAgain,
  nearestFirst,
  refuseOtherDatacenters,
  refuseStrangers,
} from './wan-members.ts';
import type { World } from './world.ts';

export interface Stop {
  readonly signal: AbortSignal; // its reason is a StopReason
  readonly request: (reason: StopReason) => void;
}

/** Resolves when everything is closed again. Throws ConfigError for what the operator can mend. */
export async function runServer(config: Config, world: World, stop: Stop, log: Log): Promise<void> {
  const { clock, rng, randomBytes, wallMs } = world;
  const { datacenter, primary, domain } = config;
  const room = (name: string) => roomLog(log, name, clock.now);
  const identity = readIdentity(config, wallMs());
  const serverAddress = `${config.advertiseHost}:${config.serverPort}`;
  const self = ownNode(config, readNodeId(config, randomBytes));

  // ---- Above and here, nothing is open. Below, each line opens something; leaving closes it, last first. ----

  // What we know: the log on disk, and the state it adds up to.
  const engine = embeddedLog({ dir: join(config.dataDir, 'log'), log: logEvents(log) });
  await using fsm = await usingDataDir(() => openFsm({ engine, clock, rng }));

  // Which way out: the locator hears news and asks nobody. How to get there: the dialer, which tells it what it learned.
  const locator = createLocator({ datacenter, primary, clock, rng });
  const tls = new TlsIdentity(identity.material);
  const reload = (): void => tls.replace(readIdentity(config, wallMs()).material);
  const abroadDialer = createGatewayDialer({
    tls,
    domain,
    clock,
    waysTo: (to) => locator.waysTo(to),
    learned: (lesson) => locator.hear({ kind: 'tried', ...lesson }),
  });

  // What we ask of others, and what we answer.
  const router = new Router(rng);
  await using pool = openRpcPool({ clock, dial: dialRpc({ config, tls, abroad: abroadDialer }) });
  const endpoints = {
    ...statusEndpoints({ address: serverAddress }),
    ...catalogEndpoints({
      ...config,
      fsm,
      datacenters: () => nearestFirst(datacenter, router.datacenters()),
    }),
    ...federationStateEndpoints({ ...config, fsm, wallMs }),
  };
  const ask = createAsk({
    datacenter,
    primary,
    endpoints,
    abroad: createAbroad({ ...config, router, pool, locator, log: room('rpc') }),
  });
  const registry = answering(endpoints, ask);

  // The pools: our own datacenter directly, the others through gateways.
  const wanBind = { host: config.bindHost, port: config.wanPort };
  const home = await binding('ports.serf_wan', wanBind, () =>
    openUdpTcpTransport({ ...wanBind, advertise: { host: config.advertiseWanHost } }),
  );
  const transport = await openWanfedTransport({
    datacenter,
    home,
    clock,
    rng,
    dial: (o) => abroadDialer.dial(o),
    log: room('wanfed'),
  });
  await using wanPool = await openSerf({
    name: wanName(config.nodeName, datacenter),
    tags: serverTags({
      datacenter,
      nodeId: self.ID,
      serverPort: config.serverPort,
      build: buildTag,
      tls: true,
    }),
    transport,
    keyring: ring(config),
    memberlist: wanGossip(config),
    config: wanSerf(config),
    refuseMember: refuseStrangers,
    onEvent: (event) => followMembers(event, router, pool),
    clock,
    rng,
    randomBytes,
    log: room('serf.wan'),
  });
  const lanBind = { host: config.bindHost, port: config.lanPort };
  const lanTransport = await binding('ports.serf_lan', lanBind, () =>
    openUdpTcpTransport({ ...lanBind, advertise: { host: config.advertiseHost } }),
  );
  await using lanPool = await openSerf({
    name: config.nodeName,
    tags: serverTags({
      datacenter,
      nodeId: self.ID,
      serverPort: config.serverPort,
      build: buildTag,
      tls: true,
      wanJoinPort: config.wanPort,
    }),
    transport: lanTransport,
    keyring: ring(config),
    memberlist: lanGossip(config),
    config: lanSerf(config),
    refuseMember: refuseOtherDatacenters(datacenter),
    clock,
    rng,
    randomBytes,
    log: room('serf.lan'),
  });

  // One port for all who come: type byte, or TLS with ALPN.
  const foreign = new ForeignConnections(datacenter, wallMs);
  const serverBind = { host: config.bindHost, port: config.serverPort };
  const openDoor = () =>
    openFrontDoor({
      bind: serverBind,
      tls,
      policy: config.tls,
      domain,
      handshakeTimeoutMs: config.handshakeTimeoutMs,
      perClientConnectionsMax: config.connsPerClientMax,
      onRefused: (refusal) => log.warn({ room: 'door', ...refusal }, refusal.detail),
      clock,
      alpn: {
        [alpn.rpcMulti]: foreign.noting((conn) =>
          serveMulti(conn.stream, registry, { peer: conn.peer, clock }),
        ),
        [alpn.rpcSingle]: foreign.noting((conn) =>
          serveSingle(conn.stream, registry, { peer: conn.peer, clock }),
        ),
        [alpn.wanGossipPacket]: foreign.noting((conn) => transport.ingestPackets(conn)),
        [alpn.wanGossipStream]: foreign.noting((conn) => transport.ingestStream(conn)),
      },
      typeBytes: {
        [typeBytes.rpc]: (conn) => serveSingle(conn.stream, registry, { peer: conn.peer, clock }),
        [typeBytes.rpcMulti]: (conn) => serveMulti(conn.stream, registry, { peer: conn.peer, clock }),
      },
    });
  await using door = await binding('ports.server', serverBind, openDoor);

  // Here the strip closes, and here alone. Routes come from state, state from replication, replication from RPC, RPC
  // from members, members from gossip, and gossip from routes: none of these rooms has heard of the next.
  await using duties = await openLeaderDuties({ config, world, fsm, ask, locator, router, self, log });
  using reach = new Reach({
    clock,
    rng,
    meet: (to, signal) => meet(wanPool, to, config.wanPort, signal),
    worthTrying: (to) => locator.waysTo(to).length > 0,
    met: (to, tries) => {
      logMeeting(log, to, tries);
      duties.wake();
    },
    failed: (to, tries, error) => logFailedMeeting(log, to, tries, error),
  });
  using _routes = locator.onRoutes((changed) =>
    followRoutes(changed, { datacenter, transport, pool, reach }),
  );
  using _reachable = locator.onReachable(() => duties.wake());
  using _lost = wanPool.events((event) => meetAgain(event, { datacenter, router, reach }));
  using _known = fsm.watch(
    (store) => store.federationStates().rows,
    (states) => locator.hear({ kind: 'states', states }),
  );
  using _own = fsm.watch(
    (store) => store.serviceKind('mesh-gateway').rows,
    (gateways) => locator.hear({ kind: 'localGateways', gateways }),
  );
  await using _found = openDiscovery({
    entries: config.primaryGateways,
    intervalMs: config.primaryGatewaysIntervalMs,
    clock,
    rng,
    onAddresses: (addresses) => locator.hear({ kind: 'fallbacks', addresses }),
    onEntry: discoveryReports(log),
  });
  if (primary !== datacenter) reach.want(primary);

  // For gateways and for people.
  const openXds = () =>
    openXdsServer({
      bind: config.grpc,
      watchGateway: watchGateways({ datacenter, domain, fsm }),
      clock,
      log: room('xds'),
    });
  await using xds = await binding('ports.grpc', config.grpc, openXds);
  using agent = new Agent({
    node: self,
    fsm,
    clock,
    probe: probeNetwork,
    failed: (what, err) => log.error({ room: 'agent', err }, what),
  });
  const rooms: Rooms = {
    config,
    fsm,
    router,
    locator,
    pool,
    door,
    transport,
    reach,
    wallMs,
    serverAddress,
    nodeId: self.ID,
    wan: wanPool,
    lan: lanPool,
    grpcPort: xds.address.port,
    certificateExpiresAtMs: identity.expiresAtMs,
  };
  const openApi = () =>
    openHttp({
      bind: config.http,
      failed: (request) => tellFailedRequest(log, request),
      routes: [
        ...readRoutes({ datacenter, ask }),
        ...agentRoutes({
          datacenter,
          nodeName: config.nodeName,
          agent,
          members: (wanToo) => (wanToo ? wanPool : lanPool).members(),
          self: () => selfView(rooms),
          metrics: () => metricsView(rooms),
          federation: () => federationView(rooms),
          foreignConnections: () => ({ ...foreign.report(), gossipPort: transport.stats().home }),
          leave: () => stop.request({ leave: true, why: 'asked over HTTP' }),
          forceLeave: (name, o) => forceLeave(o.wan ? wanPool : lanPool, name, o.prune),
          reload,
        }),
      ],
    });
  await using http = await binding('ports.http', config.http, openApi);
  using _hangup = onHangup(reload, log);

  log.info(
    {
      room: 'server',
      datacenter,
      node: config.nodeName,
      http: http.address,
      grpc: xds.address,
      server: door.address,
    },
    'up',
  );
  process.stdout.write(
    `server ${config.nodeName} of ${datacenter} is up: HTTP http://${http.address.host}:${http.address.port}, server port ${door.address.port}\n`,
  );

  const reason = await stopped(stop.signal);
  log.info({ room: 'server', ...reason }, 'stopping');
  await leaveIfAsked(reason, [wanPool, lanPool], log);
}
