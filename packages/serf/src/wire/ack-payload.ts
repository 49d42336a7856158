/**
 * ack-payload.ts: the network coordinate that rides on every memberlist ack: a version byte, then a msgpack struct.
 *
 * serf ping_delegate.go; coordinate/coordinate.go. About 130 bytes, small enough for the room an ack has.
 * Lives here: coordinate to bytes and back. Must not live here: whether a coordinate makes sense (core/coordinates.ts).
 */
import { Reader, Writer } from '@fed/msgpack';
import { WireError } from '../errors.ts';
import { decoding, readList, readStruct } from './struct.ts';

/** Seconds, in a space where distances estimate round trips. serf coordinate.Coordinate. */
export interface Coordinate {
  readonly vec: readonly number[];
  /** How sure this place is; starts at 1.5, small is good. Unitless. */
  readonly error: number;
  readonly adjustment: number;
  /** The way out of the host, added to every distance. */
  readonly height: number;
}

const pingVersion = 1;
/** Dimensions taken from a peer. Everybody has 8; another number is refused later, a huge one at once. */
const dimensionsMax = 256;

export function encodeAckPayload(c: Coordinate): Uint8Array {
  const w = new Writer(160).u8(pingVersion).map(4);
  w.str('Adjustment').float64(c.adjustment).str('Error').float64(c.error).str('Height').float64(c.height);
  w.str('Vec').array(c.vec.length);
  for (const x of c.vec) w.float64(x);
  return w.take();
}

/** Throws WireError; 'unknown_type' for another version. */
export function decodeAckPayload(payload: Uint8Array): Coordinate {
  if (payload.length === 0) throw new WireError('empty', 'an ack payload of no bytes');
  if (payload[0] !== pingVersion)
    throw new WireError('unknown_type', `ack payload version ${payload[0]}, ${pingVersion} is known`);
  return decoding('ack payload', () => {
    const r = new Reader(payload, 1);
    let vec: number[] = [];
    let error = 0;
    let adjustment = 0;
    let height = 0;
    readStruct(r, ['Vec', 'Error', 'Adjustment', 'Height'], (field) => {
      if (field === 'Vec') vec = readList(r, dimensionsMax, () => r.float()) ?? [];
      else if (field === 'Error') error = r.float();
      else if (field === 'Adjustment') adjustment = r.float();
      else height = r.float();
    });
    return { vec, error, adjustment, height };
  });
}
