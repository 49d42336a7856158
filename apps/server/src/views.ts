/**
 * views.ts: what the server says of itself: configuration, counters, and how each datacenter is reached.
 *
 * Lives here: shapes of answers, nothing secret in them. Must not live here: how the numbers come about.
 */
import { type Fsm, goDuration, type NodeRow } from '@fed/fsm';
import type { Locator } from '@fed/gateway-locator';
import { goTimeToUnixMs } from '@fed/msgpack';
import type { RpcPool } from '@fed/rpc';
import type { Serf } from '@fed/serf';
import type { WanfedTransport } from '@fed/wanfed-transport';
import type { Config } from './config/config.ts';
import type { GatewayPlane } from './gateway-plane.ts';
import { memberJson } from './http/agent.ts';
import type { Reach } from './reach.ts';
import type { Router } from './router.ts';
import type { ServerDoor } from './server-door.ts';
import { buildTag, version } from './version.ts';
import type { World } from './world.ts';

export interface Rooms {
  readonly config: Config;
  /** This server's own row. */
  readonly self: NodeRow;
  readonly fsm: Fsm;
  readonly router: Router;
  readonly locator: Locator;
  readonly pool: RpcPool;
  readonly door: ServerDoor;
  readonly wan: Serf;
  readonly lan: Serf;
  readonly transport: WanfedTransport;
  readonly reach: Reach;
  readonly gateways: GatewayPlane;
  readonly clock: World['clock'];
  readonly certificateExpiresAtMs: number;
  readonly wallMs: () => number;
  readonly serverAddress: string;
}

export function selfView(r: Rooms): unknown {
  const { config } = r;
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
      bootstrap: 'true',
      known_datacenters: String(r.router.datacenters().length),
      leader: String(leadership.leader),
      leader_addr: r.serverAddress,
      server: 'true',
    },
    log: {
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

/** Per known datacenter: who is there, what it publishes, which way leads there and why. */
export function federationView(r: Rooms): Record<string, unknown> {
  const states = r.fsm.store.federationStates().rows;
  const names = new Set([
    r.config.datacenter,
    r.config.primary,
    ...r.router.datacenters(),
    ...states.map((s) => s.Datacenter),
  ]);
  const now = r.wallMs();
  return Object.fromEntries(
    [...names].sort().map((datacenter) => {
      const state = states.find((s) => s.Datacenter === datacenter);
      return [
        datacenter,
        {
          primary: datacenter === r.config.primary,
          own: datacenter === r.config.datacenter,
          servers: r.router.servers(datacenter).map((s) => ({ name: s.name, alive: s.alive })),
          federationState:
            state === undefined
              ? null
              : {
                  gateways: state.MeshGateways?.length ?? 0,
                  ageMs: Math.max(0, now - goTimeToUnixMs(state.UpdatedAt)),
                },
          tryingToMeet: r.reach.pending().includes(datacenter),
          route: datacenter === r.config.datacenter ? null : r.locator.explain(datacenter),
        },
      ];
    }),
  );
}

export interface Metric {
  readonly name: string;
  readonly value: number;
  readonly labels?: Readonly<Record<string, string>>;
}

export function metricsView(r: Rooms): readonly Metric[] {
  const out: Metric[] = [];
  const put = (name: string, value: number, labels?: Readonly<Record<string, string>>): void =>
    void out.push(labels === undefined ? { name, value } : { name, value, labels });
  put('process.rss_bytes', process.memoryUsage.rss());
  put('process.uptime_seconds', Math.round(process.uptime()));
  put('tls.certificate_expiry_seconds', Math.round((r.certificateExpiresAtMs - r.wallMs()) / 1000));
  for (const [pool, serf] of [
    ['lan', r.lan],
    ['wan', r.wan],
  ] as const) {
    for (const status of ['alive', 'leaving', 'left', 'failed'] as const)
      put('serf.members', serf.members().filter((m) => m.status === status).length, { pool, status });
    const { drops, ...gossip } = serf.memberlist.stats();
    for (const [name, value] of Object.entries(gossip)) put(`memberlist.${snake(name)}`, value, { pool });
    for (const [code, value] of Object.entries(drops)) put('memberlist.drops', value, { pool, code });
  }
  const door = r.door.front.stats();
  for (const [name, value] of Object.entries(door))
    if (typeof value === 'number') put(`door.${snake(name)}`, value);
  for (const [code, value] of Object.entries(door.refused)) put('door.refused', value ?? 0, { code });
  const { peerFaults, ended, ...served } = r.door.rpc.stats();
  for (const [name, value] of Object.entries(served)) put(`rpc.server.${snake(name)}`, value);
  for (const [code, value] of Object.entries(peerFaults)) put('rpc.server.peer_faults', value, { code });
  for (const [code, value] of Object.entries(ended)) put('rpc.server.ended', value, { code });
  for (const { datacenter, calls, failures, failingFast } of r.pool.stats().datacenters) {
    put('rpc.pool.calls_running', calls, { datacenter });
    put('rpc.pool.dial_failures', failures, { datacenter });
    put('rpc.pool.failing_fast', failingFast ? 1 : 0, { datacenter });
  }
  const wanfed = r.transport.stats();
  for (const [datacenter, counts] of Object.entries(wanfed.datacenters))
    for (const [name, value] of Object.entries(counts)) put(`wanfed.${snake(name)}`, value, { datacenter });
  for (const [name, value] of Object.entries(wanfed.home)) put(`wanfed.home.${snake(name)}`, value);
  const engine = r.fsm.engine.stats();
  for (const [name, value] of Object.entries(engine))
    if (typeof value === 'number') put(`log.${snake(name)}`, value);
  put('fsm.parked_queries', r.fsm.stats().parked);
  for (const state of r.fsm.store.federationStates().rows)
    put(
      'federation_state.age_seconds',
      Math.max(0, Math.round((r.wallMs() - goTimeToUnixMs(state.UpdatedAt)) / 1000)),
      {
        datacenter: state.Datacenter,
      },
    );
  return out;
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
