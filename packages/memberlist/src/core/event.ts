/**
 * event.ts: what can happen to a member, and what it can want done.
 *
 * The core is a function of these: an event goes in, effects come out, in the order in which they are to be carried
 * out. Lives here: the two unions, the agenda's entries, and what the core borrows from its shell. Must not live here:
 * decisions.
 */
import type { Member, MemberChange } from '../member.ts';
import type { Address, HostPort } from '../ports.ts';
import type { Message, NodeState, Ping } from '../wire/message.ts';

/** Names a request of the shell, so that its answer finds the one who waits. */
export type Ticket = number;

export type Event =
  /** A message out of a packet. */
  | { readonly kind: 'message'; readonly message: Message; readonly from: HostPort }
  /** The moment `deadline()` asked for has come, perhaps late. */
  | { readonly kind: 'deadline' }
  /** The transport knows that the packet of this probe did not arrive. */
  | { readonly kind: 'probeSendFailed'; readonly seqNo: number }
  /** What became of the TCP ping of this probe. */
  | { readonly kind: 'tcpPingDone'; readonly seqNo: number; readonly contacted: boolean }
  /** The other side's half of a push/pull. */
  | {
      readonly kind: 'remoteState';
      readonly join: boolean;
      readonly nodes: readonly NodeState[];
      readonly userState: Uint8Array;
    }
  /** The layer above has something to tell. */
  | { readonly kind: 'wake' }
  /** Our meta has changed; `settled` follows. */
  | { readonly kind: 'updateMeta'; readonly meta: Uint8Array; readonly ticket: Ticket }
  /** We go; `settled` follows. */
  | { readonly kind: 'leave'; readonly ticket: Ticket }
  /** Ping somebody once; `pong` follows. */
  | { readonly kind: 'ping'; readonly to: Address; readonly ticket: Ticket };

export type Effect =
  /** One packet; `probe` asks for `probeSendFailed`. */
  | {
      readonly kind: 'send';
      readonly to: Address;
      /** Encoded, at least one. */
      readonly messages: readonly Uint8Array[];
      /** The receiver is known to read checksums. */
      readonly crc: boolean;
      readonly probe?: number;
    }
  /** A ping that had left got no answer in time: whatever carried it may be dead. */
  | { readonly kind: 'unanswered'; readonly to: Address }
  /** Ask over a stream what a packet could not; answered by `tcpPingDone`, of use until `deadline` only. */
  | { readonly kind: 'tcpPing'; readonly to: Address; readonly ping: Ping; readonly deadline: number }
  /** Exchange full state, outside of a join. */
  | { readonly kind: 'pushPull'; readonly to: Address }
  | { readonly kind: 'changed'; readonly change: MemberChange }
  | { readonly kind: 'conflict'; readonly existing: Member; readonly other: Member }
  | { readonly kind: 'userMessage'; readonly payload: Uint8Array }
  | { readonly kind: 'userState'; readonly state: Uint8Array; readonly join: boolean }
  | {
      readonly kind: 'pingCompleted';
      readonly member: Member;
      readonly rttMs: number;
      readonly payload: Uint8Array;
    }
  /** A remoteState was not merged. Always the only effect of its turn. */
  | { readonly kind: 'refused'; readonly code: 'incompatible' | 'refused'; readonly reason: string }
  /** The broadcast of this ticket has been told often enough, or there is nobody to tell. */
  | { readonly kind: 'settled'; readonly ticket: Ticket }
  | { readonly kind: 'pong'; readonly ticket: Ticket; readonly rttMs: number | undefined }
  /** Something was ignored that a healthy cluster does not send. */
  | { readonly kind: 'dropped'; readonly code: DropCode; readonly detail: string }
  /** Worth a line in the log. */
  | {
      readonly kind: 'noted';
      readonly level: 'debug' | 'info' | 'warn';
      readonly code: string;
      readonly text: string;
    };

export type DropCode =
  | 'ping_for_another' // a ping that names somebody else
  | 'bad_address' // an address that is neither 4 nor 16 bytes long
  | 'bad_versions' // an alive whose version range is empty
  | 'alive_refused' // the layer above refused it
  | 'address_not_allowed' // outside of cidrsAllowed
  | 'too_long' // a name or meta longer than any member has
  | 'inbox_full' // handled too slowly, or too many came at once
  | 'table_full' // more members than membersMax
  | 'relays_full' // more indirect pings in progress than relaysMax
  | 'unexpected_message'; // a kind that does not travel in packets

/** What the core asks of its shell while it thinks. Synchronous, and without effect on the core. */
export interface Policy {
  refuseAlive?(member: Member): string | undefined;
  refuseMerge?(members: readonly Member[]): string | undefined;
  broadcasts?(overhead: number, limit: number): readonly Uint8Array[];
  hasBroadcasts?(): boolean;
  ackPayload?(): Uint8Array;
  /** cidrsAllowed. */
  addressAllowed?(addr: Uint8Array): boolean;
  /** The transport's word on TCP pings, on top of the configuration's. */
  tcpPingsDisabled?(to: Address): boolean;
}

/** Room for broadcasts in one packet, in bytes; it changes with the keyring. A part of the packet codec. */
export interface PacketRoom {
  /** Beside a message of so many bytes. */
  piggybackRoomBytes(messageBytes: number): number;
  /** In a packet of their own. */
  gossipRoomBytes(): number;
}

/** The agenda's entries. */
export type Due =
  | { readonly kind: 'inbox' }
  | { readonly kind: 'gossip' }
  | { readonly kind: 'pushPull' }
  | { readonly kind: 'queueCheck' }
  | { readonly kind: 'probe' }
  | { readonly kind: 'probeTimeout' }
  | { readonly kind: 'probeEnd' }
  | { readonly kind: 'suspicion'; readonly name: string }
  | { readonly kind: 'relay'; readonly seqNo: number }
  | { readonly kind: 'ping'; readonly seqNo: number };

export type Emit = (effect: Effect) => void;
