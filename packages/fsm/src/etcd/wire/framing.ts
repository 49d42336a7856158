/**
 * framing.ts: snapshot records one after another, each behind its length, and cutting them apart again.
 */
import { WireError } from './codec.ts';

export function frame(record: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(4 + record.length);
  framed.writeUInt32BE(record.length);
  framed.set(record, 4);
  return framed;
}

/** Throws WireError. Records are views into `bytes`. */
export function splitFramed(bytes: Uint8Array): readonly Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const records: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = at + 4 <= bytes.length ? view.getUint32(at) : Number.POSITIVE_INFINITY;
    if (at + 4 + length > bytes.length) throw new WireError('a snapshot record reaches beyond the end');
    records.push(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return records;
}
