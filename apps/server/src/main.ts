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
import { abroadPool, createAbroad } from './abroad.ts';
import { Access } from './acl/access.ts';
import { guardingGateways } from './acl/gateway-guard.ts';
import { askingAs, processToken } from './acl/own-questions.ts';
import { Agent } from './agent/agent.ts';
import { probeNetwork } from './agent/probe.ts';
import { aroundEndpoints } from './around-endpoints.ts';
import { binding } from './binding.ts';
import { catalogWriteEndpoints } from './catalog-writes/endpoints.ts';
import type { StopReason } from './commands/server-command.ts';
import type { Config } from './config/config.ts';
import { Authority } from './connect-ca/authority.ts';
import { dialAbroad } from './dial-abroad.ts';
import { dialRpc } from './dial-rpc.ts';
import { ForeignConnections } from './foreign-connections.ts';
import { GatewayNews, tellGateways } from './gateway-news.ts';
import { watchGateways } from './gateway-worlds.ts';
import { lanGossip, lanSerf, ring, wanGossip, wanSerf } from './gossip-config.ts';
import { agentRoutes } from './http/agent.ts';
import { catalogWriteRoutes } from './http/catalog-writes.ts';
import { openListeners } from './http/listeners.ts';
import { meshRoutes } from './http/mesh.ts';
import { operatorRoutes } from './http/operator.ts';
import { readRoutes } from './http/reads.ts';
import { createApi } from './http/server.ts';
import { snapshotRoutes } from './http/snapshot.ts';
import { readIdentity, readNodeId, usingDataDir } from './identity.ts';
import { openLeaderDuties } from './leader.ts';
import { leaveIfAsked, onHangup, stopped } from './lifecycle.ts';
import { discoveryReports, type Log, logEvents, roomLog, tellFailedRequest, tellHealth } from './log.ts';
import { Reach } from './reach.ts';
import { Router } from './router.ts';
import { openRouterHealth, pingMsMax } from './router-health.ts';
import { answering } from './rpc/answering.ts';
import { createAsk } from './rpc/ask.ts';
import { Callers } from './rpc/callers.ts';
import { catalogEndpoints } from './rpc/catalog.ts';
import { configEntryEndpoints } from './rpc/config-entry.ts';
import { connectCaEndpoints } from './rpc/connect-ca.ts';
import { coordinateEndpoints } from './rpc/coordinate.ts';
import { federationStateEndpoints } from './rpc/federation-state.ts';
import { intentionEndpoints } from './rpc/intention.ts';
import { internalEndpoints } from './rpc/internal.ts';
import { statusEndpoints } from './rpc/status.ts';
import { ownNode } from './self-rows.ts';
import { takePlace } from './snapshot/take-place.ts';
import { serverTags } from './tags.ts';
import { buildTag, version } from './version.ts';
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
  const gatewayDialer = createGatewayDialer({
    tls,
    domain,
    clock,
    waysTo: (to) => locator.waysTo(to),
    learned: (lesson) => locator.hear({ kind: 'tried', ...lesson }),
  });
  const abroadDialer = dialAbroad({ dialer: gatewayDialer, locator, clock });

  // What we ask of others, and what we answer.
  const router = new Router(rng);
  await using pool = openRpcPool({
    clock,
    dial: dialRpc({ config, tls, abroad: abroadDialer }),
    ...abroadPool,
  });
  const callers = new Callers({ datacenter, domain, verify: config.verifyServerDatacenter });
  const authority = new Authority({ datacenter, primary, fsm, maker: { randomBytes, now: wallMs } });
  const own = processToken(randomBytes);
  const access = new Access({ ...config.acl, tokens: [...config.acl.tokens, own] });
  const answers = {
    ...statusEndpoints({ address: serverAddress, fsm }),
    ...catalogEndpoints({
      ...config,
      fsm,
      datacenters: () => nearestFirst(datacenter, router.datacenters()),
    }),
    ...federationStateEndpoints({ ...config, fsm, wallMs, callers }),
    ...internalEndpoints({ ...config, fsm }),
    ...connectCaEndpoints({ ...config, fsm, authority, callers }),
    ...configEntryEndpoints({ ...config, fsm }),
    ...intentionEndpoints({ ...config, fsm }),
    ...coordinateEndpoints({ ...config, fsm, wan: () => wanPool }),
    ...catalogWriteEndpoints({ datacenter, fsm }),
  };
  const endpoints = aroundEndpoints(answers, { access, datacenter, fsm });
  const ask = createAsk({
    datacenter,
    primary,
    endpoints,
    cameFrom: (caller) => callers.abroad(caller),
    abroad: createAbroad({
      ...config,
      router,
      pool,
      locator,
      clock,
      lost: (to) => transport.dropDatacenter(to),
      log: room('rpc'),
    }),
  });
  const registry = answering(endpoints, ask);
  const askPrimary = askingAs(primary === datacenter ? own.secret : config.acl.ownSecret, ask);

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
  await using duties = await openLeaderDuties({
    config,
    world,
    fsm,
    ask: askPrimary,
    locator,
    router,
    self,
    authority,
    log,
  });
  await using _health = openRouterHealth({
    datacenter,
    router,
    ping: (target, signal) => pool.call(target, 'Status.Ping', {}, { timeoutMs: pingMsMax, signal }),
    onRound: (round) => tellHealth(log, round),
    clock,
    rng,
  });
  using reach = new Reach({
    clock,
    rng,
    meet: (to, signal) => meet(wanPool, to, config.wanPort, signal),
    worthTrying: (to) => locator.waysTo(to).length > 0,
    met: (to, tries) => {
      logMeeting(log, to, tries);
      transport.dropDatacenter(to);
      duties.wake();
    },
    failed: (to, tries, error) => logFailedMeeting(log, to, tries, error),
  });
  using _routes = locator.onRoutes((changed) =>
    followRoutes(changed, { datacenter, transport, pool, reach }),
  );
  using _reachable = locator.onReachable(() => duties.wake());
  using _lost = wanPool.events((event) => meetAgain(event, { datacenter, router, reach }));
  const news = new GatewayNews({ primary, locator });
  using _news = wanPool.events((event) => news.event(event));
  news.members(wanPool.members());
  using _telling = tellGateways({
    datacenter,
    primary,
    fsm,
    pool: wanPool,
    failed: (err) => log.warn({ room: 'wan', err }, 'could not tell our gateways over gossip'),
  });
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
      watchGateway: guardingGateways(watchGateways({ datacenter, domain, fsm }), access, (refusal) =>
        log.warn({ room: 'xds' }, refusal),
      ),
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
  const api = createApi({
    authorizer: (secret) => access.authorizer(secret),
    defaultPolicy: access.defaultPolicy,
    failed: (request) => tellFailedRequest(log, request),
    routes: [
      ...readRoutes({ datacenter, nodeName: config.nodeName, ask }),
      ...catalogWriteRoutes({ datacenter, ask }),
      ...meshRoutes({ datacenter, nodeName: config.nodeName, ask }),
      ...operatorRoutes({
        datacenter,
        nodeName: config.nodeName,
        nodeId: self.ID,
        address: serverAddress,
        version,
        since: new Date(wallMs()).toISOString(),
        log: () => ({ ...fsm.engine.leadership(), ...fsm.engine.stats() }),
      }),
      ...snapshotRoutes({
        datacenter,
        fsm,
        server: { id: self.ID, address: serverAddress },
        wallMs,
        restored: () => takePlace({ fsm, self, serverPort: config.serverPort, agent }),
      }),
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
  await using http = await openListeners({ config, identity: tls, serve: api });
  using _hangup = onHangup(reload, log);

  log.info(
    {
      room: 'server',
      datacenter,
      node: config.nodeName,
      http: http.urls,
      grpc: xds.address,
      server: door.address,
    },
    'up',
  );
  process.stdout.write(
    `server ${config.nodeName} of ${datacenter} is up: HTTP ${http.urls.join(' and ')}, server port ${door.address.port}\n`,
  );

  const reason = await stopped(stop.signal);
  log.info({ room: 'server', ...reason }, 'stopping');
  await leaveIfAsked(reason, [wanPool, lanPool], log);
}
