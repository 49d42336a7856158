/**
 * message.ts: everything two members can say to each other, as one union.
 *
 * A message is its type byte followed by a msgpack body. The onion around it (label, encryption, crc, compression,
 * compound) is not a message: it is peeled off before anybody sees one of these. memberlist net.go, state.go.
 * Lives here: the shapes, their type bytes. Must not live here: bytes to shapes and back (codec.ts), decisions.
 */

/** The first byte of every message and of every layer of the onion. memberlist net.go, `messageType`. */
export const messageType = {
  ping: 0,
  indirectPing: 1,
  ack: 2,
  suspect: 3,
  alive: 4,
  dead: 5,
  pushPull: 6,
  compound: 7,
  user: 8,
  compress: 9,
  encrypt: 10,
  nack: 11,
  crc: 12,
  err: 13,
  label: 244,
} as const;

/** Numbers that count (seqNo, incarnation) are unsigned 32-bit; ports are unsigned 16-bit. */
export type Message = Ping | IndirectPing | Ack | Nack | Suspect | Dead | Alive | UserMessage | ErrorMessage;

/** Are you there? `node` must be the receiver's name, or '' when the asker does not know it. */
export interface Ping {
  readonly kind: 'ping';
  readonly seqNo: number;
  readonly node: string;
  /** Where the answer goes; written by members that know who they are. 4 or 16 bytes. */
  readonly sourceAddr?: Uint8Array;
  readonly sourcePort?: number;
  readonly sourceNode?: string;
}

/** Please ping `target` for me; with `nack`, tell me also when it stays silent. */
export interface IndirectPing {
  readonly kind: 'indirectPing';
  readonly seqNo: number;
  /** 4 or 16 bytes. */
  readonly target: Uint8Array;
  readonly port: number;
  readonly node: string;
  readonly nack: boolean;
  readonly sourceAddr?: Uint8Array;
  readonly sourcePort?: number;
  readonly sourceNode?: string;
}

export interface Ack {
  readonly kind: 'ack';
  readonly seqNo: number;
  /** Opaque to membership; empty when there is none. */
  readonly payload: Uint8Array;
}

export interface Nack {
  readonly kind: 'nack';
  readonly seqNo: number;
}

export interface Suspect {
  readonly kind: 'suspect';
  readonly incarnation: number;
  readonly node: string;
  /** The accuser. */
  readonly from: string;
}

/** `from === node` means that the node left on its own. */
export interface Dead {
  readonly kind: 'dead';
  readonly incarnation: number;
  readonly node: string;
  readonly from: string;
}

export interface Alive {
  readonly kind: 'alive';
  readonly incarnation: number;
  readonly node: string;
  /** 4 or 16 bytes from well-behaved peers; as received otherwise. */
  readonly addr: Uint8Array;
  readonly port: number;
  readonly meta: Uint8Array;
  /** pMin, pMax, pCur, dMin, dMax, dCur; 6 bytes, or 0..n as received. */
  readonly vsn: Uint8Array;
}

/** Not ours to read: the payload belongs to whoever sits above membership. */
export interface UserMessage {
  readonly kind: 'user';
  readonly payload: Uint8Array;
}

/** The last word on a stream that the other side will not serve. */
export interface ErrorMessage {
  readonly kind: 'err';
  readonly error: string;
}

/** One side's whole table, and what the layer above wants to add. Travels on streams only. */
export interface PushPull {
  readonly join: boolean;
  readonly nodes: readonly NodeState[];
  readonly userState: Uint8Array;
}

/** 0 alive, 1 suspect, 2 dead, 3 left. memberlist state.go, `NodeStateType`. */
export type NodeStateCode = 0 | 1 | 2 | 3;

/** One row of the table inside a push/pull. */
export interface NodeState {
  readonly name: string;
  readonly addr: Uint8Array;
  readonly port: number;
  readonly meta: Uint8Array;
  readonly incarnation: number;
  readonly state: NodeStateCode;
  readonly vsn: Uint8Array;
}
