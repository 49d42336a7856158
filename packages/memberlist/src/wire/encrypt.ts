/**
 * encrypt.ts: one sealed envelope: version byte, 12 bytes of nonce, ciphertext, 16 bytes of tag. AES-GCM.
 *
 * Version 1 is the text as it is; version 0, for peers of protocol 1, pads it to blocks of 16 (PKCS#7), which GCM never
 * needed. Both are always read. The version byte itself is not authenticated in packets. memberlist security.go.
 * Lives here: the envelope. Must not live here: the keyring's rules, what the associated data are for.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { WireError, WireUsageError } from './errors.ts';
import type { AesKey } from './keyring.ts';

export type EncryptionVersion = 0 | 1;

export const nonceBytes = 12;
const tagBytes = 16;
const headBytes = 1 + nonceBytes;
const blockBytes = 16;

/** The most an envelope adds to its text: 45 bytes in version 0, 29 in version 1. */
export function encryptOverheadBytes(version: EncryptionVersion): number {
  return version === 0 ? headBytes + blockBytes + tagBytes : headBytes + tagBytes;
}

/** Length of the envelope around `plainBytes` of text. */
export function encryptedLength(version: EncryptionVersion, plainBytes: number): number {
  return headBytes + plainBytes + (version === 0 ? paddingLength(plainBytes) : 0) + tagBytes;
}

/** A full block when the text is aligned already. */
function paddingLength(plainBytes: number): number {
  return blockBytes - (plainBytes % blockBytes);
}

export interface Envelope {
  readonly version: EncryptionVersion;
  readonly key: AesKey;
  /** 12 bytes, never used twice with one key. */
  readonly nonce: Uint8Array;
  /** Authenticated, not sent. Empty and absent are the same. */
  readonly associated: Uint8Array;
}

/**
 * Writes the envelope around `head` followed by `body` at `offset`; returns where it ends. There must be room for
 * `encryptedLength` bytes. @throws WireUsageError nonce_size
 */
export function encryptInto(
  envelope: Envelope,
  head: Uint8Array,
  body: Uint8Array,
  into: Uint8Array,
  offset: number,
): number {
  const { version, key, nonce, associated } = envelope;
  if (nonce.length !== nonceBytes) {
    throw new WireUsageError(
      'nonce_size',
      `a nonce has ${nonceBytes} bytes, randomBytes gave ${nonce.length}`,
    );
  }
  into[offset] = version;
  into.set(nonce, offset + 1);
  let end = offset + headBytes;
  const cipher = createCipheriv(key.algorithm, key.secret, nonce, { authTagLength: tagBytes });
  if (associated.length > 0) cipher.setAAD(associated);
  const write = (text: Uint8Array): void => {
    into.set(cipher.update(text), end);
    end += text.length;
  };
  if (head.length > 0) write(head);
  write(body);
  if (version === 0) {
    const padding = paddingLength(head.length + body.length);
    write(Buffer.alloc(padding, padding));
  }
  cipher.final(); // GCM keeps nothing back: this only closes the tag
  into.set(cipher.getAuthTag(), end);
  return end + tagBytes;
}

/**
 * The text of an envelope, with the first key that opens it.
 * @throws WireError encryption_version | encryption_too_short | undecryptable | encryption_padding
 */
export function decrypt(keys: readonly AesKey[], sealed: Uint8Array, associated: Uint8Array): Uint8Array {
  if (sealed.length === 0) throw new WireError('encryption_too_short', 'cannot decrypt empty payload');
  const version = sealed[0]!;
  if (version > 1) throw new WireError('encryption_version', `unsupported encryption version ${version}`);
  if (sealed.length < encryptOverheadBytes(version as EncryptionVersion)) {
    throw new WireError('encryption_too_short', `payload is too small to decrypt: ${sealed.length}`);
  }
  const nonce = sealed.subarray(1, headBytes);
  const text = sealed.subarray(headBytes, sealed.length - tagBytes);
  const tag = sealed.subarray(sealed.length - tagBytes);
  for (const key of keys) {
    const plain = tryKey(key, nonce, text, tag, associated);
    if (plain !== undefined) return version === 0 ? unpad(plain) : plain;
  }
  throw new WireError('undecryptable', 'no installed keys could decrypt the message');
}

function tryKey(
  key: AesKey,
  nonce: Uint8Array,
  text: Uint8Array,
  tag: Uint8Array,
  associated: Uint8Array,
): Uint8Array | undefined {
  const decipher = createDecipheriv(key.algorithm, key.secret, nonce, { authTagLength: tagBytes });
  decipher.setAuthTag(tag);
  if (associated.length > 0) decipher.setAAD(associated);
  const plain = decipher.update(text);
  try {
    decipher.final();
  } catch {
    return undefined; // another key may fit: the tag is all that tells
  }
  return plain;
}

/** As Go reads it: the last byte counts, the other padding bytes are not looked at; Go crashes where we refuse. */
function unpad(padded: Uint8Array): Uint8Array {
  const padding = padded[padded.length - 1]!;
  if (padding > padded.length) {
    throw new WireError('encryption_padding', `padding of ${padding} bytes in a text of ${padded.length}`);
  }
  return padded.subarray(0, padded.length - padding);
}
