/**
 * ir.ts: what the gateway must do, in our words, before any Envoy type is mentioned.
 *
 * A gateway is a switchboard: it listens on a few addresses (binds), reads the name a caller asks for, and connects
 * the caller to one of a number of destinations (routes). Four kinds of destination matter: another datacenter's
 * services or servers, both reached through that datacenter's gateways; one server of our own, or any of them; and a
 * service of our own.
 * Lives here: the description and the order of its parts. Must not live here: Envoy's shapes (clusters.ts and so on).
 * Sources: Consul agent/proxycfg/mesh_gateway.go, agent/xds/clusters.go, endpoints.go, listeners.go (mesh gateway parts).
 */
import { datacenterSni, SniError, serverSni, serviceSni } from '@fed/alpn-mux';
import { checkServiceNodeFields, compileFilter, FilterError } from '@fed/fsm/filter';
import type { Notice } from '../ports.ts';
import { type Bind, listenerBinds } from './binds.ts';
import { type Endpoint, eachOnce, endpointOf, freshest, inOrder, isLiteral, order } from './instances.ts';
import { type GatewayOptions, parseOptions } from './options.ts';
import { type Profile, recommended } from './profile.ts';
import {
  carriesServerTraffic,
  type GatewayWorld,
  type Instance,
  type Limits,
  type ServiceGroup,
  type Subset,
} from './world.ts';

type DestinationKind = 'remoteServices' | 'remoteServers' | 'anyServer' | 'server' | 'service';

export interface Destination {
  /** The name asked for, and the cluster's. */
  readonly name: string;
  readonly kind: DestinationKind;
  /** How endpoints travel: pushed as they change, or as host names that the gateway resolves. */
  readonly discovery: 'EDS' | 'LOGICAL_DNS' | 'STRICT_DNS';
  readonly endpoints: readonly Endpoint[];
  readonly connectTimeoutMs: number;
  readonly lbPolicy?: 'LEAST_REQUEST' | 'RANDOM';
  /** The original leaves one of the two out in corner cases; see profile.ts. */
  readonly hasCluster: boolean;
  readonly hasAssignment: boolean;
}

export interface Route {
  /** Server names, exact or `*.` and a suffix. Empty: whatever no other route matches. */
  readonly names: readonly string[];
  /** A destination's name, or 'asked' for the destination named like the name asked for. */
  readonly to: { readonly kind: 'destination'; readonly name: string } | { readonly kind: 'asked' };
  /** Under what statistics count: another datacenter, one of our servers, or our services. */
  readonly counts:
    | { readonly as: 'remote' | 'localServer'; readonly datacenter: string }
    | { readonly as: 'local' };
}

/** What gateways of one datacenter have in common, as long as they are configured alike: all but where they listen. */
export interface Plan {
  readonly destinations: readonly Destination[];
  readonly routes: readonly Route[];
  readonly options: GatewayOptions;
  readonly limits: Limits;
  readonly profile: Profile;
  readonly notices: readonly Notice[];
}

export interface GatewayIr extends Plan {
  readonly service: string;
  readonly datacenter: string;
  readonly binds: readonly Bind[];
}

/**
 * Pure: the same world and profile give the same description, whatever order rows come in. `plan`: what was made of
 * these before, for this gateway or one like it.
 */
export function describeGateway(
  world: GatewayWorld,
  profile: Profile = recommended,
  plan: Plan = planOf(world, profile),
): GatewayIr {
  const { binds, notices } = listenerBinds(world.gateway, plan.options);
  return {
    ...plan,
    service: world.gateway.Service,
    datacenter: world.datacenter,
    binds,
    notices: [...plan.notices, ...notices],
  };
}

/** Of the gateway itself it reads its proxy configuration, and whether it carries server traffic. */
export function planOf(world: GatewayWorld, profile: Profile): Plan {
  const { options, notices } = parseOptions(world.gateway.Proxy?.Config);
  const draft = new Draft(world, profile, options);
  const wanfed = carriesServerTraffic(world.gateway);
  const remotes = remoteGateways(world, wanfed);
  draft.remoteServices(remotes);
  if (wanfed) draft.servers(remotes);
  draft.services();
  return {
    destinations: draft.destinations.toSorted((a, b) => order(a.name, b.name)),
    routes: draft.routes,
    options,
    limits: world.limits ?? {},
    profile,
    notices: [...notices, ...draft.notices],
  };
}

/** Whether `planOf` makes the same of both. Tables are compared by identity: who reads them hands out the same ones. */
export function sharesPlan(a: GatewayWorld, b: GatewayWorld): boolean {
  return (
    a.federationStates === b.federationStates &&
    a.servers === b.servers &&
    a.services === b.services &&
    a.remoteGateways === b.remoteGateways &&
    a.datacenter === b.datacenter &&
    a.domain === b.domain &&
    a.trustDomain === b.trustDomain &&
    carriesServerTraffic(a.gateway) === carriesServerTraffic(b.gateway) &&
    JSON.stringify([a.gateway.Proxy?.Config, a.limits]) ===
      JSON.stringify([b.gateway.Proxy?.Config, b.limits])
  );
}

/** Per datacenter, the list of gateways to believe, sorted by datacenter; our own is among them once it is known. */
function remoteGateways(world: GatewayWorld, wanfed: boolean): ReadonlyMap<string, readonly Instance[]> {
  const states = new Map<string, readonly Instance[]>();
  if (wanfed) {
    for (const state of world.federationStates)
      if (state.MeshGateways !== null && state.MeshGateways.length > 0)
        states.set(state.Datacenter, state.MeshGateways);
  }
  const dumps = world.remoteGateways ?? new Map<string, readonly Instance[]>();
  const datacenters = [...new Set([...states.keys(), ...dumps.keys()])].sort(order);
  return new Map(
    datacenters.map((dc) => [
      dc,
      inOrder(freshest(dumps.get(dc) ?? [], states.get(dc) ?? [])?.instances ?? []),
    ]),
  );
}

/** Collects destinations and routes; the order of its calls is the order of the routes. */
class Draft {
  readonly destinations: Destination[] = [];
  readonly routes: Route[] = [];
  readonly notices: Notice[] = [];
  readonly #taken = new Set<string>();
  readonly #world: GatewayWorld;
  readonly #profile: Profile;
  readonly #options: GatewayOptions;

  constructor(world: GatewayWorld, profile: Profile, options: GatewayOptions) {
    this.#world = world;
    this.#profile = profile;
    this.#options = options;
  }

  remoteServices(remotes: ReadonlyMap<string, readonly Instance[]>): void {
    const { trustDomain } = this.#world;
    if (trustDomain === undefined) return;
    for (const [datacenter, gateways] of remotes) {
      if (datacenter === this.#world.datacenter) continue;
      const name = this.#name(`datacenter ${datacenter}`, () => datacenterSni({ datacenter, trustDomain }));
      if (name === undefined) continue;
      this.#remote('remoteServices', name, gateways);
      const counts = { as: 'remote', datacenter } as const;
      this.routes.push({ names: [`*.${name}`], to: { kind: 'destination', name }, counts });
    }
  }

  servers(remotes: ReadonlyMap<string, readonly Instance[]>): void {
    const { datacenter: here, domain } = this.#world;
    for (const [datacenter, gateways] of remotes) {
      if (datacenter === here) continue;
      const name = this.#name(`servers of ${datacenter}`, () => serverSni({ datacenter, domain }));
      if (name === undefined) continue;
      this.#remote('remoteServers', name, this.#capable(gateways));
      const names = this.#profile.explicitSink ? [`*.${name}`, name] : [`*.${name}`];
      this.routes.push({ names, to: { kind: 'destination', name }, counts: { as: 'remote', datacenter } });
    }
    const servers = this.#world.servers.toSorted((a, b) => order(a.node, b.node));
    const counts = { as: 'localServer', datacenter: here } as const;
    for (const { node, host, port } of servers) {
      const name = this.#name(`server ${node}`, () => serverSni({ node, datacenter: here, domain }));
      if (name === undefined) continue;
      this.#add({ name, kind: 'server', connectTimeoutMs: this.#options.connectTimeoutMs }, [{ host, port }]);
      this.routes.push({ names: [name], to: { kind: 'destination', name }, counts });
    }
    this.#anyServer(remotes.has(here), counts);
  }

  services(): void {
    const { trustDomain, datacenter, services = [] } = this.#world;
    if (trustDomain === undefined) {
      if (!this.#profile.explicitSink)
        this.routes.push({ names: [], to: { kind: 'asked' }, counts: { as: 'local' } });
      return;
    }
    const byName = (a: ServiceGroup, b: ServiceGroup) =>
      order(a.name, b.name) || order(a.namespace ?? '', b.namespace ?? '');
    for (const group of services.toSorted(byName)) this.#service(group, datacenter, trustDomain);
    const own = this.#built('the own services', () => datacenterSni({ datacenter, trustDomain }));
    if (own === undefined) return;
    const names = this.#profile.explicitSink ? [`*.${own}`] : [];
    this.routes.push({ names, to: { kind: 'asked' }, counts: { as: 'local' } });
  }

  #anyServer(ownStateKnown: boolean, counts: { as: 'localServer'; datacenter: string }): void {
    const { datacenter, domain, servers } = this.#world;
    const name = this.#name('any server', () => serverSni({ datacenter, domain }));
    if (name === undefined) return;
    const spare = this.#profile.serverHealth && servers.some((s) => s.critical !== true);
    const endpoints = servers
      .toSorted((a, b) => order(a.node, b.node))
      .map(
        ({ host, port, critical }): Endpoint =>
          spare && critical === true ? { host, port, health: 'unhealthy' } : { host, port },
      );
    const wanted = this.#profile.localWildcardAlways ? servers.length > 0 : ownStateKnown;
    const kind = 'anyServer';
    const connectTimeoutMs = this.#options.connectTimeoutMs;
    if (!wanted && this.#profile.assignmentForEveryCluster) return;
    this.#add({ name, kind, connectTimeoutMs }, endpoints, { hasCluster: wanted });
    if (this.#profile.explicitSink && wanted)
      this.routes.push({ names: [name], to: { kind: 'destination', name }, counts });
  }

  #service(group: ServiceGroup, datacenter: string, trustDomain: string): void {
    const { resolver } = group;
    const lbPolicy = balancing(resolver?.lbPolicy);
    const shape = {
      kind: 'service' as const,
      connectTimeoutMs: resolver?.connectTimeoutMs ?? this.#options.connectTimeoutMs,
      ...(lbPolicy !== undefined ? { lbPolicy } : {}),
    };
    const namespace = group.namespace ?? 'default';
    const subsets = Object.entries(resolver?.subsets ?? {}).toSorted(([a], [b]) => order(a, b));
    const chosen = resolver?.defaultSubset ? resolver.subsets?.[resolver.defaultSubset] : undefined;
    for (const [subset, rule] of [['', chosen], ...subsets] as const) {
      const what = subset === '' ? `service ${group.name}` : `subset ${subset} of service ${group.name}`;
      const name = this.#name(what, () =>
        serviceSni({ service: group.name, subset, namespace, datacenter, trustDomain }),
      );
      if (name !== undefined) this.#add({ ...shape, name }, this.#members(group, rule, what));
    }
  }

  #members(group: ServiceGroup, rule: Subset | undefined, what: string): readonly Endpoint[] {
    const { filter = '', onlyPassing = false } = rule ?? {};
    try {
      const kept =
        filter === ''
          ? group.instances
          : group.instances.filter(compileFilter(filter, checkServiceNodeFields));
      return inOrder(kept).map((o) => endpointOf(o, false, onlyPassing));
    } catch (cause) {
      if (!(cause instanceof FilterError)) throw cause;
      this.#warn('bad_filter', `${what} is left without instances: ${cause.message}`);
      return [];
    }
  }

  #capable(gateways: readonly Instance[]): readonly Instance[] {
    if (!this.#profile.wanfedCapableOnly) return gateways;
    const capable = gateways.filter((o) => carriesServerTraffic(o.Service));
    return capable.length > 0 ? capable : gateways;
  }

  #remote(kind: 'remoteServices' | 'remoteServers', name: string, gateways: readonly Instance[]): void {
    const { connectTimeoutMs } = this.#options;
    const hasAssignment = this.#profile.assignmentForEveryCluster || gateways.length > 0;
    const endpoints = gateways.map((o) => endpointOf(o, true));
    this.#add({ name, kind, connectTimeoutMs }, endpoints, { hasAssignment });
  }

  #add(
    shape: Pick<Destination, 'name' | 'kind' | 'connectTimeoutMs'> & Partial<Pick<Destination, 'lbPolicy'>>,
    all: readonly Endpoint[],
    has: { hasCluster?: boolean; hasAssignment?: boolean } = {},
  ): void {
    const endpoints = eachOnce(all);
    const named = endpoints.filter((e) => !isLiteral(e.host));
    const discovery = named.length === 0 ? 'EDS' : this.#options.dnsDiscovery;
    if (discovery !== 'EDS' && named.length < endpoints.length)
      this.#warn(
        'mixed_addresses',
        `${shape.name}: host names and addresses are mixed; the addresses are not used`,
      );
    this.destinations.push({
      ...shape,
      discovery,
      endpoints: discovery === 'EDS' ? endpoints : this.#resolvable(shape.name, discovery, named),
      hasCluster: has.hasCluster ?? true,
      hasAssignment: discovery === 'EDS' && (has.hasAssignment ?? true),
    });
  }

  /** LOGICAL_DNS takes exactly one host name; and a cluster without any would be refused, so the last resort stays in. */
  #resolvable(name: string, discovery: string, named: readonly Endpoint[]): readonly Endpoint[] {
    const usable = named.filter((e) => e.health !== 'unhealthy');
    if (usable.length === 0) {
      this.#warn(
        'no_healthy_host_name',
        `${name}: every gateway known by a host name is unhealthy; using the last`,
      );
      return named.slice(-1);
    }
    if (discovery === 'STRICT_DNS') return usable;
    if (usable.length > 1)
      this.#warn(
        'one_host_name',
        `${name}: only ${usable[0]?.host} is used; set envoy_dns_discovery_type to strict_dns to use all`,
      );
    return usable.slice(0, 1);
  }

  /** The name if it can be had and nobody has it yet; two that differ in case only would make the listener invalid. */
  #name(what: string, build: () => string): string | undefined {
    const name = this.#built(what, build);
    if (name !== undefined && this.#taken.has(name)) {
      this.#warn('name_taken', `${what} is not routed: another one already has the name ${name}`);
      return undefined;
    }
    if (name !== undefined) this.#taken.add(name);
    return name;
  }

  /** A name no TLS client could ask for is no reason to fail the whole gateway. */
  #built(what: string, build: () => string): string | undefined {
    try {
      return this.#profile.lowerCase ? build().toLowerCase() : build();
    } catch (cause) {
      if (!(cause instanceof SniError)) throw cause;
      this.#warn(cause.code, `${what} cannot be routed to: ${cause.message}`);
      return undefined;
    }
  }

  #warn(code: string, text: string): void {
    this.notices.push({ level: 'warn', code, text });
  }
}

function balancing(policy: string | undefined): Destination['lbPolicy'] {
  return policy === 'least_request' ? 'LEAST_REQUEST' : policy === 'random' ? 'RANDOM' : undefined;
}
