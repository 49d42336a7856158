/**
 * errors.ts: what can go wrong on the way to another datacenter, by whose fault.
 *
 * WanfedError: this packet or stream surely did not arrive, for the reason its code names. Nothing else is
 * touched.
 * PeerProtocolError: the other side broke the framing; it ends that one connection and changes nothing else.
 * Branch on `code`, never on the message. The cause travels along, untouched.
 */

export class WanfedError extends Error {
  override readonly name = 'WanfedError';
  readonly code:
    | 'node_name_required' // the destination has no name, so nobody can say which datacenter it is in
    | 'bad_node_name' // the name is not `<node>.<datacenter>`
    | 'empty_packet' // a frame of length 0 would end the connection at the receiver
    | 'frame_too_large' // above 4 MiB the receiver drops the connection
    | 'queue_full' // pushed out by newer packets of the same destination
    | 'too_many_destinations' // more destinations in use than we keep state for
    | 'dial_failed' // the dial port said no; its error is the cause
    | 'dial_timeout' // the dial port said nothing
    | 'backing_off' // the last dial failed a moment ago; its error is the cause
    | 'write_failed' // the connection broke while this packet was on its way out
    | 'write_timeout' // the connection took no bytes for too long
    | 'aborted' // the caller's signal
    | 'closed'; // this transport has been shut down
  constructor(code: WanfedError['code'], detail: string, options?: ErrorOptions) {
    super(`[${code}] ${detail}`, options);
    this.code = code;
  }
}

export class PeerProtocolError extends Error {
  override readonly name = 'PeerProtocolError';
  readonly code:
    | 'empty_frame' // a length of 0: no gossip packet is empty
    | 'frame_too_large'; // a length above 4 MiB
  constructor(code: PeerProtocolError['code'], detail: string) {
    super(`[${code}] ${detail}`);
    this.code = code;
  }
}
