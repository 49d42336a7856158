/**
 * errors.ts: what can go wrong between a command and an etcd cluster.
 *
 * Lives here: the two error classes. Must not live here: refused commands (../errors.ts), what is done about it (core/).
 */

/**
 * What writers and readers of the log are told. Only `log_outcome_unknown` leaves open whether the command is in the log.
 * - `log_not_leader`: another server leads, or nobody does; nothing was kept. `leaderAddress` says whom to ask instead
 * - `log_unavailable`: no endpoint answered in time; nothing was kept
 * - `log_outcome_unknown`: the connection was lost in the middle of the write, and neither its success nor its failure
 *   could be established in time
 * - `log_disk_full`: etcd's space quota is used up, or it has too many requests to answer; nothing was kept
 * - `log_denied`: etcd refuses our user, password or permissions, or the request itself; nothing was kept
 * - `log_too_large`, `log_busy`: the command, or all waiting commands together, are beyond the bound
 * - `log_corrupt`: what stands under our prefix is not a log of ours, or is older than what was already applied
 * - `log_halted`: the state machine threw while applying, so nothing after it can be applied
 * - `log_closed`: the engine was disposed
 */
export class EtcdLogError extends Error {
  override readonly name = 'EtcdLogError';
  readonly code: EtcdLogErrorCode;
  readonly leaderAddress: string | undefined;

  constructor(
    code: EtcdLogErrorCode,
    detail: string,
    o: { readonly cause?: unknown; readonly leaderAddress?: string | undefined } = {},
  ) {
    super(`[${code}] ${detail}`, o.cause === undefined ? {} : { cause: o.cause });
    this.code = code;
    this.leaderAddress = o.leaderAddress;
  }
}

export type EtcdLogErrorCode =
  | 'log_not_leader'
  | 'log_unavailable'
  | 'log_outcome_unknown'
  | 'log_disk_full'
  | 'log_denied'
  | 'log_too_large'
  | 'log_busy'
  | 'log_corrupt'
  | 'log_halted'
  | 'log_closed';

/**
 * One call to one endpoint that did not succeed. `sure` means: it certainly had no effect and will have none.
 * - `unavailable`: not reached, no answer in time, or an answer that leaves open what happened
 * - `full`, `denied`, `gone` (no such lease), `compacted` (history before that revision was dropped)
 * - `rejected`: the request itself is at fault
 */
export class EtcdCallError extends Error {
  override readonly name = 'EtcdCallError';
  readonly code: 'unavailable' | 'full' | 'denied' | 'gone' | 'compacted' | 'rejected';
  readonly sure: boolean;
  readonly endpoint: string;

  constructor(
    code: EtcdCallError['code'],
    endpoint: string,
    detail: string,
    o: { readonly sure: boolean; readonly cause?: unknown },
  ) {
    super(`etcd at ${endpoint}: ${detail}`, o.cause === undefined ? {} : { cause: o.cause });
    this.code = code;
    this.sure = o.sure;
    this.endpoint = endpoint;
  }
}
