/**
 * label.ts: the name of the network a packet or stream belongs to, in front of everything, in the clear.
 *
 * It keeps two clusters apart that can reach each other by accident; it is no secret, but encryption authenticates it.
 * f4, u8 length 1..255, label. memberlist label.go (since 0.3.0).
 * Lives here: the header, and whether a received one is ours. Must not live here: what happens to the rest.
 */
import { WireError, WireUsageError } from './errors.ts';
import { messageType } from './message.ts';

/** One length byte. */
const labelBytesMax = 255;

/** @throws WireUsageError label_too_long */
export function labelBytesOf(label: string): Uint8Array {
  const bytes = Buffer.from(label, 'utf8');
  if (bytes.length > labelBytesMax) {
    throw new WireUsageError(
      'label_too_long',
      `a label has at most ${labelBytesMax} bytes, this one ${bytes.length}`,
    );
  }
  return bytes;
}

/** Bytes the header takes: none without a label. */
export function labelOverheadBytes(label: Uint8Array): number {
  return label.length === 0 ? 0 : 2 + label.length;
}

/** Writes the header at `offset` and returns where it ends. Writes nothing for an empty label. */
export function writeLabelHeader(label: Uint8Array, into: Uint8Array, offset: number): number {
  if (label.length === 0) return offset;
  into[offset] = messageType.label;
  into[offset + 1] = label.length;
  into.set(label, offset + 2);
  return offset + 2 + label.length;
}

export interface LabelPolicy {
  /** Ours; empty for none. */
  readonly labelBytes: Uint8Array;
  readonly skipInboundLabelCheck: boolean;
}

/**
 * How many bytes of label header to remove from what arrived, or undefined while too little of it is there to tell.
 * @throws WireError label_malformed | label_mismatch | label_unexpected
 */
export function acceptLabelHeader(bytes: Uint8Array, policy: LabelPolicy): number | undefined {
  const { labelBytes, skipInboundLabelCheck } = policy;
  if (bytes.length === 0) return undefined;
  if (bytes[0] !== messageType.label) {
    if (labelBytes.length > 0 && !skipInboundLabelCheck) throw unacceptable(bytes.subarray(0, 0));
    return 0;
  }
  if (bytes.length < 2) return undefined;
  const labelLength = bytes[1]!;
  if (labelLength === 0) throw new WireError('label_malformed', 'label header cannot be empty when present');
  if (bytes.length < 2 + labelLength) return undefined;
  const received = bytes.subarray(2, 2 + labelLength);
  if (skipInboundLabelCheck) {
    throw new WireError(
      'label_unexpected',
      'a label header arrived although label checks are left to others',
    );
  }
  if (Buffer.compare(received, labelBytes) !== 0) throw unacceptable(received);
  return 2 + labelLength;
}

function unacceptable(received: Uint8Array): WireError {
  const text = Buffer.from(received.buffer, received.byteOffset, received.length).toString('utf8');
  return new WireError('label_mismatch', `unacceptable label ${JSON.stringify(text)}`);
}
