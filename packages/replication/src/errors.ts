/**
 * errors.ts: what can go wrong while records travel, by whose fault.
 *
 * PeerAnswerError: the other side answered something that is no answer; it ends one round and changes
 * nothing.
 * ReplicationError: a step of ours did not work, or was refused before anything was sent. Branch on `code`.
 */

export class PeerAnswerError extends Error {
  override readonly name = 'PeerAnswerError';
  readonly code:
    | 'bad_index' // no index a log could have
    | 'nameless_record' // a federation state without datacenter
    | 'duplicate_record' // two records of one datacenter
    | 'too_many_records';
  constructor(code: PeerAnswerError['code'], detail: string) {
    super(`[${code}] ${detail}`);
    this.code = code;
  }
}

export class ReplicationError extends Error {
  override readonly name = 'ReplicationError';
  readonly code:
    | 'timeout' // no answer within the budget
    | 'foreign_record'; // anti-entropy was about to write for another datacenter: a wiring mistake, nothing was sent
  constructor(code: ReplicationError['code'], detail: string) {
    super(`[${code}] ${detail}`);
    this.code = code;
  }
}

/** Why talking to the primary failed, as far as the caller's `classify` can tell. */
export type FailureKind =
  | 'transport' // the way is broken: says something about gateways
  | 'authorisation' // the token may not do this: says nothing about the way
  | 'gate'; // the other side has the feature switched off
