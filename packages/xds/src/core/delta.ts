/**
 * delta.ts: one delta ADS stream: what to send next, given what the client said and what there is.
 *
 * Rule 1 (I2): make before break. Clusters go out before their endpoints, both before the listeners that lead to them;
 * listeners let go of a cluster before it is removed. Rule 2 (I3): one response per type is outstanding, ever. Rule 3 (I4): a
 * cluster sent again takes its endpoints with it, because the client forgets them when it rebuilds the cluster; the
 * endpoints do not wait for the cluster's ACK, because the client may hold that back until they are there.
 * Lives here: order between types. Must not live here: one type's bookkeeping (subscription.ts), bytes, time, streams.
 * Sources: xDS protocol documentation; Consul agent/xds/delta.go; Envoy cluster_manager_impl.cc (paused CDS while warming).
 */
import type { DeltaRequest } from './request.ts';
import { type Resource, type ResourceType, resourceTypeOf, resourceTypes } from './resource.ts';
import type { DeltaResponse, Snapshot } from './snapshot.ts';
import { Subscription } from './subscription.ts';

/** How long listeners wait for a client to ask for the endpoints of clusters it has: its own fetch timeout. */
const listenerHoldMsMax = 15_000;
const nothing: ReadonlySet<string> = new Set();

export class DeltaStream {
  readonly subscriptions: Map<ResourceType, Subscription> = new Map();
  #snapshot: Snapshot | undefined;
  #responses = 0;
  /** Endpoints whose cluster went out and that did not go out since. */
  readonly #owed = new Set<string>();
  /** Listeners wait for endpoints until then; once that has passed they wait no more until the client has caught up. */
  #holdUntil: number | undefined;
  #heldEnough = false;

  /** The newest handed out; undefined before the first. */
  get snapshot(): Snapshot | undefined {
    return this.#snapshot;
  }

  /** Throws ClientFault; the stream is to be ended then. Types this package does not serve are heard and not answered. */
  request(r: DeltaRequest, now: number): readonly DeltaResponse[] {
    const type = resourceTypeOf(r.typeUrl);
    if (type === undefined) return [];
    const known = this.subscriptions.get(type);
    if (known === undefined) {
      this.subscriptions.set(type, new Subscription(type, r));
    } else {
      known.subscribe(r.subscribe);
      known.unsubscribe(r.unsubscribe);
      if (r.nonce !== '') known.settle(r.nonce, r.error, now);
    }
    return this.#walk(now);
  }

  /** Only the newest counts: what an earlier one would have changed is found again by comparing. */
  offer(snapshot: Snapshot, now: number): readonly DeltaResponse[] {
    this.#snapshot = snapshot;
    return this.#walk(now);
  }

  /** The time asked for by `deadline` has come. */
  wake(now: number): readonly DeltaResponse[] {
    return this.#walk(now);
  }

  deadline(): number | undefined {
    return this.#heldEnough ? undefined : this.#holdUntil;
  }

  #walk(now: number): readonly DeltaResponse[] {
    const snapshot = this.#snapshot;
    if (snapshot === undefined) return [];
    const responses: DeltaResponse[] = [];
    for (const type of resourceTypes) {
      const subscription = this.subscriptions.get(type);
      if (subscription === undefined) continue;
      subscription.verify(snapshot.resources[type]);
      const response = this.#next(subscription, snapshot, now);
      if (response === undefined) continue;
      subscription.sent(response, now);
      this.#follow(response, snapshot);
      responses.push(response);
    }
    return responses;
  }

  #next(subscription: Subscription, snapshot: Snapshot, now: number): DeltaResponse | undefined {
    const { type } = subscription;
    if (type === 'RouteConfiguration' || type === 'Secret') return undefined; // a passthrough gateway has none
    const owed = type === 'ClusterLoadAssignment' ? this.#owed : nothing;
    const due = subscription.due(snapshot.resources[type], owed);
    const idle = due.upserts.length + due.absent.length + due.gone.length === 0;
    if (type === 'Listener' && this.#holdsListeners(snapshot, idle, now)) return undefined;
    if (subscription.pending !== undefined) return undefined;
    const removed = this.#mayRemove(type, snapshot) ? [...due.absent, ...due.gone] : due.absent;
    if (due.upserts.length + removed.length === 0 && !due.first) return undefined;
    this.#responses++;
    return { type, upserts: due.upserts, removed, nonce: this.#responses.toString(16).padStart(8, '0') };
  }

  /** What is sent of one type may owe another: rule 3. */
  #follow(response: DeltaResponse, snapshot: Snapshot): void {
    if (response.type === 'Cluster') {
      const { ClusterLoadAssignment } = snapshot.resources;
      for (const { name } of response.upserts) if (ClusterLoadAssignment.has(name)) this.#owed.add(name);
      for (const name of response.removed) this.#owed.delete(name);
    } else if (response.type === 'ClusterLoadAssignment') {
      for (const { name } of response.upserts) this.#owed.delete(name);
    }
  }

  /** A resource is taken away only when nothing that could refer to it is still to be changed. */
  #mayRemove(type: ResourceType, snapshot: Snapshot): boolean {
    if (type === 'Cluster') return this.#quiet('Listener', snapshot);
    if (type === 'ClusterLoadAssignment') return this.#quiet('Cluster', snapshot);
    return true;
  }

  #quiet(type: ResourceType, snapshot: Snapshot): boolean {
    const subscription = this.subscriptions.get(type);
    if (subscription === undefined) return true;
    if (subscription.pending !== undefined) return false;
    const { upserts, gone } = subscription.due(snapshot.resources[type], nothing);
    return upserts.length + gone.length === 0;
  }

  /** Listeners wait for clusters and endpoints on their way, and for endpoints the client is about to ask for. */
  #holdsListeners(snapshot: Snapshot, idle: boolean, now: number): boolean {
    const clusters = this.subscriptions.get('Cluster');
    const endpoints = this.subscriptions.get('ClusterLoadAssignment');
    if (clusters?.pending !== undefined || endpoints?.pending !== undefined) return true;
    if (clusters === undefined || !lacksEndpoints(clusters, endpoints, snapshot)) {
      this.#holdUntil = undefined;
      this.#heldEnough = false;
      return false;
    }
    if (idle) return false;
    this.#holdUntil ??= now + listenerHoldMsMax;
    this.#heldEnough ||= now >= this.#holdUntil;
    return !this.#heldEnough;
  }
}

/** Whether the client holds a cluster whose endpoints it has not been given. */
function lacksEndpoints(
  clusters: Subscription,
  endpoints: Subscription | undefined,
  snapshot: Snapshot,
): boolean {
  const lacking = (assignment: Resource) =>
    clusters.acked.has(assignment.name) && endpoints?.settled(assignment) !== true;
  for (const assignment of snapshot.resources.ClusterLoadAssignment.values())
    if (lacking(assignment)) return true;
  return false;
}
