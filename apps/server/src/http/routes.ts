/**
 * routes.ts: every path this server answers over HTTP, in one table.
 *
 * Must not live here: an answer (the files beside this one), listening (listeners.ts).
 */
import type { Agent } from '../agent/agent.ts';
import type { ForeignConnections } from '../foreign-connections.ts';
import type { Ask } from '../rpc/ask.ts';
import { takePlace } from '../snapshot/take-place.ts';
import { federationView } from '../status/federation-view.ts';
import { metricsView, type Rooms, selfView } from '../views.ts';
import { forceLeave } from '../wan-members.ts';
import { type AgentRoutesOptions, agentRoutes } from './agent.ts';
import { catalogWriteRoutes } from './catalog-writes.ts';
import { configEntryRoutes } from './config-entries.ts';
import { eventRoutes } from './events.ts';
import { keyringRoutes } from './keyring.ts';
import { meshRoutes } from './mesh.ts';
import { type MonitorOptions, monitorRoutes } from './monitor.ts';
import { operatorRoutes } from './operator.ts';
import { readRoutes } from './reads.ts';
import type { HttpRoute } from './server.ts';
import { snapshotRoutes } from './snapshot.ts';
import { xdsRoutes } from './xds.ts';

export interface RoutesOptions {
  readonly rooms: Rooms;
  readonly ask: Ask;
  readonly agent: Agent;
  readonly foreign: ForeignConnections;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly watchLog: MonitorOptions['watch'];
  /** Says goodbye and ends the process. */
  readonly leave: () => void;
  readonly reload: AgentRoutesOptions['reload'];
}

export function serverRoutes(o: RoutesOptions): readonly HttpRoute[] {
  const { rooms, ask, agent, foreign } = o;
  const { config, fsm, self, serverAddress, wallMs, wan, lan } = rooms;
  const { datacenter, nodeName } = config;
  return [
    ...readRoutes({ datacenter, nodeName, ask }),
    ...catalogWriteRoutes({ datacenter, ask }),
    ...configEntryRoutes({ datacenter, nodeName, ask, primary: config.primary }),
    ...meshRoutes({ datacenter, nodeName, ask }),
    ...operatorRoutes({ datacenter, ask }),
    ...snapshotRoutes({
      datacenter,
      fsm,
      server: { id: self.ID, address: serverAddress },
      wallMs,
      restored: () => takePlace({ fsm, self, serverPort: config.serverPort }),
    }),
    ...eventRoutes({ ...config, ask, book: rooms.events, clock: rooms.clock, randomBytes: o.randomBytes }),
    ...keyringRoutes({ datacenter, ask, datacenters: () => rooms.router.datacenters() }),
    ...monitorRoutes({ nodeName, watch: o.watchLog }),
    ...xdsRoutes({ nodeName, gateways: rooms.gateways, now: () => rooms.clock.now() }),
    ...agentRoutes({
      datacenter,
      nodeName,
      agent,
      join: (target) => lan.join([target], { ignoreOld: true }),
      members: (wanToo) => (wanToo ? wan : lan).members(),
      self: () => selfView(rooms),
      metrics: () => metricsView(rooms),
      metricsPrefix: config.metricsPrefix,
      wallMs,
      federation: () => federationView(rooms),
      foreignConnections: () => ({ ...foreign.report(), gossipPort: rooms.transport.stats().home }),
      leave: o.leave,
      forceLeave: (name, to) => forceLeave(to.wan ? wan : lan, name, to.prune),
      reload: o.reload,
    }),
  ];
}
