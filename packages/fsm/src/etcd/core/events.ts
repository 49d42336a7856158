/**
 * events.ts: what the core is told, and what it wants done.
 *
 * Lives here: the two unions. Must not live here: what leads from one to the other (core.ts).
 * Every effect that asks etcd is one attempt and is answered by one event; whether to try again is decided in the core.
 */
import type { EtcdLogErrorCode } from '../errors.ts';
import type { Entry } from '../wire/values.ts';

/** Something a writer waits for. `id` is the shell's, which keeps the promise. */
export type Job =
  | {
      readonly kind: 'command';
      readonly id: number;
      readonly command: Uint8Array;
      readonly term?: number | undefined;
    }
  | {
      readonly kind: 'install';
      readonly id: number;
      readonly atLeast: number;
      readonly records: readonly Uint8Array[];
    };

/** The leader key as it stands in etcd. */
export interface Seen {
  /** Revision of the key's last change. */
  readonly term: number;
  readonly address: string;
  readonly lease: number;
}

/** Why a call failed. `sure`: it had no effect and will have none. */
export interface Failure {
  readonly code:
    | 'unavailable'
    | 'full'
    | 'denied'
    | 'gone'
    | 'compacted'
    | 'rejected'
    | 'corrupt'
    | 'deposed';
  readonly sure: boolean;
  readonly detail: string;
}

export type Event =
  | { readonly kind: 'start' }
  | { readonly kind: 'append'; readonly job: Job }
  | { readonly kind: 'barrier'; readonly id: number }
  | { readonly kind: 'barrierAborted'; readonly id: number }
  | { readonly kind: 'compact'; readonly id: number }
  | { readonly kind: 'resign'; readonly id: number }
  | { readonly kind: 'deadline' } // the moment `deadline()` asked for has come, perhaps late
  | { readonly kind: 'halted' } // the state machine threw
  | { readonly kind: 'close' }
  // answers to `sync`, in this order
  | { readonly kind: 'snapshotRead'; readonly run: number; readonly index: number; readonly bytes: number }
  | { readonly kind: 'entry'; readonly entry: Entry; readonly bytes: number; readonly revision: number }
  | {
      readonly kind: 'synced';
      readonly run: number;
      readonly revision: number;
      readonly leader: Seen | undefined;
      readonly head: { readonly index: number; readonly id: string };
      readonly snapshotIndex: number;
    }
  | { readonly kind: 'syncFailed'; readonly run: number; readonly failure: Failure }
  // what a watch hears, besides `entry`
  | { readonly kind: 'heard'; readonly watch: number }
  | { readonly kind: 'leader'; readonly revision: number; readonly leader: Seen | undefined }
  | { readonly kind: 'watchLost'; readonly watch: number; readonly failure: Failure }
  /** Answer to `askLease`. */
  | {
      readonly kind: 'leaseSeen';
      readonly lease: number;
      readonly leftMs: number;
      readonly ttlMs: number;
    }
  // answers to grant, campaign, keepAlive
  | {
      readonly kind: 'granted';
      readonly lease: number;
      readonly ttlMs: number;
      readonly askedAt: number;
    }
  | { readonly kind: 'grantFailed'; readonly failure: Failure }
  | {
      readonly kind: 'won';
      readonly lease: number;
      readonly term: number;
      readonly head: { readonly index: number; readonly revision: number };
    }
  | {
      readonly kind: 'lost';
      readonly lease: number;
      readonly revision: number;
      readonly leader: Seen | undefined;
    }
  | { readonly kind: 'campaignFailed'; readonly lease: number; readonly failure: Failure }
  | {
      readonly kind: 'keptAlive';
      readonly lease: number;
      readonly askedAt: number;
    }
  | { readonly kind: 'keepAliveFailed'; readonly lease: number; readonly failure: Failure }
  | { readonly kind: 'revoked'; readonly lease: number }
  | { readonly kind: 'revokeFailed'; readonly lease: number; readonly failure: Failure }
  // answers to commit: written now or by an earlier attempt; somebody else's term; neither known
  | { readonly kind: 'committed'; readonly id: string; readonly revision: number }
  | { readonly kind: 'conflict'; readonly id: string }
  | { readonly kind: 'commitFailed'; readonly id: string; readonly failure: Failure }
  // answers to readBarrier; no head: we do not lead
  | { readonly kind: 'barrierRead'; readonly term: number; readonly headIndex: number | undefined }
  | { readonly kind: 'barrierFailed'; readonly failure: Failure }
  // answers to takeSnapshot
  | { readonly kind: 'snapshotTaken'; readonly index: number; readonly bytes: number }
  | { readonly kind: 'snapshotFailed'; readonly failure: Failure };

export type Effect =
  /** Read the state from etcd: a snapshot if `after` is older, then the log. Calls off an earlier one. */
  | { readonly kind: 'sync'; readonly timeoutMs: number; readonly run: number; readonly after: number }
  | { readonly kind: 'watch'; readonly watch: number; readonly from: number }
  | { readonly kind: 'unwatch'; readonly suspect: boolean }
  | { readonly kind: 'askLife' }
  /** How long does the leader's lease still stand? */
  | { readonly kind: 'askLease'; readonly timeoutMs: number; readonly lease: number }
  | { readonly kind: 'grant'; readonly timeoutMs: number; readonly ttlMs: number }
  /** Put our own key in the place of that of the term `over`; 0: where none stands. */
  | { readonly kind: 'campaign'; readonly timeoutMs: number; readonly lease: number; readonly over: number }
  | { readonly kind: 'keepAlive'; readonly lease: number; readonly timeoutMs: number }
  | { readonly kind: 'revoke'; readonly timeoutMs: number; readonly lease: number }
  | {
      readonly kind: 'commit';
      readonly timeoutMs: number;
      readonly entry: Entry;
      readonly term: number;
      readonly headRevision: number;
      readonly install: readonly Uint8Array[] | undefined;
    }
  | { readonly kind: 'readBarrier'; readonly timeoutMs: number; readonly term: number }
  | { readonly kind: 'takeSnapshot'; readonly index: number; readonly term: number }
  /** Give the commands to the state machine, and each result to its job, where somebody still waits. */
  | { readonly kind: 'apply'; readonly entry: Entry; readonly jobs: readonly (number | undefined)[] }
  /** Replace the state by the snapshot that was just read. */
  | { readonly kind: 'restore'; readonly index: number }
  | {
      readonly kind: 'applyInstall';
      readonly records: readonly Uint8Array[];
      readonly index: number;
      readonly job: number | undefined;
    }
  /** A barrier, a compaction, or an install that was found to have succeeded. */
  | { readonly kind: 'done'; readonly id: number; readonly index: number }
  | { readonly kind: 'fail'; readonly id: number; readonly code: EtcdLogErrorCode; readonly detail: string }
  | { readonly kind: 'leadership' }
  | { readonly kind: 'opened' }
  | { readonly kind: 'resynced' }
  | { readonly kind: 'linkLost'; readonly failure: Failure }
  | { readonly kind: 'halt'; readonly detail: string }
  | { readonly kind: 'closed' };
