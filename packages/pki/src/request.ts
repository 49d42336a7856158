/**
 * request.ts: what stands in a certificate request (PKCS #10), and whether its own key signed it.
 *
 * A stranger's bytes, and the signature is over exactly those: so they are cut where they lie, never taken apart and put
 * together again. Lives here: reading. Must not live here: who is given a certificate.
 * Sources: RFC 2986, RFC 5280 §4.2.1.6 (names), RFC 5912 (signature algorithms); X.690 (DER).
 */
import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { PkiError } from './errors.ts';

export interface CertificateRequest {
  /** A DER Name. */
  readonly subject: Uint8Array;
  readonly publicKey: KeyObject;
  /** URIs among the names it asks for. */
  readonly uris: readonly string[];
}

/** Largest request taken, in bytes: one with a 4096 bit RSA key has about 1,700. */
const requestBytesMax = 64 * 1024;

const tag = { integer: 0x02, bitString: 0x03, octetString: 0x04, oid: 0x06, sequence: 0x30, set: 0x31 };
const attributesTag = 0xa0;
const uriTag = 0x86;
/** DER contents of the two identifiers looked for. */
const extensionRequest = Buffer.from('2a864886f70d01090e', 'hex'); // 1.2.840.113549.1.9.14
const subjectAltName = Buffer.from('551d11', 'hex'); // 2.5.29.17

/** DER contents of the signature algorithm to the digest node:crypto is told; null where the algorithm has its own. */
const digests: Readonly<Record<string, string | null>> = {
  '2a8648ce3d040302': 'sha256', // ecdsa-with-SHA256
  '2a8648ce3d040303': 'sha384',
  '2a8648ce3d040304': 'sha512',
  '2a864886f70d01010b': 'sha256', // sha256WithRSAEncryption
  '2a864886f70d01010c': 'sha384',
  '2a864886f70d01010d': 'sha512',
  '2b6570': null, // Ed25519
};

/** Throws PkiError `bad_request`. */
export function readRequest(pem: string): CertificateRequest {
  const der = fromPem(pem);
  const [info, algorithm, signature] = expect(children(one(der, tag.sequence)), 3);
  const [version, subject, spki, ...rest] = children(info!);
  if (version?.tag !== tag.integer || subject === undefined || spki === undefined)
    throw bad('it lacks version, subject or key');
  const publicKey = keyOf(spki.bytes);
  const id = algorithm!.tag === tag.sequence ? children(algorithm!)[0] : undefined;
  const digest = digests[id?.tag === tag.oid ? Buffer.from(id.content).toString('hex') : ''];
  if (digest === undefined)
    throw bad('it is signed with an algorithm that is not ECDSA, RSA or Ed25519 with SHA-2');
  if (!isSignedBy(publicKey, digest, info!.bytes, signature!))
    throw bad('its signature was not made with the key it asks a certificate for');
  return {
    subject: subject.bytes,
    publicKey,
    uris: rest.filter((part) => part.tag === attributesTag).flatMap(urisOf),
  };
}

function isSignedBy(key: KeyObject, digest: string | null, signed: Uint8Array, signature: Tlv): boolean {
  if (signature.tag !== tag.bitString || signature.content[0] !== 0) return false;
  try {
    return verify(digest, signed, key, signature.content.subarray(1));
  } catch {
    return false; // the algorithm is not one of this key's
  }
}

/** The extension request's subject alternative names that are URIs. */
function urisOf(attributes: Tlv): readonly string[] {
  const uris: string[] = [];
  for (const attribute of children(attributes)) {
    const [id, values] = children(attribute);
    if (id === undefined || values === undefined || !same(id.content, extensionRequest)) continue;
    for (const extensions of children(values))
      for (const extension of children(extensions)) {
        const parts = children(extension);
        const value = parts.at(-1);
        if (parts[0] === undefined || value?.tag !== tag.octetString) continue;
        if (!same(parts[0].content, subjectAltName)) continue;
        for (const name of children(one(value.content, tag.sequence)))
          if (name.tag === uriTag) uris.push(Buffer.from(name.content).toString('latin1'));
      }
  }
  return uris;
}

function keyOf(spki: Uint8Array): KeyObject {
  try {
    return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
  } catch (cause) {
    throw new PkiError('bad_request', 'the certificate request holds no public key we can read', { cause });
  }
}

function fromPem(pem: string): Uint8Array {
  if (pem.length > 2 * requestBytesMax) throw bad(`it has more than ${requestBytesMax} bytes`);
  const found = /-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----([\sA-Za-z0-9+/=]*)-----END/.exec(pem);
  if (found?.[1] === undefined) throw bad('it is not PEM of type CERTIFICATE REQUEST');
  return Buffer.from(found[1], 'base64');
}

/** One DER value: its tag, its content, and the bytes of the whole. */
interface Tlv {
  readonly tag: number;
  readonly content: Uint8Array;
  readonly bytes: Uint8Array;
}

function one(bytes: Uint8Array, wanted: number): Tlv {
  const value = read(bytes, 0);
  if (value.tag !== wanted || value.bytes.length !== bytes.length) throw bad('it is not DER');
  return value;
}

function children(value: Tlv): readonly Tlv[] {
  const found: Tlv[] = [];
  for (let at = 0; at < value.content.length; ) {
    const child = read(value.content, at);
    found.push(child);
    at += child.bytes.length;
  }
  return found;
}

function expect(values: readonly Tlv[], count: number): readonly Tlv[] {
  if (values.length !== count) throw bad('it is not a certification request');
  return values;
}

function read(bytes: Uint8Array, at: number): Tlv {
  const first = bytes[at + 1];
  if (first === undefined) throw bad('it ends early');
  let length = first;
  let start = at + 2;
  if (first >= 0x80) {
    const lengthBytes = first - 0x80;
    if (lengthBytes < 1 || lengthBytes > 3) throw bad('it is not DER');
    length = 0;
    for (let n = 0; n < lengthBytes; n += 1) length = length * 256 + (bytes[start + n] ?? 0);
    start += lengthBytes;
  }
  if (start + length > bytes.length) throw bad('it ends early');
  return {
    tag: bytes[at]!,
    content: bytes.subarray(start, start + length),
    bytes: bytes.subarray(at, start + length),
  };
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function bad(why: string): PkiError {
  return new PkiError('bad_request', `the certificate request cannot be used: ${why}`);
}
