/**
 * packed.ts: bytes at rest.
 *
 * A typed array takes some 200 bytes before its first one, a string of one-byte characters 16; and a table may have 100,000
 * rows with two of them each. So rows keep their bytes as text in which every character is one byte, and unpack them for
 * whoever asks.
 * Lives here: packing, unpacking, comparing. Must not live here: what the bytes mean.
 */

declare const isPacked: unique symbol;
export type Packed = string & { readonly [isPacked]: true };

export function pack(bytes: Uint8Array): Packed {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1') as Packed;
}

/** A copy of its own. */
export function unpack(packed: Packed): Uint8Array {
  const bytes = new Uint8Array(packed.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = packed.charCodeAt(at);
  return bytes;
}

/** Whether these are the bytes. */
export function holds(packed: Packed, bytes: Uint8Array): boolean {
  if (packed.length !== bytes.length) return false;
  for (let at = 0; at < bytes.length; at++) if (packed.charCodeAt(at) !== bytes[at]) return false;
  return true;
}
