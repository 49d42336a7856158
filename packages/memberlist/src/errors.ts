/**
 * errors.ts: what can go wrong, by whose fault.
 *
 * MemberlistError: this call cannot do what it was asked, for the reason its code names; nothing else is affected.
 * JoinError: the same for one address of a join. PeerError: the other side broke the protocol or refused us; it ends
 * one exchange and changes nothing else. Branch on `code`, never on the message.
 */

export class MemberlistError extends Error {
  override readonly name = 'MemberlistError';
  readonly code:
    | 'bad_config' // an option makes no sense; nothing was opened
    | 'meta_too_large' // above 512 bytes; nothing was changed
    | 'payload_too_large' // above 20 MiB; nothing was sent
    | 'node_name_required' // requireNodeNames is on and the target has no name; nothing was sent
    | 'bad_target' // a join target cannot be read
    | 'unresolvable' // a join target's host has no address
    | 'unknown_member' // no member of that name is in the table
    | 'join_failed' // none of the targets worked; `errors` has one entry per address
    | 'unreachable' // the stream could not be opened or broke
    | 'timeout' // the other side took too long, or the broadcast did not get out in time (it goes on)
    | 'aborted' // the caller's signal
    | 'closed'; // this memberlist has been shut down
  /** Per address, for 'join_failed'. */
  readonly errors: readonly JoinError[];
  constructor(
    code: MemberlistError['code'],
    detail: string,
    options?: ErrorOptions & { readonly errors?: readonly JoinError[] },
  ) {
    super(`[${code}] ${detail}`, options);
    this.code = code;
    this.errors = options?.errors ?? [];
  }
}

/** Why one address of a join did not work. */
export interface JoinError {
  /** The target as it was given. */
  readonly target: string;
  /** The address tried, as `host:port`; absent when the target never got that far. */
  readonly address?: string;
  readonly cause: MemberlistError | PeerError;
}

export class PeerError extends Error {
  override readonly name = 'PeerError';
  readonly code:
    | 'remote_error' // the peer answered with an error of its own; `remoteText` has it
    | 'malformed' // what it sent cannot be read
    | 'unexpected' // readable, but not what belongs here
    | 'incompatible' // protocol versions do not overlap; nothing was merged
    | 'refused'; // our own refuseMerge said no; nothing was merged
  readonly remoteText: string | undefined;
  constructor(
    code: PeerError['code'],
    detail: string,
    options?: ErrorOptions & { readonly remoteText?: string },
  ) {
    super(`[${code}] ${detail}`, options);
    this.code = code;
    this.remoteText = options?.remoteText;
  }
}
