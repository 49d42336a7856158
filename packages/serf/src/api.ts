/**
 * api.ts: what the outside may ask of a serf, and what it is told.
 *
 * Lives here: the shapes of the public door. Must not live here: anything that runs (serf.ts).
 */
import type { JoinResult, Keyring, Memberlist, MemberlistConfig, Transport, Versions } from '@fed/memberlist';
import type { SerfConfig } from './config.ts';
import type { SerfEvent } from './core/events.ts';
import type { KeyReport } from './core/keys.ts';
import type { SerfMember } from './core/members.ts';
import type { Clock, LogEvent, Rng } from './ports.ts';
import type { Coordinate } from './wire/ack-payload.ts';
import type { LamportTime } from './wire/message.ts';
import type { Tags } from './wire/tags.ts';

/** One who wants in, as its alive message or a push/pull describes it. */
export interface Candidate {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly addr: Uint8Array;
  readonly tags: Tags;
  /** `left`: a push/pull says that it is gone. */
  readonly status: 'none' | 'left';
  readonly vsn: Versions;
}

export interface SerfOptions {
  /** Unique in the pool. */
  readonly name: string;
  /** At most 512 bytes encoded. */
  readonly tags: Tags;
  /** Ours from now on: closed with the serf, also when opening fails. */
  readonly transport: Transport;
  /** Over memberlist's `lan`. */
  readonly memberlist?: Partial<MemberlistConfig>;
  /** An empty or absent ring means plaintext. Key queries change it. */
  readonly keyring?: Keyring;
  readonly label?: string;
  /** Over `defaults`. */
  readonly config?: Partial<SerfConfig>;
  /** A reason keeps a member out: its alive messages are ignored, and a join that brings it is called off. */
  readonly refuseMember?: (candidate: Candidate) => string | undefined;
  /** How long a member that failed or left is remembered, in ms, if not as configured. */
  readonly forgetAfterMs?: (member: SerfMember, defaultMs: number) => number;
  /** Hears everything from the first event on, our own join included; `Serf.events` hears from its call on. */
  readonly onEvent?: (event: SerfEvent) => void;
  /** A member answered a probe of ours. */
  readonly onAnswer?: (name: string, rttMs: number) => void;
  readonly clock?: Clock;
  readonly rng?: Rng;
  readonly randomBytes?: (n: number) => Uint8Array;
  readonly log?: (event: LogEvent) => void;
}

export interface QueryOptions {
  /** Only these members. */
  readonly filterNodes?: readonly string[];
  /** Only members whose tags match these RE2 expressions, unanchored, by tag name. */
  readonly filterTags?: Readonly<Record<string, string>>;
  /** Have every member say at once that the query arrived. */
  readonly ack?: boolean;
  /** Have each answer passed on by this many other members as well; 0..255. */
  readonly relayFactor?: number;
  readonly timeoutMs?: number;
  readonly onAck?: (from: string) => void;
  readonly onResponse?: (response: QueryResponse) => void;
}

export interface QueryResponse {
  readonly from: string;
  readonly payload: Uint8Array;
}

/** A query under way. Disposing of it ends it early. */
export interface Query extends Disposable {
  readonly ltime: LamportTime;
  readonly timeoutMs: number;
  /** When time is up, or it was ended: who said what, one of each kind per member. Never rejects. */
  readonly done: Promise<{ readonly acks: readonly string[]; readonly responses: readonly QueryResponse[] }>;
}

/** Changes to the keys of all members. A report tells how it went; `failure` is undefined when all did it. */
export interface Keys {
  install(key: Uint8Array, o?: { readonly relayFactor?: number }): Promise<KeyOutcome>;
  use(key: Uint8Array, o?: { readonly relayFactor?: number }): Promise<KeyOutcome>;
  remove(key: Uint8Array, o?: { readonly relayFactor?: number }): Promise<KeyOutcome>;
  list(o?: { readonly relayFactor?: number }): Promise<KeyOutcome>;
}

export interface KeyOutcome extends KeyReport {
  readonly failure: string | undefined;
}

export interface Serf extends AsyncDisposable {
  readonly name: string;
  /** Everybody not yet forgotten, in any status, ourselves included. */
  members(): readonly SerfMember[];
  member(name: string): SerfMember | undefined;
  local(): SerfMember;
  /** Targets as memberlist takes them: `[name/]host[:port]`. Throws when none worked. */
  join(
    targets: readonly string[],
    o?: { readonly ignoreOld?: boolean; readonly signal?: AbortSignal },
  ): Promise<JoinResult>;
  /** A push/pull with this member now, whatever its state. */
  sync(name: string, o?: { readonly signal?: AbortSignal }): Promise<void>;
  /** Throws SerfError 'tags_too_large', or memberlist's 'timeout' while gossip goes on. */
  setTags(tags: Tags): Promise<void>;
  /** Says goodbye, gives it time to spread. Closing comes after. A second call waits for the first. */
  leave(): Promise<void>;
  /** A failed member is to count as left; with `prune` it is forgotten. Throws SerfError 'timeout'. */
  forceLeave(name: string, o?: { readonly prune?: boolean }): Promise<void>;
  events(listener: (event: SerfEvent) => void): Disposable;
  /** Throws SerfError 'event_too_large'. */
  userEvent(name: string, payload: Uint8Array, o?: { readonly coalesce?: boolean }): void;
  /** Throws SerfError: query_too_large, protocol_too_old. */
  query(name: string, payload: Uint8Array, o?: QueryOptions): Query;
  /** How long a query waits unless told otherwise, for the pool as it is now. */
  defaultQueryTimeoutMs(): number;
  readonly keys: Keys;
  /** Ours, or the last one heard of a member; undefined when unknown or switched off. */
  coordinate(name?: string): Coordinate | undefined;
  /** Keys and values as `consul info` shows them. */
  stats(): Record<string, string>;
  /** What peers sent that was worth a warning: messages dropped, queues too deep, answers that fit nowhere. By code. */
  warnings(): Readonly<Record<string, number>>;
  readonly keyring: Keyring | undefined;
  readonly memberlist: Memberlist;
  /** Why it is over; never rejects. */
  readonly closed: Promise<'closed' | 'name_conflict'>;
}
