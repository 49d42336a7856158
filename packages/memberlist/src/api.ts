/**
 * api.ts: what the outside may ask of a member of the gossip, and what it is told.
 *
 * Lives here: the shapes of the public door. Must not live here: anything that runs (memberlist.ts).
 */
import type { MemberlistConfig } from './config.ts';
import type { JoinError } from './errors.ts';
import type { Member, MemberChange } from './member.ts';
import type { Address, Clock, LogEvent, RandomBytes, ResolveHost, Rng, Transport } from './ports.ts';
import type { Keyring } from './wire/keyring.ts';

/**
 * What the layer above contributes and hears. All optional and synchronous. A hook that throws is our own side's bug:
 * it is logged as `hook_failed`; the member goes on as if the hook had nothing to say, and a `refuse...` hook as if it
 * had refused. Those that return something (meta, broadcasts, hasBroadcasts, localState, refuse..., ackPayload) are asked in the middle
 * of a turn: they may look at the memberlist, and must not call what changes it. The others may call anything.
 */
export interface Hooks {
  /** Our own meta, at most 512 bytes. Asked at the start and by `updateMeta`. */
  meta?(): Uint8Array;
  /** Somebody sent us this, as a packet or over a stream. The bytes are the hook's to keep, and not to change. */
  userMessage?(payload: Uint8Array): void;
  /** Extra broadcasts for one packet; each costs its length + `overhead`; the sum must stay within `limit` bytes. */
  broadcasts?(overhead: number, limit: number): readonly Uint8Array[];
  /**
   * Whether `broadcasts` has any. Optional: without it, it is asked at every gossip turn, and a member with nothing to tell
   * cannot sleep through them. A layer that answers calls `Memberlist.wake` when the answer turns to true.
   */
  hasBroadcasts?(): boolean;
  /** What we add to a push/pull. `join`: this exchange is part of a join. */
  localState?(join: boolean): Uint8Array;
  /** What the other side added to a push/pull; called after its members have been merged. */
  mergeRemoteState?(state: Uint8Array, join: boolean): void;
  /** In the order in which it happened; the first one is our own join. */
  changed?(change: MemberChange): void;
  /** Another address claims the name of a member; the claim was ignored. */
  conflict?(existing: Member, other: Member): void;
  /** A reason keeps this alive message out of the table. */
  refuseAlive?(member: Member): string | undefined;
  /** A reason calls off a join push/pull, in either role. Sees all remote members, whatever their state. */
  refuseMerge?(members: readonly Member[]): string | undefined;
  /** Rides on every ack we send. Keep it small. */
  ackPayload?(): Uint8Array;
  /** A direct probe was answered. */
  pingCompleted?(member: Member, rttMs: number, payload: Uint8Array): void;
}

export interface MemberlistOptions {
  /** Unique in the cluster. */
  readonly name: string;
  /** Ours from now on: closed with the memberlist, also when opening fails. */
  readonly transport: Transport;
  /** Over `lan`. */
  readonly config?: Partial<MemberlistConfig>;
  /** An empty or absent ring means plaintext. Keys may be added and removed while running. */
  readonly keyring?: Keyring;
  /** Up to 255 bytes; only members of the same label hear each other. */
  readonly label?: string;
  /** The last three version bytes; 0, 0, 0 when absent. */
  readonly delegateVersion?: { readonly min: number; readonly max: number; readonly cur: number };
  readonly hooks?: Hooks;
  readonly clock?: Clock;
  readonly rng?: Rng;
  readonly randomBytes?: RandomBytes;
  /** Names in join targets; the system's resolver by default. */
  readonly resolveHost?: ResolveHost;
  readonly log?: (event: LogEvent) => void;
}

export interface JoinResult {
  /** Addresses that answered. */
  readonly joined: number;
  readonly errors: readonly JoinError[];
}

/** Counters since opening. Packets are datagrams; messages are what was inside. */
export interface MemberlistStats {
  readonly packetsIn: number;
  readonly packetsOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly streamsIn: number;
  readonly streamsOut: number;
  readonly pushPullsInProgress: number;
  readonly broadcastsQueued: number;
  readonly inboxQueued: number;
  /** What was dropped or refused, by code. */
  readonly drops: Readonly<Record<string, number>>;
}

export interface Memberlist extends AsyncDisposable {
  readonly name: string;
  local(): Member;
  /** Alive and suspect ones, ourselves included. */
  members(): readonly Member[];
  /** The dead and left that are not yet forgotten, too. */
  all(): readonly Member[];
  member(name: string): Member | undefined;
  /** 0: healthy; up to awarenessMaxMultiplier - 1. */
  healthScore(): number;
  /** Table size, dead and left ones included: what limits and timeouts are computed from. */
  readonly numEstimated: number;
  /**
   * A push/pull with every address of every target `[name/]host[:port]`.
   * Throws MemberlistError 'join_failed' (with `errors`) only when none worked, 'aborted', 'closed'.
   */
  join(targets: readonly string[], o?: { readonly signal?: AbortSignal }): Promise<JoinResult>;
  /**
   * A push/pull with this member now, whatever its state, and another one if the first has not brought it back from the
   * dead. Throws MemberlistError or PeerError.
   */
  sync(name: string, o?: { readonly signal?: AbortSignal }): Promise<void>;
  /** One ping outside the probing order. Throws MemberlistError 'timeout' after probeTimeoutMs. */
  ping(to: Member | Address): Promise<{ readonly rttMs: number }>;
  /**
   * `hooks.meta` has something new: next incarnation, broadcast. Resolves when the broadcast has been sent often
   * enough, or nobody else is there. Throws 'meta_too_large', or 'timeout' (5 s by default) while gossip goes on.
   */
  updateMeta(o?: { readonly timeoutMs?: number }): Promise<void>;
  /** Tells the others that we go. Throws 'timeout' when that could not be spread in time. Closing comes after. */
  leave(o: { readonly timeoutMs: number }): Promise<void>;
  /** One datagram. Throws 'node_name_required' and 'closed'. */
  sendBestEffort(to: Member | Address, payload: Uint8Array): void;
  /** Over a stream of its own; resolved means that all of it was handed to the network. */
  sendReliable(
    to: Member | Address,
    payload: Uint8Array,
    o?: { readonly signal?: AbortSignal },
  ): Promise<void>;
  /** `hooks.hasBroadcasts` is true now: gossip turns are taken again from the next one on. Nothing happens otherwise. */
  wake(): void;
  stats(): MemberlistStats;
}
