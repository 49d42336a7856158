/**
 * balance.ts: which endpoint of a cluster the next connection goes to.
 *
 * Weighted turns, smoothly interleaved: every endpoint gains its weight each turn, the richest goes and pays the total.
 * Five failed connects in a row send an endpoint to the bench, longer each time, but never more than the share allowed
 * and never the last one standing: clusters here have two or three. If too few are fit, everybody plays (panic), because
 * a dead health check is likelier than a dead datacenter. A higher priority number plays only when no lower one can.
 * Lives here: that choice and its memory, by host:port, across configurations. Must not live here: connecting.
 * Sources: nginx's smooth weighted round robin; Envoy outlier detection (consecutive failures, base ejection time).
 */
import { renderHostPort } from '@fed/alpn-mux';
import type { RelayEndpoint, Rng } from './ports.ts';

export const failuresToEject = 5;
export const ejectionBaseMs = 30_000;
export const ejectionMsMax = 300_000;

export interface BalancePolicy {
  /** Below this share of fit endpoints, in percent, the others play too. With none fit they always do. */
  readonly panicPercent: number;
  /** Largest share on the bench; absent: nobody is ever sent there. */
  readonly ejectionPercentMax?: number;
}

interface Player {
  readonly key: string;
  endpoint: RelayEndpoint;
  credit: number;
  /** Failed connects since the last success. */
  failures: number;
  /** Fit again from this moment on. */
  ejectedUntil: number;
  /** How often in a row, for the length of the next ejection. */
  ejections: number;
}

export class Balancer {
  #players: readonly Player[] = [];
  readonly #rng: Rng;
  policy: BalancePolicy;

  constructor(endpoints: readonly RelayEndpoint[], rng: Rng, policy: BalancePolicy) {
    this.#rng = rng;
    this.policy = policy;
    this.update(endpoints);
  }

  /** Replaces the endpoints; those that stay keep their credit, failures and ejection. */
  update(endpoints: readonly RelayEndpoint[]): void {
    const known = new Map(this.#players.map((p) => [p.key, p]));
    const next = new Map<string, Player>();
    for (const endpoint of endpoints) {
      const key = renderHostPort(endpoint);
      const player = known.get(key);
      if (player) player.endpoint = endpoint;
      next.set(key, player ?? this.#newcomer(key, endpoint));
    }
    this.#players = [...next.values()];
  }

  #newcomer(key: string, endpoint: RelayEndpoint): Player {
    // A random start in its own range of credit: many gateways must not move in step.
    const credit = this.#rng.below(Math.max(1, endpoint.weight));
    return { key, endpoint, credit, failures: 0, ejectedUntil: 0, ejections: 0 };
  }

  /** The next endpoint, none of `tried` (host:port), and if so asked of this priority; undefined if there is none left. */
  pick(now: number, tried?: ReadonlySet<string>, priority?: number): RelayEndpoint | undefined {
    let best: Player | undefined;
    let total = 0;
    for (const player of this.#candidates(now, tried)) {
      if (priority !== undefined && player.endpoint.priority !== priority) continue;
      player.credit += player.endpoint.weight;
      total += player.endpoint.weight;
      if (best === undefined || player.credit > best.credit) best = player;
    }
    if (best) best.credit -= total;
    return best?.endpoint;
  }

  #candidates(now: number, tried: ReadonlySet<string> | undefined): readonly Player[] {
    const untried = this.#players.filter((p) => !tried?.has(p.key));
    const first = lowestPriority(untried.filter((p) => isFit(p, now)));
    const level = first ?? lowestPriority(untried);
    const ofLevel = (players: readonly Player[]): readonly Player[] =>
      players.filter((p) => p.endpoint.priority === level);
    const all = ofLevel(this.#players);
    const fitPercent = (100 * all.filter((p) => isFit(p, now)).length) / all.length;
    const panic = first === undefined || fitPercent < this.policy.panicPercent;
    return panic ? ofLevel(untried) : ofLevel(untried).filter((p) => isFit(p, now));
  }

  connected(endpoint: RelayEndpoint): void {
    const player = this.#find(endpoint);
    if (player) player.failures = 0;
  }

  /** A connect that was refused or timed out. True if that sent the endpoint to the bench. */
  failed(endpoint: RelayEndpoint, now: number): boolean {
    const player = this.#find(endpoint);
    if (player === undefined || player.ejectedUntil > now) return false;
    player.failures += 1;
    if (player.failures < failuresToEject) return false;
    const standing = this.#players.filter((p) => p !== player && isFit(p, now));
    const benchMax = (this.#players.length * (this.policy.ejectionPercentMax ?? 0)) / 100;
    if (standing.length === 0 || this.ejected(now) + 1 > benchMax) return false;
    // Time well behaved since the last ejection is credited, one step per base time.
    const goodMs = player.ejections === 0 ? 0 : now - player.ejectedUntil;
    player.ejections = Math.max(0, player.ejections - Math.floor(goodMs / ejectionBaseMs)) + 1;
    player.ejectedUntil = now + Math.min(ejectionMsMax, ejectionBaseMs * player.ejections);
    player.failures = 0;
    return true;
  }

  ejected(now: number): number {
    return this.#players.filter((p) => p.ejectedUntil > now).length;
  }

  get size(): number {
    return this.#players.length;
  }

  healthy(now: number): number {
    return this.#players.filter((p) => isFit(p, now)).length;
  }

  #find(endpoint: RelayEndpoint): Player | undefined {
    const key = renderHostPort(endpoint);
    return this.#players.find((p) => p.key === key);
  }
}

const isFit = (p: Player, now: number): boolean => p.endpoint.healthy && p.ejectedUntil <= now;

function lowestPriority(players: readonly Player[]): number | undefined {
  return players.length === 0 ? undefined : Math.min(...players.map((p) => p.endpoint.priority));
}
