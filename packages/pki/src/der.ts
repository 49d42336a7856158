/**
 * der.ts: the pieces certificates are built from, over node-forge's asn1.
 *
 * node-forge costs some MiB and is needed only by who creates certificates, so it is loaded by them, when they begin.
 * Lives here: DER values by their ASN.1 names. Must not live here: X.509, keys.
 * Source: X.690; Go encoding/asn1 (which string type a text becomes).
 */
import type Forge from 'node-forge';

type Asn1 = Forge.asn1.Asn1;

export interface Der {
  sequence(...items: readonly Asn1[]): Asn1;
  set(...items: readonly Asn1[]): Asn1;
  oid(dotted: string): Asn1;
  bool(value: boolean): Asn1;
  /** A non-negative integer given big endian, of any length. */
  integer(bytes: Uint8Array): Asn1;
  bitString(bytes: Uint8Array, unusedBits?: number): Asn1;
  octetString(content: Uint8Array): Asn1;
  /** PrintableString where the text allows it, else UTF8String. */
  text(value: string): Asn1;
  /** UTCTime until 2049, GeneralizedTime from 2050 on; whole seconds. */
  time(unixMs: number): Asn1;
  null(): Asn1;
  /** Context tag `n` around other values. */
  explicit(n: number, ...items: readonly Asn1[]): Asn1;
  /** Context tag `n` in place of the type of `content`. */
  implicit(n: number, content: Uint8Array): Asn1;
  /** Already encoded. */
  parsed(der: Uint8Array): Asn1;
  encode(value: Asn1): Uint8Array;
  children(value: Asn1): readonly Asn1[];
  /** The content bytes of a value that is not made of others. */
  content(value: Asn1): Uint8Array;
  oidOf(value: Asn1): string;
  isExplicit(value: Asn1, n: number): boolean;
}

export type { Asn1 };

export async function loadDer(): Promise<Der> {
  const { default: forge } = await import('node-forge');
  const { asn1 } = forge;
  const { Class, Type } = asn1;
  const universal = (type: number, value: string | readonly Asn1[]): Asn1 =>
    asn1.create(
      Class.UNIVERSAL,
      type,
      typeof value !== 'string',
      typeof value === 'string' ? value : [...value],
    );
  const context = (n: number, value: string | readonly Asn1[]): Asn1 =>
    asn1.create(
      Class.CONTEXT_SPECIFIC,
      n,
      typeof value !== 'string',
      typeof value === 'string' ? value : [...value],
    );
  return {
    sequence: (...items) => universal(Type.SEQUENCE, items),
    set: (...items) => universal(Type.SET, items),
    oid: (dotted) => universal(Type.OID, asn1.oidToDer(dotted).getBytes()),
    bool: (value) => universal(Type.BOOLEAN, value ? '\xff' : '\x00'),
    integer: (bytes) => universal(Type.INTEGER, binary(shortestPositive(bytes))),
    bitString: (bytes, unusedBits = 0) =>
      universal(Type.BITSTRING, String.fromCharCode(unusedBits) + binary(bytes)),
    octetString: (content) => universal(Type.OCTETSTRING, binary(content)),
    text: (value) =>
      isPrintable(value)
        ? universal(Type.PRINTABLESTRING, value)
        : universal(Type.UTF8, binary(Buffer.from(value, 'utf8'))),
    time: (unixMs) => {
      const date = new Date(unixMs);
      return date.getUTCFullYear() < 2050
        ? universal(Type.UTCTIME, asn1.dateToUtcTime(date))
        : universal(Type.GENERALIZEDTIME, asn1.dateToGeneralizedTime(date));
    },
    null: () => universal(Type.NULL, ''),
    explicit: (n, ...items) => context(n, items),
    implicit: (n, content) => context(n, binary(content)),
    parsed: (der) => asn1.fromDer(binary(der)),
    encode: (value) => Buffer.from(asn1.toDer(value).getBytes(), 'latin1'),
    children: (value) => (typeof value.value === 'string' ? [] : value.value),
    content: (value) => Buffer.from(typeof value.value === 'string' ? value.value : '', 'latin1'),
    oidOf: (value) => asn1.derToOid(typeof value.value === 'string' ? value.value : ''),
    isExplicit: (value, n) => value.tagClass === Class.CONTEXT_SPECIFIC && value.type === n,
  };
}

/** node-forge's bytes are strings of one character per byte. */
function binary(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

/** As few bytes as the value needs, with a zero in front where the first would otherwise read as a sign. */
function shortestPositive(bytes: Uint8Array): Uint8Array {
  let first = 0;
  while (first < bytes.length - 1 && bytes[first] === 0) first += 1;
  const shortest = bytes.subarray(first);
  return shortest[0]! >= 0x80 ? Buffer.concat([Buffer.of(0), shortest]) : shortest;
}

/** Go also counts the asterisk, though the standard does not: certificates for wildcards carry it in their name. */
function isPrintable(text: string): boolean {
  return /^[A-Za-z0-9 '()+,\-./:=?*]*$/.test(text);
}
