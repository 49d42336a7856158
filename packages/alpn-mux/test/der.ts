/** der.ts: one element of ASN.1, written. */
export function der(tag: number, content: Uint8Array): Buffer {
  const { length } = content;
  const long = Buffer.alloc(4);
  long.writeUInt32BE(length);
  const digits = long.subarray(long.findIndex((byte) => byte !== 0));
  const head = length < 0x80 ? Buffer.of(tag, length) : Buffer.of(tag, 0x80 | digits.length, ...digits);
  return Buffer.concat([head, content]);
}
