/**
 * federation-view.ts: the federation as this server sees it: one row per datacenter, and what an operator must mend.
 *
 * Served as /v1/agent/federation, shown by `fed info --federation` and `fed explain`.
 * Lives here: the shape of a row. Must not live here: how its facts come about.
 */
import type { Explanation } from '@fed/gateway-locator';
import { goTimeToUnixMs } from '@fed/msgpack';
import type { Rooms } from '../views.ts';
import { type Direction, directionOf } from './contacts.ts';
import type { Trouble } from './troubles.ts';

export interface FederationView {
  readonly datacenter: string;
  readonly primary: string;
  /** What only an operator can mend; oldest first. */
  readonly troubles: readonly Trouble[];
  readonly datacenters: Readonly<Record<string, DatacenterRow>>;
}

export interface DatacenterRow {
  readonly own: boolean;
  readonly primary: boolean;
  /** How we go there: `local`: through our own gateways; `none`: not at all. Null for our own. */
  readonly mode: Explanation['mode'] | null;
  /** Which directions worked lately: `out`: we reach it, and it does not reach us; `in`: the other way round. */
  readonly direction: Direction | null;
  /** Since a server of it last answered us, and since one last called us; null: never, or our own. */
  readonly reachedMsAgo: number | null;
  readonly heardMsAgo: number | null;
  /** Members of the WAN pool. */
  readonly members: { readonly alive: number; readonly failed: number; readonly left: number };
  readonly servers: readonly { readonly name: string; readonly alive: boolean }[];
  readonly federationState: {
    readonly gateways: number;
    readonly healthy: number;
    /** Since its datacenter stamped it, by both calendars. */
    readonly ageMs: number;
  } | null;
  /** Of the certificate one of its servers showed us last; of our own for our own. Null: none was seen. */
  readonly certificateDaysLeft: number | null;
  readonly tryingToMeet: boolean;
  readonly route: Explanation | null;
}

const dayMs = 86_400_000;
/** A datacenter of few members is heard every few seconds, one of many less often: by gossip's round of probes, and thrice. */
const latelyMsMin = 60_000;
const perMemberMs = 3 * 5_000;

export function federationView(r: Rooms): FederationView {
  const { datacenter, primary } = r.config;
  const states = r.fsm.store.federationStates().rows;
  const names = new Set([datacenter, primary, ...r.router.datacenters(), ...states.map((s) => s.Datacenter)]);
  return {
    datacenter,
    primary,
    troubles: r.observed.troubles.list(),
    datacenters: Object.fromEntries([...names].sort().map((name) => [name, row(r, name)])),
  };
}

function row(r: Rooms, datacenter: string): DatacenterRow {
  const own = datacenter === r.config.datacenter;
  const now = r.wallMs();
  const all = r.wan.members();
  const members = all.filter(({ tags }) => tags['dc'] === datacenter);
  const count = (status: string): number => members.filter((member) => member.status === status).length;
  const state = r.fsm.store.federationStates().rows.find((s) => s.Datacenter === datacenter);
  const gateways = state?.MeshGateways ?? [];
  const contact = r.observed.contacts.of(datacenter);
  const packetAt = r.transport.stats().heardAt[datacenter];
  const heard = [
    contact.heardMsAgo,
    packetAt === undefined ? undefined : Math.round(r.clock.now() - packetAt),
  ];
  const heardMsAgo = heard.filter((ms) => ms !== undefined).sort((a, b) => a - b)[0];
  const latelyMs = Math.max(latelyMsMin, perMemberMs * all.length);
  const expiresAtMs = own ? r.standing.certificateExpiresAtMs : contact.certificateExpiresAtMs;
  const route = own ? null : r.locator.explain(datacenter);
  return {
    own,
    primary: datacenter === r.config.primary,
    mode: route?.mode ?? null,
    direction: own ? null : directionOf({ ...contact, heardMsAgo }, latelyMs),
    reachedMsAgo: contact.reachedMsAgo ?? null,
    heardMsAgo: heardMsAgo ?? null,
    members: { alive: count('alive'), failed: count('failed'), left: count('left') },
    servers: r.router.servers(datacenter).map(({ name, alive }) => ({ name, alive })),
    federationState:
      state === undefined
        ? null
        : {
            gateways: gateways.length,
            healthy: gateways.filter(({ Checks }) => (Checks ?? []).every((c) => c.Status !== 'critical'))
              .length,
            ageMs: Math.max(0, now - goTimeToUnixMs(state.UpdatedAt)),
          },
    certificateDaysLeft: expiresAtMs === undefined ? null : Math.floor((expiresAtMs - now) / dayMs),
    tryingToMeet: r.reach.pending().includes(datacenter),
    route,
  };
}
