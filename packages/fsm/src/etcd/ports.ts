/**
 * ports.ts: all that the log asks of an etcd cluster.
 *
 * Lives here: the shapes. Must not live here: gRPC (client.ts); its memory twin is in test/memory-etcd.ts.
 * Every call is one attempt at one endpoint and rejects with EtcdCallError; who calls decides whether to try again.
 * Keys are text, values bytes, revisions and leases numbers (we choose lease ids, all below 2^53).
 */
import type { EtcdCallError } from './errors.ts';

export interface Etcd extends AsyncDisposable {
  /** One transaction, linearizable. `success` runs when every comparison holds, `failure` when not. */
  txn(request: Txn, o: CallOptions): Promise<TxnResult>;
  /** The state as of `revision`. */
  range(request: Range & { readonly revision: number }, o: CallOptions): Promise<RangeResult>;
  /** Drops history before `revision`. */
  compact(revision: number, o: CallOptions): Promise<void>;
  grant(lease: number, ttlMs: number, o: CallOptions): Promise<{ readonly ttlMs: number }>;
  /** `gone` when the lease has ended. */
  keepAlive(lease: number, o: CallOptions): Promise<{ readonly ttlMs: number }>;
  revoke(lease: number, o: CallOptions): Promise<void>;
  /** How long the lease still stands, in whole seconds rounded down, and its full time; 0 or less when it has ended. */
  timeToLive(lease: number, o: CallOptions): Promise<{ readonly leftMs: number; readonly ttlMs: number }>;
  /** Changes from `from` on, until disposed or lost; `on` is not called afterwards. */
  watch(o: { readonly ranges: readonly WatchRange[]; readonly from: number }, on: WatchListener): Watching;
}

export interface CallOptions {
  readonly timeoutMs: number;
}

/** One key, or with `end` all keys in [key, end). */
export interface Range {
  readonly key: string;
  readonly end?: string;
  readonly limit?: number;
}

export interface KeyValue {
  readonly key: string;
  readonly value: Uint8Array;
  readonly modRevision: number;
  readonly lease: number;
}

export interface Compare {
  readonly key: string;
  /** Of its last change; 0: the key does not exist. */
  readonly revision: number;
}

export type Op =
  | { readonly put: string; readonly value: Uint8Array; readonly lease?: number }
  | { readonly delete: string; readonly end?: string }
  | { readonly range: Range };

export interface Txn {
  readonly compare?: readonly Compare[];
  readonly success: readonly Op[];
  readonly failure?: readonly Op[];
}

export interface TxnResult {
  readonly revision: number;
  readonly succeeded: boolean;
  /** Of each op that ran: what a range found, nothing for the others. */
  readonly found: readonly (readonly KeyValue[])[];
}

export interface RangeResult {
  readonly kvs: readonly KeyValue[];
  readonly more: boolean;
}

export interface WatchRange {
  readonly key: string;
  readonly end?: string;
  readonly puts?: 'only';
}

export interface WatchListener {
  /** One change of a key; deleted when `value` is undefined. */
  readonly change: (change: WatchChange) => void;
  /** Anything at all was heard. */
  readonly heard: () => void;
  readonly lost: (error: EtcdCallError) => void;
}

export interface WatchChange {
  readonly key: string;
  readonly revision: number;
  readonly value: Uint8Array | undefined;
  readonly lease: number;
}

export interface Watching extends Disposable {
  /** Asks for a sign of life, which arrives as `heard`. */
  ask(): void;
  /** Its endpoint does not answer: another's turn. */
  suspect(): void;
}
