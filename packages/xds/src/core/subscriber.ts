/**
 * subscriber.ts: the client's half of a delta ADS stream, and what it makes of what it hears.
 *
 * I8. What was accepted is kept across streams: a server that is gone changes nothing, and a server that comes back is told
 * what is already here. New things are warmed before they are used: a cluster waits for its endpoints, a listener for
 * the clusters it leads to, neither longer than 15 s.
 * Lives here: requests out, responses in, the configuration that results. Must not live here: connections, back-off.
 * Sources: xDS protocol documentation (incremental variant); Envoy's order of subscriptions and partial acceptance.
 */
import { decode, encode, type Message, WireError } from '../wire/codec.ts';
import { anyToJson, fromJson, type Json } from '../wire/json.ts';
import {
  type AcceptedCluster,
  acceptAssignment,
  acceptCluster,
  acceptListener,
  RefusedError,
} from './acceptance.ts';
import type { Refusal, RelayCluster, RelayConfig, RelayEndpoint, RelayListener } from './relay-config.ts';
import { type ResourceType, resourceTypeOf, typeUrlOf } from './resource.ts';

/** How long a cluster waits for endpoints, and a listener for clusters. Envoy's fetch timeout. */
export const warmingMsMax = 15_000;
/** Most resources of one type kept. */
const resourcesMax = 65_536;
/** Longest NACK text sent, in characters. */
const nackTextMax = 4_096;
/**
 * How long the second refusal in a row waits, and the longest that a later one does, in ms: a server that sends what was refused
 * again at once, as Consul does, would otherwise send it thousands of times a second.
 */
const refusalMsMin = 100;
const refusalMsMax = 5_000;
/** google.rpc.Code INVALID_ARGUMENT. */
const invalidArgument = 3;

/** The server's bytes are no discovery response. Ends the stream; what was accepted before stays in force. */
export class ServerFault extends Error {
  override readonly name = 'ServerFault';
  readonly code = 'malformed_response';
}

export interface SubscriberIdentity {
  readonly nodeId: string;
  readonly cluster: string;
  /** The catalog node the gateway is registered on, when it is not the server's own. */
  readonly nodeName?: string;
  readonly userAgent: string;
}

interface Kept<T> {
  readonly version: string;
  readonly value: T;
  /** When it was accepted. */
  readonly since: number;
}

export interface Heard {
  /** To be sent, in this order, after so many milliseconds. */
  readonly requests: readonly Uint8Array[];
  readonly delayMs: number;
  /** What cannot be used, of this response or of what it made ready. */
  readonly refusals: readonly Refusal[];
}

export class Subscriber {
  readonly #identity: SubscriberIdentity;
  readonly #apply: (config: RelayConfig) => readonly Refusal[];
  readonly #clusters = new Map<string, Kept<AcceptedCluster>>();
  readonly #assignments = new Map<string, Kept<readonly RelayEndpoint[]>>();
  readonly #listeners = new Map<string, Kept<RelayListener>>();
  /** Listeners that were warm once, by name; a newer one takes over when it is warm itself. */
  readonly #inForce = new Map<string, RelayListener>();
  /** Endpoint names asked for on this stream; undefined before the first time. */
  #asked: Set<string> | undefined;
  #listenersHeard = false;
  #refusalsInARow = 0;
  #warmAt: number | undefined;

  /** `apply` is given every new configuration and says what of it cannot be used; it must not block. */
  constructor(o: { identity: SubscriberIdentity; apply: (config: RelayConfig) => readonly Refusal[] }) {
    this.#identity = o.identity;
    this.#apply = o.apply;
  }

  /** A new stream is open: the first request of each type, with what is held from before. */
  open(): readonly Uint8Array[] {
    this.#asked = undefined;
    const clusters = this.#request('Cluster', { node: this.#node(), ...held(this.#clusters) });
    const listeners = this.#request('Listener', held(this.#listeners));
    return [clusters, ...this.#endpointRequests(), listeners];
  }

  /** Throws ServerFault. */
  receive(bytes: Uint8Array, now: number): Heard {
    const response = read(bytes);
    const type = resourceTypeOf(response.typeUrl);
    if (type === undefined || type === 'RouteConfiguration' || type === 'Secret')
      return { requests: [], delayMs: 0, refusals: [] };
    const refusals: Refusal[] = [];
    for (const resource of response.resources) {
      const refusal = this.#take(type, resource, now);
      if (refusal !== undefined) refusals.push(refusal);
    }
    for (const name of response.removed) this.#drop(type, name, now);
    if (type === 'Listener') this.#listenersHeard = true;
    this.#forgetUnreferred();
    const sent = new Set(response.resources.map((r) => r.name));
    const unusable = this.#settle(now);
    // A refusal that concerns an earlier response cannot be said in the answer to this one.
    const nack = [...refusals, ...unusable.filter((r) => r.resource === '' || sent.has(r.resource))];
    const answer = this.#request(type, { responseNonce: response.nonce, ...nackOf(nack) });
    const requests = [answer, ...(type === 'Cluster' ? this.#endpointRequests() : [])];
    this.#refusalsInARow = nack.length === 0 ? 0 : this.#refusalsInARow + 1;
    return { requests, delayMs: this.#delayMs(), refusals: [...refusals, ...unusable] };
  }

  #delayMs(): number {
    const again = this.#refusalsInARow - 2;
    return again < 0 ? 0 : Math.min(refusalMsMax, refusalMsMin * 2 ** Math.min(again, 10));
  }

  /** When waiting for endpoints or clusters ends. */
  deadline(): number | undefined {
    return this.#warmAt;
  }

  wake(now: number): readonly Refusal[] {
    return this.#warmAt !== undefined && now >= this.#warmAt ? this.#settle(now) : [];
  }

  /** Number of resources held, by type. */
  held(): { readonly clusters: number; readonly endpoints: number; readonly listeners: number } {
    return {
      clusters: this.#clusters.size,
      endpoints: this.#assignments.size,
      listeners: this.#listeners.size,
    };
  }

  #take(
    type: 'Cluster' | 'ClusterLoadAssignment' | 'Listener',
    r: Incoming,
    now: number,
  ): Refusal | undefined {
    const table = this.#table(type);
    if (!table.has(r.name) && table.size >= resourcesMax)
      return { resource: r.name, field: '', reason: `more than ${resourcesMax} resources of one type` };
    try {
      if (r.typeUrl !== typeUrlOf(type))
        throw new WireError('wrong_type', `${r.typeUrl} in a response of ${type}`);
      const json = anyToJson(r.typeUrl, r.bytes);
      const kept = { version: r.version, since: this.#since(table.get(r.name), now) };
      switch (type) {
        case 'Cluster':
          this.#clusters.set(r.name, { ...kept, value: acceptCluster(r.name, json) });
          return undefined;
        case 'ClusterLoadAssignment':
          this.#assignments.set(r.name, { ...kept, value: acceptAssignment(r.name, json) });
          return undefined;
        case 'Listener':
          this.#listeners.set(r.name, { ...kept, value: acceptListener(r.name, json), since: now });
          return undefined;
      }
    } catch (cause) {
      if (cause instanceof RefusedError) return cause.refusal;
      if (cause instanceof WireError) return { resource: r.name, field: '', reason: cause.message };
      throw cause;
    }
  }

  #drop(type: 'Cluster' | 'ClusterLoadAssignment' | 'Listener', name: string, now: number): void {
    if (type === 'ClusterLoadAssignment') {
      // The server has none: an answer too. Endpoints known from before stay, as in Envoy.
      const before = this.#assignments.get(name);
      this.#assignments.set(name, { version: '', value: before?.value ?? [], since: now });
      return;
    }
    this.#table(type).delete(name);
    if (type === 'Listener') this.#inForce.delete(name);
  }

  /** A cluster that only changes is not cold: its endpoints are still good. */
  #since(before: Kept<unknown> | undefined, now: number): number {
    return before?.since ?? now;
  }

  #table(type: 'Cluster' | 'ClusterLoadAssignment' | 'Listener'): Map<string, Kept<unknown>> {
    return type === 'Cluster' ? this.#clusters : type === 'Listener' ? this.#listeners : this.#assignments;
  }

  #forgetUnreferred(): void {
    const referred = new Set(this.#endpointNames());
    for (const name of this.#assignments.keys()) if (!referred.has(name)) this.#assignments.delete(name);
  }

  #endpointNames(): readonly string[] {
    return [...this.#clusters.values()].flatMap(({ value }) =>
      value.edsName === undefined ? [] : [value.edsName],
    );
  }

  /** Ask for the endpoints of clusters that are new, and no more for those of clusters that are gone. */
  #endpointRequests(): readonly Uint8Array[] {
    const names = new Set(this.#endpointNames());
    const before = this.#asked;
    if (before === undefined && names.size === 0) return [];
    this.#asked = names;
    const resourceNamesSubscribe = [...names].filter((name) => before?.has(name) !== true);
    const resourceNamesUnsubscribe = [...(before ?? [])].filter((name) => !names.has(name));
    if (resourceNamesSubscribe.length + resourceNamesUnsubscribe.length === 0) return [];
    const first = before === undefined ? held(this.#assignments) : {};
    return [
      this.#request('ClusterLoadAssignment', { resourceNamesSubscribe, resourceNamesUnsubscribe, ...first }),
    ];
  }

  /** Moves what is warm into force and hands out the configuration, once there are listeners at all. */
  #settle(now: number): readonly Refusal[] {
    const waits: number[] = [];
    const clusters = new Map<string, RelayCluster>();
    for (const [name, { value, since }] of this.#clusters) {
      const endpoints =
        value.edsName === undefined ? value.cluster.endpoints : this.#assignments.get(value.edsName)?.value;
      if (endpoints === undefined && now < since + warmingMsMax) waits.push(since + warmingMsMax);
      else clusters.set(name, { ...value.cluster, endpoints: endpoints ?? [] });
    }
    for (const [name, { value, since }] of this.#listeners) {
      const cold = value.chains.some((c) => c.cluster !== 'sni' && !clusters.has(c.cluster));
      if (cold && now < since + warmingMsMax) waits.push(since + warmingMsMax);
      else this.#inForce.set(name, value);
    }
    this.#warmAt = waits.length === 0 ? undefined : Math.min(...waits);
    return this.#listenersHeard ? this.#apply({ listeners: [...this.#inForce.values()], clusters }) : [];
  }

  #request(type: ResourceType, fields: Message): Uint8Array {
    return encode('envoy.service.discovery.v3.DeltaDiscoveryRequest', {
      typeUrl: typeUrlOf(type),
      ...fields,
    });
  }

  #node(): Message {
    const { nodeId, cluster, nodeName, userAgent } = this.#identity;
    const metadata: Json = {
      namespace: 'default',
      partition: 'default',
      ...(nodeName ? { node_name: nodeName } : {}),
    };
    return {
      id: nodeId,
      cluster,
      metadata: fromJson('google.protobuf.Struct', metadata),
      userAgentName: userAgent,
    };
  }
}

interface Incoming {
  readonly name: string;
  readonly version: string;
  readonly typeUrl: string;
  readonly bytes: Uint8Array;
}

function read(bytes: Uint8Array): {
  typeUrl: string;
  nonce: string;
  resources: readonly Incoming[];
  removed: readonly string[];
} {
  try {
    const m = decode('envoy.service.discovery.v3.DeltaDiscoveryResponse', bytes);
    const resources = ((m['resources'] ?? []) as readonly Message[]).map((r): Incoming => {
      const any = (r['resource'] ?? {}) as Message;
      return {
        name: String(r['name'] ?? ''),
        version: String(r['version'] ?? ''),
        typeUrl: String(any['type_url'] ?? ''),
        bytes: (any['value'] as Uint8Array | undefined) ?? new Uint8Array(),
      };
    });
    const removed = (m['removedResources'] ?? []) as readonly string[];
    return { typeUrl: String(m['typeUrl'] ?? ''), nonce: String(m['nonce'] ?? ''), resources, removed };
  } catch (cause) {
    if (!(cause instanceof WireError)) throw cause;
    throw new ServerFault(`response cannot be read: ${cause.message}`, { cause });
  }
}

function held(table: ReadonlyMap<string, Kept<unknown>>): Message {
  const versions = [...table]
    .filter(([, { version }]) => version !== '')
    .map(([name, { version }]) => [name, version]);
  return versions.length === 0 ? {} : { initialResourceVersions: Object.fromEntries(versions) };
}

function nackOf(refusals: readonly Refusal[]): Message {
  if (refusals.length === 0) return {};
  const lines = refusals.map(
    ({ resource, field, reason }) => `${resource}: ${field === '' ? '' : `${field}: `}${reason}`,
  );
  return { errorDetail: { code: invalidArgument, message: lines.join('; ').slice(0, nackTextMax) } };
}
