/**
 * index.ts: the public door of @fed/serf.
 */
export type {
  Candidate,
  KeyOutcome,
  Keys,
  Query,
  QueryOptions,
  QueryResponse,
  Serf,
  SerfOptions,
} from './api.ts';
export { defaults, type SerfConfig } from './config.ts';
export { distanceNs } from './core/coordinates.ts';
export type { IncomingQuery, MemberEvent, QueryEvent, SerfEvent, UserEvent } from './core/events.ts';
export type { MemberStatus, SerfMember } from './core/members.ts';
export { SerfError, WireError } from './errors.ts';
export { readKeyringFile, writeKeyringFile } from './keyring-file.ts';
export { openSerf } from './open.ts';
export type { Clock, LogEvent, Millis, Rng } from './ports.ts';
export type { Coordinate } from './wire/ack-payload.ts';
export { decodeTags, encodeTags, type Tags } from './wire/tags.ts';
