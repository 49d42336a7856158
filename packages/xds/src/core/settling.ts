/**
 * settling.ts: when a world is ready to be handed out.
 *
 * Worlds arrive in flurries: a gateway that registers touches three tables. So a change is given a moment for its
 * siblings to arrive, a longer one if another was just handed out, and only the newest is taken. Two emptinesses are not believed at once: a server list that was
 * never filled (a gateway without servers cannot route, so its health check should not pass yet), and one that
 * was filled a moment ago (a catalog flap must not cut off a datacenter).
 * Lives here: the waiting, as one deadline. Must not live here: timers, resources.
 * Sources: Consul agent/proxycfg/state.go (coalescing), mesh_gateway.go (validity of a snapshot).
 */
import type { Notice } from '../ports.ts';
import type { Profile } from './profile.ts';
import { carriesServerTraffic, type GatewayWorld } from './world.ts';

/** Least time between two worlds that are handed out, in ms. */
const coalesceMsDefault = 50;
/** After a quiet time a change is held no longer than this for its siblings, in ms. */
const siblingsMsMax = 10;
/** The first server is awaited this long; then the gateway is configured without. */
export const firstServerMsMax = 30_000;
/** The last servers known are kept this long after the list went empty. */
export const serversKeptMs = 60_000;

export interface Answered {
  readonly wanfed: boolean;
  /** The trust domain is known, or known not to exist. */
  readonly roots: boolean;
  readonly serviceListSet: boolean;
  readonly serviceGroups: number;
  /** Rows in the server list; undefined: the list is not watched yet. */
  readonly servers: number | undefined;
}

/**
 * Whether enough is known for a first configuration. Federation states are never awaited: the first gateway of a
 * datacenter has to be up before its datacenter can learn of any other.
 */
export function isValid(a: Answered, profile: Pick<Profile, 'awaitServers'>): boolean {
  const services = a.serviceListSet || a.serviceGroups > 0;
  const servers = !a.wanfed || (a.servers !== undefined && (a.servers > 0 || !profile.awaitServers));
  return a.roots && services && servers;
}

export class Settling {
  readonly #profile: Profile;
  readonly #coalesceMs: number;
  #newest: GatewayWorld | undefined;
  #firstAt: number | undefined;
  #dueAt: number | undefined;
  /** When one was handed out last. */
  #takenAt = Number.NEGATIVE_INFINITY;
  #lastServers: GatewayWorld['servers'] = [];
  #emptySince: number | undefined;

  constructor(o: { profile: Profile; coalesceMs?: number }) {
    this.#profile = o.profile;
    this.#coalesceMs = o.coalesceMs ?? coalesceMsDefault;
  }

  offer(world: GatewayWorld, now: number): void {
    this.#newest = world;
    this.#firstAt ??= now;
    const ready = Math.max(now + Math.min(siblingsMsMax, this.#coalesceMs), this.#takenAt + this.#coalesceMs);
    this.#dueAt = Math.min(this.#dueAt ?? Number.POSITIVE_INFINITY, ready);
    if (world.servers.length > 0) {
      this.#lastServers = world.servers;
      this.#emptySince = undefined;
    } else {
      this.#emptySince ??= now;
    }
  }

  deadline(): number | undefined {
    return this.#dueAt;
  }

  /** The world to hand out now, if its time has come. */
  take(now: number): { world: GatewayWorld; notices: readonly Notice[] } | undefined {
    const world = this.#newest;
    if (world === undefined || this.#dueAt === undefined || now < this.#dueAt) return undefined;
    this.#dueAt = undefined;
    this.#takenAt = now;
    const wanfed = carriesServerTraffic(world.gateway);
    const servers = world.servers.length;
    const known = { wanfed, roots: true, serviceListSet: true, serviceGroups: 0, servers };
    if (isValid(known, this.#profile)) return { world, notices: [] };
    return this.#lastServers.length > 0 ? this.#keepServers(world, now) : this.#awaitServers(world, now);
  }

  #keepServers(world: GatewayWorld, now: number) {
    const until = (this.#emptySince ?? now) + serversKeptMs;
    if (now < until) {
      this.#dueAt = until;
      const text = `the server list of ${world.datacenter} is empty; the last one is kept for ${serversKeptMs / 1000} s`;
      return { world: { ...world, servers: this.#lastServers }, notices: [warning('servers_kept', text)] };
    }
    this.#lastServers = [];
    return { world, notices: [warning('no_servers', `the server list of ${world.datacenter} stays empty`)] };
  }

  #awaitServers(world: GatewayWorld, now: number) {
    const until = (this.#firstAt ?? now) + firstServerMsMax;
    if (now < until) {
      this.#dueAt = until;
      return undefined;
    }
    const text = `no server of ${world.datacenter} is known yet; its gateway is configured without`;
    return { world, notices: [warning('no_servers', text)] };
  }
}

function warning(code: string, text: string): Notice {
  return { level: 'warn', code, text };
}
