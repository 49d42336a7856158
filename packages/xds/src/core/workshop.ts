/**
 * workshop.ts: snapshots for all gateways of a server, in which what is alike is made once.
 *
 * Gateways of one datacenter differ in where they listen, and one change leaves nearly everything as it was. So the plan
 * of a world, its clusters, endpoints and filter chains are made for the first gateway that asks and handed to the
 * others as the very same objects; and a resource that was the same before is neither encoded nor hashed again.
 * Lives here: that memory. Must not live here: what resources say.
 */
import { clustersOf } from './clusters.ts';
import { endpointsOf } from './endpoints.ts';
import { describeGateway, type Plan, planOf, sharesPlan } from './ir.ts';
import { type Chains, chainsOf, listenersOf } from './listeners.ts';
import { type Profile, recommended } from './profile.ts';
import { type MakeResource, type Resource, resourceOf } from './resource.ts';
import { Shelf } from './shelf.ts';
import { type ByName, byName, type Snapshot } from './snapshot.ts';
import type { GatewayWorld } from './world.ts';

/** Worlds remembered: gateways of one datacenter are configured in a few ways at most. */
const sharedMax = 8;

/** What gateways with the same plan are all given. */
interface Shared {
  readonly world: GatewayWorld;
  readonly plan: Plan;
  readonly clusters: ByName;
  readonly endpoints: ByName;
  /** By the name of the bind. */
  readonly chains: Map<string, Chains>;
}

export class Workshop {
  readonly #profile: Profile;
  /** Newest first. */
  #shared: readonly Shared[] = [];
  readonly #resources = new Shelf<Resource>(({ frame }) => frame.length);
  readonly #chains = new Shelf<Uint8Array>((bytes) => bytes.length);

  constructor(profile: Profile = recommended) {
    this.#profile = profile;
  }

  snapshotOf(world: GatewayWorld): Snapshot {
    const { plan, clusters, endpoints, chains } = this.#sharedFor(world);
    const ir = describeGateway(world, this.#profile, plan);
    const chainsFor = (bind: string): Chains => {
      const made = chains.get(bind) ?? chainsOf(ir, bind, (key, make) => this.#chains.get(key, make));
      chains.set(bind, made);
      return made;
    };
    return {
      service: ir.service,
      resources: {
        Cluster: clusters,
        ClusterLoadAssignment: endpoints,
        Listener: byName(listenersOf(ir, chainsFor, (key, make) => this.#resources.get(key, make))),
        RouteConfiguration: new Map(),
        Secret: new Map(),
      },
      notices: ir.notices,
    };
  }

  #sharedFor(world: GatewayWorld): Shared {
    const known = this.#shared.find((s) => sharesPlan(s.world, world));
    if (known !== undefined) return known;
    const plan = planOf(world, this.#profile);
    const ir = describeGateway(world, this.#profile, plan);
    const clusters = byName(clustersOf(ir, this.#make));
    const endpoints = byName(endpointsOf(ir, this.#make));
    const shared: Shared = { world, plan, clusters, endpoints, chains: new Map() };
    this.#shared = [shared, ...this.#shared.slice(0, sharedMax - 1)];
    return shared;
  }

  readonly #make: MakeResource = (type, name, json) =>
    this.#resources.get(`${type} ${JSON.stringify(json)}`, () => resourceOf(type, name, json));
}

/** The snapshot of one world, made from nothing. */
export function snapshotOf(world: GatewayWorld, profile?: Profile): Snapshot {
  return new Workshop(profile).snapshotOf(world);
}
