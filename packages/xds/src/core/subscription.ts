/**
 * subscription.ts: one resource type on one delta stream: what the client asked for, has, and was last sent.
 *
 * Think of a waiter's pad for one table: what was ordered, what has been served and accepted, what is on its way.
 * At most one tray is out at a time; what was refused is not brought again until the kitchen cooks something else.
 * Lives here: the pad of one type and the only writers of it. Must not live here: order between types (delta.ts).
 * Source: xDS protocol documentation (incremental variant); Consul agent/xds/delta.go (xDSDeltaType).
 */
import { type Holding, holdingsOf } from './holdings.ts';
import { ClientFault, type DeltaRequest, type Rejection } from './request.ts';
import type { Resource, ResourceType } from './resource.ts';
import type { ByName, DeltaResponse } from './snapshot.ts';

/** Most names one stream may subscribe to, or say it holds, per type. A federation needs some thousands at most. */
export const subscribedNamesMax = 65_536;

export interface Pending {
  readonly nonce: string;
  readonly since: number;
  readonly upserts: readonly Resource[];
  readonly removed: readonly string[];
}

/** The last refusal, for people. */
export interface Nack extends Rejection {
  readonly nonce: string;
  readonly at: number;
  readonly names: readonly string[];
}

export interface Due {
  readonly upserts: readonly Resource[];
  /** Answers to names asked for that do not exist: nobody depends on them, so they need not wait. */
  readonly absent: readonly string[];
  /** Resources the client holds that are gone: they wait until nothing refers to them any more. */
  readonly gone: readonly string[];
  /** Nothing to say, but the client waits for a first answer before it goes on. */
  readonly first: boolean;
}

export class Subscription {
  readonly type: ResourceType;
  wildcard = false;
  pending: Pending | undefined;
  nacks = 0;
  lastNack: Nack | undefined;
  lastAckAt: number | undefined;
  readonly explicit: Set<string> = new Set();
  /** What the client has accepted: name to version. */
  readonly acked: Map<string, string> = new Map();
  /** Versions the client refused. It may have kept part of them, so `acked` says nothing for these names. */
  readonly #rejected = new Map<string, string>();
  /** Names to answer whatever the client already has. */
  readonly #demanded = new Set<string>();
  /** Names the client said it holds, not yet compared with what there is. */
  #claimed: ReadonlySet<string>;
  #answered: boolean;

  /** The first request of a type on a stream; the only one whose initial versions count. */
  constructor(type: ResourceType, first: DeltaRequest) {
    this.type = type;
    this.wildcard = first.subscribe.length === 0;
    // A client that says what it holds has been answered before, on an earlier stream.
    this.#answered = first.initialVersions.size > 0;
    this.#claimed = new Set(first.initialVersions.keys());
    this.#bound(first.initialVersions.size);
    for (const [name, version] of first.initialVersions) {
      this.acked.set(name, version);
      if (!this.wildcard && !first.subscribe.includes('*')) this.explicit.add(name);
    }
    this.subscribe(first.subscribe, first.initialVersions);
  }

  /** I5. Applied before the nonce is looked at: neither a stale nonce nor a NACK takes a subscription back. */
  subscribe(names: readonly string[], held: ReadonlyMap<string, string> = new Map()): void {
    for (const name of names) {
      if (name === '*') {
        this.wildcard = true;
        continue;
      }
      this.explicit.add(name);
      if (!held.has(name)) this.#demanded.add(name);
    }
    this.#bound(this.explicit.size);
  }

  unsubscribe(names: readonly string[]): void {
    for (const name of names) {
      if (name === '*' && this.wildcard) {
        this.wildcard = false;
        for (const known of [...this.acked.keys(), ...this.#rejected.keys(), ...this.#demanded])
          if (!this.explicit.has(known)) this.#forget(known);
      } else if (this.explicit.delete(name)) {
        if (this.wildcard)
          this.#demanded.add(name); // still covered: the client wants to hear that it stays
        else this.#forget(name);
      }
    }
  }

  /** Whether the nonce was the one outstanding. Any other is ignored as an answer. */
  settle(nonce: string, error: Rejection | undefined, now: number): boolean {
    const { pending } = this;
    if (pending === undefined || pending.nonce !== nonce) return false;
    this.pending = undefined;
    if (error !== undefined) {
      this.nacks++;
      this.lastNack = {
        ...error,
        nonce,
        at: now,
        names: [...pending.upserts.map((r) => r.name), ...pending.removed],
      };
      for (const { name, version } of pending.upserts) this.#rejected.set(name, version);
      for (const name of pending.removed) this.#removed(name); // not repeated either
      return true;
    }
    this.lastAckAt = now;
    for (const { name, version } of pending.upserts) {
      this.#rejected.delete(name);
      if (this.covers(name)) this.acked.set(name, version);
    }
    for (const name of pending.removed) this.#removed(name);
    return true;
  }

  covers(name: string): boolean {
    return this.wildcard || this.explicit.has(name);
  }

  /** Before anything is compared: what the client says it holds and we no longer have is to be taken back. */
  verify(current: ByName): void {
    if (this.#claimed.size === 0) return;
    for (const name of this.#claimed) if (!this.wildcard && !current.has(name)) this.#demanded.add(name);
    this.#claimed = new Set();
  }

  /** `owed`: names whose parent went out again, so that the client needs them again though they did not change. */
  due(current: ByName, owed: ReadonlySet<string>): Due {
    const upserts: Resource[] = [];
    for (const resource of this.wildcard ? current.values() : pick(current, this.explicit))
      if (this.#demanded.has(resource.name) || owed.has(resource.name) || this.#differs(resource))
        upserts.push(resource);
    const absent = new Set([...this.#demanded].filter((name) => this.covers(name) && !current.has(name)));
    const gone = new Set<string>();
    // Explicit types hear of removals through the parent that referred to them.
    if (this.wildcard)
      for (const name of [...this.acked.keys(), ...this.#rejected.keys()])
        if (!current.has(name) && !absent.has(name)) gone.add(name);
    const first = !this.#answered && this.wildcard && this.type === 'Cluster';
    return { upserts, absent: [...absent], gone: [...gone], first };
  }

  sent(response: DeltaResponse, now: number): void {
    const { nonce, upserts, removed } = response;
    this.#answered = true;
    for (const { name } of upserts) this.#demanded.delete(name);
    for (const name of removed) this.#demanded.delete(name);
    this.pending = { nonce, since: now, upserts, removed };
  }

  /** For people. */
  holdings(current: ByName): readonly Holding[] {
    const { upserts = [], removed = [] } = this.pending ?? {};
    const underWay = new Set([...upserts.map((r) => r.name), ...removed]);
    const covers = (name: string): boolean => this.covers(name);
    return holdingsOf({ accepted: this.acked, refused: this.#rejected, underWay, covers }, current);
  }

  /** Whether nothing of this name is missing, under way or asked for. */
  settled(resource: Resource): boolean {
    return this.covers(resource.name) && !this.#demanded.has(resource.name) && !this.#differs(resource);
  }

  #differs({ name, version }: Resource): boolean {
    const rejected = this.#rejected.get(name);
    return rejected === undefined ? this.acked.get(name) !== version : rejected !== version;
  }

  #removed(name: string): void {
    this.acked.delete(name);
    this.#rejected.delete(name);
  }

  #forget(name: string): void {
    this.acked.delete(name);
    this.#rejected.delete(name);
    this.#demanded.delete(name);
  }

  #bound(names: number): void {
    if (names > subscribedNamesMax)
      throw new ClientFault(
        'resource_exhausted',
        `more than ${subscribedNamesMax} ${this.type} names on one stream`,
      );
  }
}

function* pick(current: ByName, names: ReadonlySet<string>): Iterable<Resource> {
  for (const name of names) {
    const resource = current.get(name);
    if (resource !== undefined) yield resource;
  }
}
