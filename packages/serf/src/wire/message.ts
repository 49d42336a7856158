/**
 * message.ts: everything one serf can say to another, as one union.
 *
 * A message is a type byte followed by a msgpack struct. It travels as the payload of a memberlist user message;
 * push/pull as the user state of a memberlist push/pull; conflict and key messages as payloads of queries and of
 * their answers. serf messages.go, internal_query.go.
 * Lives here: shapes, type bytes, flags. Must not live here: bytes (codec.ts), decisions (core/).
 */

/** The first byte of every message. serf messages.go, `messageType`. */
export const messageType = {
  leave: 0,
  join: 1,
  pushPull: 2,
  userEvent: 3,
  query: 4,
  queryResponse: 5,
  conflictResponse: 6,
  keyRequest: 7,
  keyResponse: 8,
  relay: 9,
} as const;

/** An unsigned 64-bit Lamport time. */
export type LamportTime = bigint;

export type Message =
  | LeaveIntent
  | JoinIntent
  | PushPull
  | UserEventMessage
  | QueryMessage
  | QueryResponseMessage
  | ConflictResponse
  | KeyRequest
  | KeyResponse
  | Relay;

/** `node` is leaving, or is to be taken for having left; with `prune` it is to be forgotten at once. */
export interface LeaveIntent {
  readonly kind: 'leave';
  readonly ltime: LamportTime;
  readonly node: string;
  readonly prune: boolean;
}

export interface JoinIntent {
  readonly kind: 'join';
  readonly ltime: LamportTime;
  readonly node: string;
}

/** One side's clocks, what it knows of everybody's intents, and recent user events. */
export interface PushPull {
  readonly kind: 'pushPull';
  readonly ltime: LamportTime;
  /** By member name, the time of its newest intent; null as Go's nil map. */
  readonly statusLTimes: ReadonlyMap<string, LamportTime> | null;
  readonly leftMembers: readonly string[] | null;
  readonly eventLTime: LamportTime;
  /** A ring buffer as it is, with its holes. */
  readonly events: readonly (UserEventsAt | null)[] | null;
  readonly queryLTime: LamportTime;
}

/** All user events of one Lamport time. */
export interface UserEventsAt {
  readonly ltime: LamportTime;
  readonly events: readonly { readonly name: string; readonly payload: Uint8Array | null }[];
}

/** A nil payload and an empty one mean the same; kept apart only so that a re-encoded message stays the same. */
export interface UserEventMessage {
  readonly kind: 'userEvent';
  readonly ltime: LamportTime;
  readonly name: string;
  readonly payload: Uint8Array | null;
  /** May be coalesced by receivers. */
  readonly coalesce: boolean;
}

export const queryFlag = { ack: 1, noBroadcast: 2 } as const;

export interface QueryMessage {
  readonly kind: 'query';
  readonly ltime: LamportTime;
  /** Unsigned 32-bit, random. */
  readonly id: number;
  /** Where answers go; 4 or 16 bytes. */
  readonly addr: Uint8Array | null;
  readonly port: number;
  readonly sourceNode: string;
  /** Each an encoded `Filter`; all must let us pass. */
  readonly filters: readonly Uint8Array[] | null;
  /** Bits of `queryFlag`. */
  readonly flags: number;
  /** How many members pass each answer on besides the direct one; 0..255. */
  readonly relayFactor: number;
  /** Nanoseconds from arrival, signed. */
  readonly timeoutNs: bigint;
  readonly name: string;
  readonly payload: Uint8Array | null;
}

export interface QueryResponseMessage {
  readonly kind: 'queryResponse';
  readonly ltime: LamportTime;
  readonly id: number;
  readonly from: string;
  /** `queryFlag.ack`: this only says that the query arrived. */
  readonly flags: number;
  readonly payload: Uint8Array | null;
}

/** What somebody knows about a disputed name; undefined when nothing. */
export interface ConflictResponse {
  readonly kind: 'conflictResponse';
  readonly member: ConflictMember | undefined;
}

export interface ConflictMember {
  readonly name: string;
  readonly addr: Uint8Array | null;
  readonly port: number;
  readonly tags: Readonly<Record<string, string>> | null;
  /** 0 none, 1 alive, 2 leaving, 3 left, 4 failed. */
  readonly status: number;
  readonly protocolMin: number;
  readonly protocolMax: number;
  readonly protocolCur: number;
  readonly delegateMin: number;
  readonly delegateMax: number;
  readonly delegateCur: number;
}

interface KeyRequest {
  readonly kind: 'keyRequest';
  /** 16, 24 or 32 bytes; empty for list-keys. */
  readonly key: Uint8Array | null;
}

export interface KeyResponse {
  readonly kind: 'keyResponse';
  readonly result: boolean;
  readonly message: string;
  /** base64 */
  readonly keys: readonly string[] | null;
  /** base64; '' from releases before 0.9.4 and where there is none. */
  readonly primaryKey: string;
}

/** `inner` is a whole serf message, to be sent on to the destination as it is. */
export interface Relay {
  readonly kind: 'relay';
  readonly addr: Uint8Array | null;
  readonly port: number;
  readonly zone: string;
  readonly node: string;
  readonly inner: Uint8Array;
}

/** Who is meant by a query: members by name, or those whose tag matches a regular expression (RE2, unanchored). */
export type Filter =
  | { readonly kind: 'nodes'; readonly names: readonly string[] }
  | { readonly kind: 'tag'; readonly tag: string; readonly expression: string };
