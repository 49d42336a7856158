/**
 * sotw.ts: one state-of-the-world ADS stream, for clients that do not speak delta.
 *
 * The same order between types as delta.ts. Two things differ: a cluster or listener response is always the whole set,
 * so what is absent is deleted (and a cluster that listeners may still lead to stays in until they let go of it); and a
 * request names everything it wants, every time.
 * Lives here: the state machine of one stream. Must not live here: bytes, time, streams.
 * Source: xDS protocol documentation (state of the world variant).
 */
import { type Holding, holdingsOf } from './holdings.ts';
import { ClientFault, type Rejection, type SotwRequest } from './request.ts';
import { type Resource, type ResourceType, resourceTypeOf, resourceTypes } from './resource.ts';
import { type ByName, type Snapshot, type SotwResponse, setVersion } from './snapshot.ts';
import { type Nack, subscribedNamesMax } from './subscription.ts';

export interface SotwPending {
  readonly nonce: string;
  readonly since: number;
}

export class SotwSubscription {
  readonly type: ResourceType;
  names: ReadonlySet<string> = new Set();
  wildcard = false;
  pending: SotwPending | undefined;
  nacks = 0;
  lastNack: Nack | undefined;
  lastAckAt: number | undefined;
  /** What went out last, whether it was accepted or not: the same set is not sent twice unasked. */
  sent: ReadonlyMap<string, Resource> = new Map();
  /** What was accepted last. */
  accepted: ReadonlyMap<string, Resource> = new Map();
  /** The client asked for something it has not been answered yet. */
  asks = false;
  #named = false;
  #nonce = '';

  constructor(type: ResourceType) {
    this.type = type;
  }

  hear(r: SotwRequest, now: number): void {
    if (r.nonce !== '' && r.nonce !== this.#nonce) return; // about an earlier response: a newer request is on its way
    if (r.names.length > subscribedNamesMax)
      throw new ClientFault(
        'resource_exhausted',
        `more than ${subscribedNamesMax} ${this.type} names on one stream`,
      );
    if (r.nonce !== '' && this.pending !== undefined) this.#settle(r.error, now);
    this.#named ||= r.names.some((name) => name !== '*');
    const wildcard = r.names.includes('*') || (r.names.length === 0 && !this.#named);
    const names = new Set(r.names.filter((name) => name !== '*'));
    const grown = (wildcard && !this.wildcard) || [...names].some((name) => !this.names.has(name));
    if (grown || (this.#nonce === '' && this.pending === undefined)) this.asks = true;
    this.wildcard = wildcard;
    this.names = names;
  }

  wanted(current: ByName): ReadonlyMap<string, Resource> {
    return this.wildcard ? current : new Map([...current].filter(([name]) => this.names.has(name)));
  }

  went(nonce: string, resources: ReadonlyMap<string, Resource>, now: number): void {
    this.asks = false;
    this.#nonce = nonce;
    this.sent = resources;
    this.pending = { nonce, since: now };
  }

  /** For people. */
  holdings(current: ByName): readonly Holding[] {
    const versions = (of: ReadonlyMap<string, Resource>): ReadonlyMap<string, string> =>
      new Map([...of].map(([name, { version }]) => [name, version]));
    const unsettled = this.accepted === this.sent ? new Map<string, Resource>() : this.sent;
    const underWay = this.pending !== undefined;
    return holdingsOf(
      {
        accepted: versions(this.accepted),
        refused: underWay ? new Map() : versions(unsettled),
        underWay: new Set(underWay ? unsettled.keys() : []),
        covers: (name) => this.wildcard || this.names.has(name),
      },
      current,
    );
  }

  #settle(error: Rejection | undefined, now: number): void {
    this.pending = undefined;
    if (error === undefined) {
      this.lastAckAt = now;
      this.accepted = this.sent;
      return;
    }
    this.nacks++;
    this.lastNack = { ...error, nonce: this.#nonce, at: now, names: [...this.sent.keys()] };
  }
}

export class SotwStream {
  readonly subscriptions: Map<ResourceType, SotwSubscription> = new Map();
  #snapshot: Snapshot | undefined;
  #responses = 0;
  readonly #owed = new Set<string>();

  /** The newest handed out; undefined before the first. */
  get snapshot(): Snapshot | undefined {
    return this.#snapshot;
  }

  request(r: SotwRequest, now: number): readonly SotwResponse[] {
    const type = resourceTypeOf(r.typeUrl);
    if (type === undefined) return [];
    const subscription = this.subscriptions.get(type) ?? new SotwSubscription(type);
    this.subscriptions.set(type, subscription);
    subscription.hear(r, now);
    return this.#walk(now);
  }

  offer(snapshot: Snapshot, now: number): readonly SotwResponse[] {
    this.#snapshot = snapshot;
    return this.#walk(now);
  }

  #walk(now: number): readonly SotwResponse[] {
    const snapshot = this.#snapshot;
    if (snapshot === undefined) return [];
    const responses: SotwResponse[] = [];
    for (const type of resourceTypes) {
      const subscription = this.subscriptions.get(type);
      if (subscription === undefined || type === 'RouteConfiguration' || type === 'Secret') continue;
      if (subscription.pending !== undefined) continue;
      if (type === 'Listener' && (this.#isPending('Cluster') || this.#isPending('ClusterLoadAssignment')))
        continue;
      const set = this.#set(subscription, snapshot);
      if (!this.#isDue(subscription, set)) continue;
      responses.push(this.#send(subscription, set, snapshot, now));
    }
    return responses;
  }

  #set(subscription: SotwSubscription, snapshot: Snapshot): ReadonlyMap<string, Resource> {
    const wanted = subscription.wanted(snapshot.resources[subscription.type]);
    if (subscription.type !== 'Cluster' || this.#listenersQuiet(snapshot)) return wanted;
    const kept = [...subscription.sent].filter(([name]) => !wanted.has(name));
    return new Map([...wanted, ...kept]);
  }

  #isDue(subscription: SotwSubscription, set: ReadonlyMap<string, Resource>): boolean {
    const { asks, sent, type } = subscription;
    if (type === 'Listener' && set.size === 0 && sent.size === 0) return false; // no listeners yet is no news
    if (asks) return true;
    for (const [name, { version }] of set) if (sent.get(name)?.version !== version) return true;
    if (type === 'ClusterLoadAssignment') return [...this.#owed].some((name) => set.has(name));
    return [...sent.keys()].some((name) => !set.has(name));
  }

  #send(
    subscription: SotwSubscription,
    set: ReadonlyMap<string, Resource>,
    snapshot: Snapshot,
    now: number,
  ): SotwResponse {
    const { type } = subscription;
    if (type === 'Cluster') {
      for (const [name, { version }] of set)
        if (subscription.sent.get(name)?.version !== version) this.#owed.add(name);
      for (const name of this.#owed) if (!set.has(name)) this.#owed.delete(name);
    }
    if (type === 'ClusterLoadAssignment') for (const name of set.keys()) this.#owed.delete(name);
    this.#responses++;
    const nonce = this.#responses.toString(16).padStart(8, '0');
    subscription.went(nonce, set, now);
    const whole = type === 'Cluster' ? set : snapshot.resources[type];
    return { type, version: setVersion(whole.values()), resources: [...set.values()], nonce };
  }

  #listenersQuiet(snapshot: Snapshot): boolean {
    const listeners = this.subscriptions.get('Listener');
    if (listeners === undefined) return true;
    return (
      listeners.pending === undefined &&
      !this.#isDue(listeners, listeners.wanted(snapshot.resources.Listener))
    );
  }

  #isPending(type: ResourceType): boolean {
    return this.subscriptions.get(type)?.pending !== undefined;
  }
}
