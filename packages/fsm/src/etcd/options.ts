/**
 * options.ts: what an etcd log is told, and what it tells.
 *
 * Lives here: options and events. Must not live here: what they lead to.
 */
import type { EngineHooks } from '../engine.ts';
import type { Clock } from '../ports.ts';
import type { EtcdLogError } from './errors.ts';
import type { Etcd } from './ports.ts';

export interface EtcdTls {
  /** PEM. Without `ca` the system's authorities are trusted. */
  readonly ca?: string | Uint8Array;
  /** Both or none: proves who we are. */
  readonly cert?: string | Uint8Array;
  readonly key?: string | Uint8Array;
  /** Name expected in the endpoint's certificate, when it is not the host of the endpoint. */
  readonly serverName?: string;
}

/** Where etcd is, and how to be let in. */
export interface EtcdAccess {
  /** `http://host:port`, `https://host:port`, or `host:port` (TLS when `tls` is given). All of one cluster; at least one. */
  readonly endpoints: readonly string[];
  readonly tls?: EtcdTls;
  readonly username?: string;
  readonly password?: string;
}

export interface EtcdLogOptions extends EtcdAccess {
  /** Ends in "/"; nobody but the servers of this datacenter writes below it. */
  readonly prefix: string;
  /** Name of this server, for whoever reads the leader key. */
  readonly node: string;
  /** Where other servers reach this one: what they are told as `leaderAddress` while it leads. */
  readonly address: string;
  /**
   * A leader that etcd has not heard of for this long may be replaced, in ms (1 s, as a Consul server with
   * `raft_multiplier = 1`). In steps of a second: etcd tells no finer.
   */
  readonly leaseMs?: number;
  /** How long a write or barrier may take before its caller is told that it failed, in ms (10 s). */
  readonly writeTimeoutMs?: number;
  /** How long opening may take, in ms (30 s): etcd must answer, and the whole state be read. */
  readonly openTimeoutMs?: number;
  /** Bytes of commands gathered into one transaction, and the largest single command (1 MiB). etcd takes requests of 1.5 MiB unless told otherwise. */
  readonly entryBytesMax?: number;
  /** Bytes of all commands that wait (64 MiB). */
  readonly waitingBytesMax?: number;
  /** A snapshot is taken when the log has grown by this, in bytes (16 MiB), or by the size of the last snapshot, whichever is more. */
  readonly compactAfterBytes?: number;
  /** Largest piece of a snapshot, in bytes (512 KiB). */
  readonly chunkBytesMax?: number;
  /** Whether the leader drops etcd's history before the last snapshot but one (true). It is the whole cluster's history: say false where others share this etcd. */
  readonly compactHistory?: boolean;
  readonly clock?: Clock;
  readonly log?: (event: EtcdLogEvent) => void;
}

/** The same for openEtcdLog: around a state machine, and in tests on another etcd. */
export interface EtcdEngineOptions extends EtcdLogOptions, EngineHooks {
  readonly etcd?: Etcd;
  /** Distinguishes this run of this server from every other; random unless given. */
  readonly instance?: string;
}

export type EtcdLogEvent =
  | { readonly kind: 'opened'; readonly lastIndex: number; readonly snapshotIndex: number }
  | {
      readonly kind: 'leadership';
      readonly leader: boolean;
      readonly term: number;
      readonly leaderAddress: string | undefined;
    }
  /** Changes are not heard any more; reads here may be stale until `resynced`. */
  | { readonly kind: 'link_lost'; readonly error: unknown }
  | { readonly kind: 'resynced'; readonly lastIndex: number }
  | { readonly kind: 'call_failed'; readonly call: string; readonly error: unknown }
  | { readonly kind: 'compacted'; readonly index: number; readonly bytes: number }
  | { readonly kind: 'compaction_failed'; readonly error: unknown }
  /** Nothing is applied any more: the state machine threw, or etcd has another log than the one applied here. */
  | { readonly kind: 'halted'; readonly error: EtcdLogError };
