/**
 * endpoints.ts: every method this server answers, in one table.
 *
 * Must not live here: an answer (the files beside this one), what surrounds all answers (around-endpoints.ts).
 */
import type { Fsm } from '@fed/fsm';
import type { Serf } from '@fed/serf';
import { catalogWriteEndpoints } from '../catalog-writes/endpoints.ts';
import type { Config } from '../config/config.ts';
import type { Authority } from '../connect-ca/authority.ts';
import type { LanServers } from '../lan/servers.ts';
import type { Router } from '../router.ts';
import { nearestFirst } from '../wan-members.ts';
import type { Endpoint } from './ask.ts';
import type { Callers } from './callers.ts';
import { catalogEndpoints } from './catalog.ts';
import { configEntryEndpoints } from './config-entry.ts';
import { connectCaEndpoints } from './connect-ca.ts';
import { coordinateEndpoints } from './coordinate.ts';
import { federationStateEndpoints } from './federation-state.ts';
import { intentionEndpoints } from './intention.ts';
import { internalEndpoints } from './internal.ts';
import { keyringEndpoints } from './keyring.ts';
import { type OperatorOptions, operatorEndpoints } from './operator.ts';
import { statusEndpoints } from './status.ts';

export interface EndpointsOptions {
  readonly config: Config;
  /** `host:port` other servers of this datacenter find this one at. */
  readonly serverAddress: string;
  readonly fsm: Fsm;
  readonly router: Router;
  readonly servers: LanServers;
  readonly callers: Callers;
  readonly authority: Authority;
  readonly wan: () => Serf;
  readonly lan: () => Serf;
  readonly health: OperatorOptions['health'];
  readonly wallMs: () => number;
}

export function serverEndpoints(o: EndpointsOptions): Readonly<Record<string, Endpoint>> {
  const { fsm, router, servers, callers, authority, wan, lan, wallMs } = o;
  const { datacenter } = o.config;
  const reading = { ...o.config, fsm };
  return {
    ...statusEndpoints({
      address: o.serverAddress,
      fsm,
      peers: () => servers.all().map(({ address }) => address),
    }),
    ...catalogEndpoints({
      ...reading,
      datacenters: () => nearestFirst(datacenter, router.datacenters()),
    }),
    ...federationStateEndpoints({ ...reading, wallMs, callers }),
    ...internalEndpoints({ ...reading, lan }),
    ...keyringEndpoints({ datacenter, lan, wan }),
    ...operatorEndpoints(o),
    ...connectCaEndpoints({ ...reading, authority, callers }),
    ...configEntryEndpoints({ ...reading, callers }),
    ...intentionEndpoints(reading),
    ...coordinateEndpoints({ ...reading, wan }),
    ...catalogWriteEndpoints({ datacenter, fsm }),
  };
}
