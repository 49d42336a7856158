/**
 * events.ts: what the application hears.
 *
 * Lives here: shapes. Must not live here: when they come (core.ts), held back or not (coalesce.ts).
 */
import type { Millis } from '../ports.ts';
import type { LamportTime } from '../wire/message.ts';
import type { SerfMember } from './members.ts';

export type SerfEvent = MemberEvent | UserEvent | QueryEvent;

export interface MemberEvent {
  /** `leave`: it meant to go; `failed`: it did not; `reap`: it is forgotten. */
  readonly kind: 'member-join' | 'member-leave' | 'member-failed' | 'member-update' | 'member-reap';
  readonly members: readonly SerfMember[];
}

export interface UserEvent {
  readonly kind: 'user';
  readonly ltime: LamportTime;
  readonly name: string;
  readonly payload: Uint8Array;
  /** The sender allows that only the newest of this name is told. */
  readonly coalesce: boolean;
}

/** A query somebody asks us; `QueryEvent` wraps it with the way to answer. */
export interface IncomingQuery {
  readonly ltime: LamportTime;
  readonly id: number;
  readonly name: string;
  readonly payload: Uint8Array;
  /** Where the answer goes. */
  readonly addr: Uint8Array;
  readonly port: number;
  /** Who asks; '' from releases before 0.9.0. */
  readonly sourceNode: string;
  readonly relayFactor: number;
  /** Answers after this are not sent. */
  readonly until: Millis;
}

export interface QueryEvent {
  readonly kind: 'query';
  readonly query: IncomingQuery;
  /** Once, before `query.until`. Throws SerfError: query_expired, query_answered, response_too_large. */
  respond(payload: Uint8Array): void;
}
