/**
 * keyring.ts: the keys we know, the one we speak with first.
 *
 * Rotation is install everywhere, use everywhere, remove everywhere: for a while members speak with different keys,
 * so everything received is tried with each key in ring order. memberlist keyring.go.
 * Lives here: the ordered set and its rules. Must not live here: ciphers, files, who may change the ring.
 */
import { createSecretKey, type KeyObject } from 'node:crypto';

/** One AES key, imported once so that no packet pays for it. */
export interface AesKey {
  readonly bytes: Uint8Array;
  readonly secret: KeyObject;
  readonly algorithm: 'aes-128-gcm' | 'aes-192-gcm' | 'aes-256-gcm';
}

/** The ring is as it was before. */
export class KeyringError extends Error {
  override readonly name = 'KeyringError';
  readonly code: 'key_size' | 'primary_missing' | 'key_unknown' | 'primary_in_use';

  constructor(code: KeyringError['code'], detail: string) {
    super(`[${code}] ${detail}`);
    this.code = code;
  }
}

export class Keyring {
  #ring: readonly AesKey[] = [];

  /**
   * @param keys 16, 24 or 32 bytes each, tried in this order after the primary
   * @param primary encrypts; must be given as soon as there are keys, and need not be repeated among them
   * @throws KeyringError key_size | primary_missing
   */
  constructor(keys: readonly Uint8Array[] = [], primary?: Uint8Array) {
    if (primary === undefined || primary.length === 0) {
      if (keys.length === 0) return;
      throw new KeyringError(
        'primary_missing',
        'a ring with keys needs a primary: name the key to encrypt with',
      );
    }
    this.add(primary);
    for (const key of keys) this.add(key);
  }

  /** Appends; nothing happens if it is there. The first key of an empty ring becomes the primary. */
  add(key: Uint8Array): void {
    const entry = importKey(key);
    if (this.#find(key) === undefined) this.#ring = [...this.#ring, entry];
  }

  /** Makes a key of the ring the primary: it moves to the front. @throws KeyringError key_unknown */
  use(key: Uint8Array): void {
    const entry = this.#find(key);
    if (entry === undefined)
      throw new KeyringError('key_unknown', 'only a key of the ring can be used: add it first');
    this.#ring = [entry, ...this.#ring.filter((other) => other !== entry)];
  }

  /** Nothing happens if it is not there. @throws KeyringError primary_in_use */
  remove(key: Uint8Array): void {
    const entry = this.#find(key);
    if (entry === undefined) return;
    if (entry === this.#ring[0]) {
      throw new KeyringError('primary_in_use', 'the primary cannot be removed: use another key first');
    }
    this.#ring = this.#ring.filter((other) => other !== entry);
  }

  /** Copies, primary first. */
  keys(): readonly Uint8Array[] {
    return this.#ring.map((entry) => entry.bytes.slice());
  }

  /** A copy; undefined while the ring is empty. */
  get primary(): Uint8Array | undefined {
    return this.#ring[0]?.bytes.slice();
  }

  get size(): number {
    return this.#ring.length;
  }

  /** For encrypt.ts: primary first, never changed in place. */
  get ring(): readonly AesKey[] {
    return this.#ring;
  }

  #find(key: Uint8Array): AesKey | undefined {
    return this.#ring.find((entry) => Buffer.compare(entry.bytes, key) === 0);
  }
}

function importKey(key: Uint8Array): AesKey {
  const bytes = new Uint8Array(key); // a copy, also of a Buffer, whose slice() is none
  return { bytes, secret: createSecretKey(bytes), algorithm: algorithmFor(bytes.length) };
}

function algorithmFor(keyBytes: number): AesKey['algorithm'] {
  if (keyBytes === 16) return 'aes-128-gcm';
  if (keyBytes === 24) return 'aes-192-gcm';
  if (keyBytes === 32) return 'aes-256-gcm';
  throw new KeyringError('key_size', `a key has 16, 24 or 32 bytes, this one has ${keyBytes}`);
}
