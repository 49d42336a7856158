/**
 * main.ts: the hallway. Every room is opened here, in the order the story is told, and closed in reverse.
 *
 * The circle of federation closes in this file and nowhere else: gossip needs a route to other datacenters, routes
 * come from replicated state, replication needs RPC, RPC needs to know members, and members come from gossip.
 * Must not live here: decisions. An `if` in this file is a function missing from a package.
 */
import type { Duplex } from 'node:stream';
import { createGatewayDialer, type DialLesson } from '@fed/alpn-mux';
import { type Fsm, openFsm } from '@fed/fsm';
import { createLocator } from '@fed/gateway-locator';
import { openRpcPool } from '@fed/rpc';
import { openWanfedTransport } from '@fed/wanfed-transport';
import { abroadPool, createAbroad } from './abroad.ts';
import { Access } from './acl/access.ts';
import { askingAs, processToken } from './acl/own-questions.ts';
import { Agent } from './agent/agent.ts';
import { ownWrites } from './agent/own-writes.ts';
import { aroundEndpoints } from './around-endpoints.ts';
import { AskAround } from './ask-around.ts';
import type { StopReason } from './commands/server-command.ts';
import type { Config } from './config/config.ts';
import { Authority } from './connect-ca/authority.ts';
import { dialAbroad } from './dial-abroad.ts';
import { dialRpc } from './dial-rpc.ts';
import { Doubts } from './doubts.ts';
import { EventBook } from './events/event-book.ts';
import { ForeignConnections } from './foreign-connections.ts';
import { openGatewayPlane } from './gateway-plane.ts';
import { serverRoutes } from './http/routes.ts';
import { createApi } from './http/server.ts';
import { readNodeId } from './identity.ts';
import { openKnownAddresses } from './known-addresses.ts';
import { healthFrom } from './lan/health.ts';
import { joinNeighbours, openNeighbours } from './lan/neighbours.ts';
import { LanServers } from './lan/servers.ts';
import { tellAlone } from './lan/telling.ts';
import { openLeaderDuties } from './leader.ts';
import { leaveIfAsked, stopped, tellUp } from './lifecycle.ts';
import { openLocatorNews } from './locator-news.ts';
import { failedRequests, type Log, roomLog, tellHealth } from './log.ts';
import { usingLog } from './log-engine.ts';
import { setLogLevel, watchLog } from './log-sink.ts';
import { openLanPool, openWanPool, openWanSockets } from './pools.ts';
import { openProbing } from './probing.ts';
import { Reach } from './reach.ts';
import { Router } from './router.ts';
import { openRouterHealth, pingMsMax } from './router-health.ts';
import { answering } from './rpc/answering.ts';
import { type Ask, createAsk } from './rpc/ask.ts';
import { createAtHome } from './rpc/at-home.ts';
import { Callers } from './rpc/callers.ts';
import { serverEndpoints } from './rpc/endpoints.ts';
import { doorSettings, openServerDoor } from './server-door.ts';
import { ownNode } from './server-rows.ts';
import { Standing } from './standing.ts';
import { watchNames } from './status/name-claims.ts';
import { Observed } from './status/observed.ts';
import { timing } from './status/timing.ts';
import type { Rooms } from './views.ts';
import {
  followMembers,
  followRoutes,
  logFailedMeeting,
  logMeeting,
  meet,
  meetAgain,
  othersAlive,
  whyUnmet,
} from './wan-members.ts';
import type { World } from './world.ts';

export interface Stop {
  readonly signal: AbortSignal; // its reason is a StopReason
  readonly request: (reason: StopReason) => void;
}

/** What stands once the server is up, for whoever looks into it from the same process. */
export interface Running {
  readonly rooms: Rooms;
  readonly ask: Ask;
  readonly agent: Agent;
}

/** Resolves when everything is closed again. Throws ConfigError for what the operator can mend. */
export async function runServer(
  config: Config,
  world: World,
  stop: Stop,
  log: Log,
  up: (running: Running) => void = () => {},
): Promise<void> {
  const { clock, rng, randomBytes, wallMs, machine } = world;
  const { datacenter, primary, domain } = config;
  const room = (name: string) => roomLog(log, name, () => clock.now());
  const standing = new Standing(config, { machine, wallMs, log });
  const { tls } = standing;
  const serverAddress = `${config.advertiseHost}:${config.serverPort}`;
  const observed = new Observed({ datacenter, primary, world, log });
  const self = ownNode(config, readNodeId(config, randomBytes));
  const fail = (failed: Error): void => stop.request({ leave: false, why: failed.message, failed });

  // ---- Above and here, nothing is open. Below, each line opens something; leaving closes it, last first. ----

  // What we know: the log on disk, and the state it adds up to.
  const engine = machine.openLog(config, log, fail);
  await using fsm = await usingLog(() => openFsm({ engine, clock, rng }));

  // Which way out: the locator hears news and asks nobody. How to get there: the dialer, which tells it what it learned.
  const locator = createLocator({ datacenter, primary, clock, rng });
  const learned = (lesson: DialLesson): void => {
    locator.hear({ kind: 'tried', ...lesson });
    observed.dialled(lesson);
  };
  const gatewayDialer = createGatewayDialer({
    tls,
    domain,
    clock,
    waysTo: (to) => locator.waysTo(to),
    learned,
    closing: stop.signal,
    dialAlpn: machine.dialAlpn,
  });
  const router = new Router(rng);
  const doubts = new Doubts({ datacenter, primary, router });
  const abroadDialer = dialAbroad({
    dialer: gatewayDialer,
    locator,
    arrived: (to: string, socket: Duplex) => observed.arrived(to, socket),
    unreached: (to) => doubts.unreached(to),
    clock,
  });
  await using _probing = openProbing({
    locator,
    tls,
    domain,
    learned,
    dialAlpn: machine.dialAlpn,
    clock,
    rng,
  });

  // What we ask of others, and what we answer.
  await using pool = openRpcPool({
    clock,
    dial: dialRpc({
      config,
      policy: () => standing.config.tls,
      tls,
      abroad: abroadDialer,
      dialServer: machine.dialServer,
    }),
    ...abroadPool,
  });
  const servers = new LanServers(wallMs);
  const leaving = new AbortController();
  const callers = new Callers({
    datacenter,
    domain,
    verify: () => standing.config.verifyServerDatacenter,
    refused: (of, by, what) => observed.refusedWrite(of, by, what),
  });
  const authorityOn = (hand: Pick<Fsm, 'apply' | 'store'>) =>
    new Authority({ datacenter, primary, fsm: hand, maker: { randomBytes, now: wallMs } });
  const own = processToken(randomBytes);
  const withOwn = ({ acl }: Config) => ({ ...acl, tokens: [...acl.tokens, own] });
  const access = new Access(withOwn(config));
  const answers = serverEndpoints({
    config,
    serverAddress,
    fsm,
    router,
    servers,
    callers,
    authority: authorityOn(fsm),
    wan: () => wanPool,
    lan: () => lanPool,
    health: () => healthFrom({ ...config, servers, serverAddress, fsm, ask, pool }),
    wallMs,
  });
  const timed = timing(answers, { metrics: observed.metrics, now: () => clock.now() });
  const endpoints = aroundEndpoints(timed, { access, datacenter, fsm });
  const ask = createAsk({
    datacenter,
    primary,
    endpoints,
    cameFrom: (caller) => callers.abroad(caller),
    atHome: createAtHome({
      ...config,
      engine: fsm.engine,
      pool,
      nodeAt: (address) => servers.at(address)?.name,
      fromOwnServer: ({ caller }) => callers.isFellow(caller),
      leaving: leaving.signal,
      clock,
      rng,
    }),
    abroad: createAbroad({
      ...config,
      router,
      pool,
      locator,
      clock,
      lost: (to) => transport.dropDatacenter(to),
      observed,
      log: room('rpc'),
    }),
  });
  const registry = answering(endpoints, ask);
  const askPrimary = askingAs(
    () => (primary === datacenter ? own.secret : standing.config.acl.ownSecret),
    ask,
  );

  // The pools: our own datacenter directly, the others through gateways.
  const home = await openWanSockets(config, machine);
  const transport = await openWanfedTransport({
    datacenter,
    home,
    clock,
    rng,
    dial: (o) => abroadDialer.dial(o),
    doubted: ({ gateway, datacenter: to }) => {
      locator.hear({ kind: 'tried', gateway, datacenter: to, ok: false, code: 'unanswered', tookMs: 0 });
      observed.doubted(gateway, to);
    },
    silent: ({ datacenter: from }) => doubts.unanswered(from),
    log: room('wanfed'),
  });
  await using wanPool = await openWanPool({
    config,
    world,
    nodeId: self.ID,
    transport,
    onEvent: (event) => followMembers(event, router, pool),
    onAnswer: (name) => {
      transport.answered(name);
      observed.answered(name);
    },
    log: room('serf.wan'),
  });
  await using lanPool = await openLanPool({
    config,
    world,
    nodeId: self.ID,
    onEvent: (event) => servers.follow(event),
    foundAlone: (name, why) => tellAlone(log, name, why),
    log: room('serf.lan'),
  });

  // One port for all who come.
  const visited = (peer: Parameters<Observed['visited']>[0]): void => observed.visited(peer);
  const foreign = new ForeignConnections({ datacenter, wallMs, visited });
  using known = openKnownAddresses({ fsm, servers });
  await using door = await openServerDoor({ config, world, tls, registry, transport, foreign, known, log });

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
    authorityOn,
    lan: lanPool,
    observed,
    log,
  });
  const write = ownWrites({
    datacenter,
    node: config.nodeName,
    fsm,
    ask,
    secret: () => standing.config.acl.agentSecret,
    arriveMsMax: config.holdTimeoutMs,
  });
  await using _neighbours = openNeighbours({
    config,
    world,
    fsm,
    lan: lanPool,
    wan: wanPool,
    self,
    write,
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
  using around = new AskAround({
    clock,
    rng,
    others: () => othersAlive(datacenter, router),
    lost: () => reach.pending(),
    sync: (name, signal) => wanPool.sync(name, { signal }),
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
    failed: (to, tries, error) => {
      around.failed(to);
      logFailedMeeting(log, to, tries, whyUnmet(locator, to, error));
    },
  });
  using _routes = locator.onRoutes((changed) =>
    followRoutes(changed, { datacenter, primary, router, transport, pool, reach }),
  );
  using _reachable = locator.onReachable((to) => {
    pool.forgive(to);
    duties.wake();
  });
  using _doubts = doubts.listen((to) => reach.doubt(to));
  using _lost = wanPool.events((event) => meetAgain(event, { datacenter, router, reach }));
  await using news = openLocatorNews({ config, world, fsm, locator, wan: wanPool, observed, log });
  using _claims = watchNames({ datacenter, clock, wan: wanPool, lan: lanPool, observed });
  if (primary !== datacenter) reach.want(primary);

  // For gateways and for people.
  await using gateways = await openGatewayPlane({
    config,
    fsm,
    access,
    tls,
    clock,
    open: machine.openXds,
    log: room('xds'),
  });
  using agent = new Agent({
    node: self,
    fsm,
    write,
    clock,
    probe: machine.probe,
    failed: (what, err) => log.error({ room: 'agent', err }, what),
  });
  const events = new EventBook({ nodeName: config.nodeName, services: () => agent.services() });
  using _heard = lanPool.events((event) => events.heard(event));
  const rooms: Rooms = {
    config,
    standing,
    fsm,
    router,
    servers,
    locator,
    pool,
    door,
    transport,
    reach,
    observed,
    wallMs,
    serverAddress,
    self,
    wan: wanPool,
    lan: lanPool,
    gateways,
    events,
    clock,
  };
  const api = createApi({
    authorizer: (secret) => access.authorizer(secret),
    defaultPolicy: () => access.defaultPolicy,
    failed: failedRequests(log, () => clock.now()),
    routes: serverRoutes({
      rooms,
      ask,
      agent,
      foreign,
      randomBytes,
      watchLog: (level, put) => watchLog(log, level, put),
      leave: () => stop.request({ leave: true, why: 'asked over HTTP' }),
      reload: () => standing.reload(),
    }),
  });
  await using http = await machine.openHttp({
    config,
    verifyIncoming: () => standing.config.httpsVerifyIncoming,
    identity: tls,
    serve: api,
  });
  standing.follow((now) => {
    setLogLevel(log, now.logLevel);
    access.replace(withOwn(now));
    door.front.reconfigure(doorSettings(now));
    news.lookFor(now.primaryGateways);
  });
  using _hangup = machine.onHangup(() => standing.reload(), log);
  await using _join = await joinNeighbours({
    config,
    world,
    lan: lanPool,
    log,
    exhausted: fail,
  });

  tellUp(log, machine, { config, http: http.urls, grpc: gateways.ports, server: door.front.address });
  up({ rooms, ask, agent });

  const reason = await stopped(stop.signal);
  log.info({ room: 'server', ...reason }, 'stopping');
  await leaveIfAsked(reason, { leaving, engine: fsm.engine, pools: [wanPool, lanPool], log });
  if (reason.failed !== undefined) throw reason.failed;
}
