/**
 * views.ts: what the server says of itself: configuration, counters, and how each datacenter is reached.
 *
 * Lives here: shapes of answers, nothing secret in them. Must not live here: how the numbers come about.
 */
import { type Fsm, goDuration, type NodeRow } from '@fed/fsm';
import type { Locator, Mode } from '@fed/gateway-locator';
import type { RpcPool } from '@fed/rpc';
import type { Serf } from '@fed/serf';
import type { WanfedTransport } from '@fed/wanfed-transport';
import type { Config } from './config/config.ts';
import type { EventBook } from './events/event-book.ts';
import type { GatewayPlane } from './gateway-plane.ts';
import { memberJson } from './http/agent.ts';
import type { LanServers } from './lan/servers.ts';
import type { Reach } from './reach.ts';
import type { Router } from './router.ts';
import { lastContact, leaderAddress } from './rpc/status.ts';
import type { ServerDoor } from './server-door.ts';
import type { Standing } from './standing.ts';
import { federationView } from './status/federation-view.ts';
import type { Labels, Metric } from './status/metrics.ts';
import type { Observed } from './status/observed.ts';
import { buildTag, version } from './version.ts';
import type { World } from './world.ts';

export interface Rooms {
  /** As it started; `standing` has what a reload has changed since. */
  readonly config: Config;
  readonly standing: Pick<Standing, 'config' | 'certificateExpiresAtMs'>;
  /** This server's own row. */
  readonly self: NodeRow;
  readonly fsm: Fsm;
  readonly router: Router;
  readonly servers: LanServers;
  readonly locator: Locator;
  readonly pool: RpcPool;
  readonly door: ServerDoor;
  readonly wan: Serf;
  readonly lan: Serf;
  readonly transport: WanfedTransport;
  readonly reach: Reach;
  readonly observed: Observed;
  readonly gateways: GatewayPlane;
  readonly events: EventBook;
  readonly clock: World['clock'];
  readonly wallMs: () => number;
  readonly serverAddress: string;
}

export function selfView(r: Rooms): unknown {
  const { config } = r.standing;
  const { ports } = r.gateways;
  return {
    Config: {
      Datacenter: config.datacenter,
      PrimaryDatacenter: config.primary,
      NodeName: config.nodeName,
      NodeID: r.self.ID,
      Server: true,
      Revision: '',
      Version: version,
      BuildTag: buildTag,
    },
    DebugConfig: {
      ConnectEnabled: true,
      ConnectMeshGatewayWANFederationEnabled: true,
      PrimaryDatacenter: config.primary,
      // Discovery strings may hold secrets; addresses do not.
      PrimaryGateways: config.primaryGateways.map((entry) =>
        entry.includes('provider=') ? 'provider=…' : entry,
      ),
      PrimaryGatewaysInterval: goDuration(config.primaryGatewaysIntervalMs * 1e6),
      VerifyIncoming: config.tls.verifyIncoming,
      VerifyOutgoing: config.tls.verifyOutgoing,
      VerifyServerHostname: config.tls.verifyServerHostname,
      EncryptKey: config.gossipKey === undefined ? '' : 'hidden',
    },
    Coord: null,
    Member: memberJson(r.lan.local()),
    Stats: statsView(r),
    Meta: config.nodeMeta,
    xDS: { Port: ports.plain, Ports: { Plaintext: ports.plain, TLS: ports.tls } },
  };
}

function statsView(r: Rooms): Record<string, Record<string, string>> {
  const engine = r.fsm.engine.stats();
  const leadership = r.fsm.engine.leadership();
  return {
    build: { version },
    consul: {
      acl: r.config.acl.enabled ? 'enabled' : 'disabled',
      bootstrap: String(r.config.engine.type === 'embedded'),
      known_datacenters: String(r.router.datacenters().length),
      leader: String(leadership.leader),
      leader_addr: leaderAddress({ address: r.serverAddress, fsm: r.fsm }),
      server: 'true',
    },
    log: {
      engine: r.config.engine.type,
      state: leadership.leader ? 'Leader' : 'Follower',
      last_contact: lastContact(r.fsm.engine.lastContactMs()),
      num_peers: String(Math.max(0, r.servers.all().length - 1)),
      applied_index: String(r.fsm.stats().appliedIndex),
      last_index: String(engine.lastIndex),
      snapshot_index: String(engine.snapshotIndex),
      log_bytes: String(engine.logBytes),
      term: String(leadership.term),
      refusing: engine.refusing ?? '',
    },
    runtime: {
      arch: process.arch,
      os: process.platform,
      version: process.version,
      rss_mib: (process.memoryUsage.rss() / 2 ** 20).toFixed(1),
    },
    serf_lan: r.lan.stats(),
    serf_wan: r.wan.stats(),
  };
}

export function metricsView(r: Rooms): readonly Metric[] {
  const out: Metric[] = [...r.observed.metrics.read()];
  const put = (name: string, value: number, labels?: Labels, kind: Metric['kind'] = 'gauge'): void =>
    void out.push({ name, value, kind, ...(labels && { labels }) });
  put('process.rss_bytes', process.memoryUsage.rss());
  put('process.uptime_seconds', Math.round(process.uptime()));
  put('tls.certificate_expiry_seconds', Math.round((r.standing.certificateExpiresAtMs - r.wallMs()) / 1000));
  for (const [pool, serf] of [
    ['lan', r.lan],
    ['wan', r.wan],
  ] as const) {
    for (const status of ['alive', 'leaving', 'left', 'failed'] as const)
      put('serf.members', serf.members().filter((m) => m.status === status).length, { pool, status });
    const { drops, ...gossip } = serf.memberlist.stats();
    for (const [name, value] of Object.entries(gossip))
      put(`memberlist.${snake(name)}`, value, { pool }, levels.has(name) ? 'gauge' : 'counter');
    for (const [code, value] of Object.entries(drops))
      put('memberlist.drops', value, { pool, code }, 'counter');
    for (const [code, value] of Object.entries(serf.warnings()))
      put('serf.warnings', value, { pool, code }, 'counter');
  }
  const door = r.door.front.stats();
  for (const [name, value] of Object.entries(door))
    if (typeof value === 'number')
      put(`door.${snake(name)}`, value, undefined, levels.has(name) ? 'gauge' : 'counter');
  for (const [code, value] of Object.entries(door.refused))
    put('door.refused', value ?? 0, { code }, 'counter');
  const { peerFaults, ended, ...served } = r.door.rpc.stats();
  for (const [name, value] of Object.entries(served))
    put(`rpc.server.${snake(name)}`, value, undefined, levels.has(name) ? 'gauge' : 'counter');
  for (const [code, value] of Object.entries(peerFaults))
    put('rpc.server.peer_faults', value, { code }, 'counter');
  for (const [code, value] of Object.entries(ended)) put('rpc.server.ended', value, { code }, 'counter');
  for (const { datacenter, calls, failures, failingFast } of r.pool.stats().datacenters) {
    put('rpc.pool.calls_running', calls, { datacenter });
    put('rpc.pool.dial_failures', failures, { datacenter });
    put('rpc.pool.failing_fast', failingFast ? 1 : 0, { datacenter });
  }
  const wanfed = r.transport.stats();
  for (const [datacenter, counts] of Object.entries(wanfed.datacenters))
    for (const [name, value] of Object.entries(counts))
      put(`wanfed.${snake(name)}`, value, { datacenter }, 'counter');
  for (const [name, value] of Object.entries(wanfed.home))
    put(`wanfed.home.${snake(name)}`, value, undefined, 'counter');
  put('wanfed.connections', wanfed.connectionsOut, { direction: 'out' });
  put('wanfed.connections', wanfed.connectionsIn, { direction: 'in' });
  put('wanfed.packets_queued', wanfed.packetsQueued);
  putFederation(r, put);
  const engine = r.fsm.engine.stats();
  for (const [name, value] of Object.entries(engine))
    if (typeof value === 'number') put(`log.${snake(name)}`, value);
  put('fsm.parked_queries', r.fsm.stats().parked);
  return out;
}

/** Statistics of rooms that are levels; the others only grow. */
const levels: ReadonlySet<string> = new Set([
  'open',
  'handshaking',
  'addressesWatched',
  'pushPullsInProgress',
  'broadcastsQueued',
  'inboxQueued',
  'callsRunning',
  'streams',
]);

/** How we go, as one number per datacenter: not at all, by configured or remembered addresses, by records, by own gateways. */
const modeNumbers: Readonly<Record<Mode, number>> = {
  none: 0,
  history: 1,
  fallback: 1,
  gossip: 1,
  replicated: 2,
  local: 3,
};

function putFederation(
  r: Rooms,
  put: (name: string, value: number, labels?: Labels, kind?: Metric['kind']) => void,
): void {
  const { troubles, datacenters } = federationView(r);
  put('federation.troubles', troubles.length);
  for (const [datacenter, row] of Object.entries(datacenters)) {
    const seconds = (ms: number): number => Math.round(ms / 1000);
    if (row.federationState !== null)
      put('federation_state.age_seconds', seconds(row.federationState.ageMs), { datacenter });
    if (row.certificateDaysLeft !== null)
      put('federation.certificate_days_left', row.certificateDaysLeft, { datacenter });
    for (const [status, count] of Object.entries(row.members))
      put('federation.members', count, { datacenter, status });
    if (row.route === null) continue;
    put('locator.mode', modeNumbers[row.route.mode], { datacenter });
    for (const standing of ['untried', 'good', 'due', 'resting'] as const)
      put('locator.candidates', row.route.candidates.filter((c) => c.standing === standing).length, {
        datacenter,
        standing,
      });
    if (row.reachedMsAgo !== null)
      put('federation.reached_seconds_ago', seconds(row.reachedMsAgo), { datacenter });
    if (row.heardMsAgo !== null) put('federation.heard_seconds_ago', seconds(row.heardMsAgo), { datacenter });
  }
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
