/**
 * errors.ts: what can go wrong, by whose fault.
 *
 * SerfError: this call cannot do what it was asked; its code says why. WireError: bytes of a peer that mean nothing;
 * the message is dropped and nothing else changes. Branch on `code`, never on the message.
 */

export class SerfError extends Error {
  override readonly name = 'SerfError';
  readonly code:
    | 'bad_config' // an option makes no sense; nothing was opened
    | 'bad_name' // the node name breaks the naming rule that was asked for
    | 'tags_too_large' // above 512 bytes encoded; nothing was changed
    | 'event_too_large' // above userEventBytesMax; nothing was sent
    | 'query_too_large' // above queryBytesMax; nothing was sent
    | 'response_too_large' // above queryResponseBytesMax; nothing was sent, a smaller one may follow
    | 'query_expired' // the asker no longer waits
    | 'query_answered' // one answer per query
    | 'protocol_too_old' // queries need protocol 4, tags 3
    | 'timeout' // the broadcast did not get out in time; it goes on
    | 'not_alive'; // leaving, left or closed: joining and changing are over; closed: asking and telling, too
  constructor(code: SerfError['code'], detail: string, options?: ErrorOptions) {
    super(`[${code}] ${detail}`, options);
    this.code = code;
  }
}

export class WireError extends Error {
  override readonly name = 'WireError';
  readonly code:
    | 'empty' // not even a type byte
    | 'unknown_type' // a message type no release has
    | 'malformed' // the body is no msgpack, or not of the announced shape
    | 'out_of_range' // a number that its field cannot hold
    | 'too_many' // more entries than any honest peer sends
    | 'bad_expression' // a filter's regular expression that RE2 would refuse, or that is too big
    | 'bad_coordinate'; // not finite, or of another dimension
  constructor(code: WireError['code'], detail: string, options?: ErrorOptions) {
    super(`[${code}] ${detail}`, options);
    this.code = code;
  }
}
