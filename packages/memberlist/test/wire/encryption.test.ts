/**
 * encryption.test.ts: the envelope against Go's, and the rules of the ring.
 */
import { describe, expect, test } from 'vitest';
import { decrypt, encryptedLength, encryptInto, encryptOverheadBytes } from '../../src/wire/encrypt.ts';
import { Keyring } from '../../src/wire/keyring.ts';
import { bytes, type GoBytes, hex, load, ringOf } from './go-form.ts';

interface CryptoVector {
  readonly name: string;
  readonly kind: 'encrypt' | 'decrypt';
  readonly key?: string;
  readonly keys?: readonly string[];
  readonly nonce?: string;
  readonly aad: string;
  readonly version?: 0 | 1;
  readonly ok?: boolean;
  readonly error?: string;
  readonly hex: string;
  readonly decoded: GoBytes | null;
}

const vectors = load<CryptoVector>('crypto');
const none = new Uint8Array(0);

function sealed(v: CryptoVector, head: Uint8Array, body: Uint8Array): string {
  const into = new Uint8Array(encryptedLength(v.version!, head.length + body.length));
  const envelope = {
    version: v.version!,
    key: ringOf(v.key!)!.ring[0]!,
    nonce: bytes(v.nonce!),
    associated: bytes(v.aad),
  };
  expect(encryptInto(envelope, head, body, into, 0)).toBe(into.length);
  return hex(into);
}

describe('encryption: encrypt', () => {
  for (const v of vectors.filter(({ kind }) => kind === 'encrypt')) {
    const plain = bytes(v.decoded!.$bytes);
    test(`${v.name}: the envelope is Go's, in one piece or in two`, () => {
      expect(sealed(v, none, plain)).toBe(v.hex);
      expect(sealed(v, plain.subarray(0, 3), plain.subarray(3))).toBe(v.hex);
    });
    test(`${v.name}: opens again, and adds no more than announced`, () => {
      expect(hex(decrypt(ringOf(v.key!)!.ring, bytes(v.hex), bytes(v.aad)))).toBe(v.decoded!.$bytes);
      expect(v.hex.length / 2 - plain.length).toBeLessThanOrEqual(encryptOverheadBytes(v.version!));
    });
  }
});

const codeOf: Readonly<Record<string, string>> = {
  'no installed keys could decrypt the message': 'undecryptable',
  'unsupported encryption version 2': 'encryption_version',
  'cannot decrypt empty payload': 'encryption_too_short',
  'payload is too small to decrypt: 28': 'encryption_too_short',
  'payload is too small to decrypt: 44': 'encryption_too_short',
};

describe('encryption: decrypt', () => {
  for (const v of vectors.filter(({ kind }) => kind === 'decrypt')) {
    test(`${v.name}: ${v.ok ? 'opens' : 'is refused, in the words of Go'}`, () => {
      const open = (): Uint8Array => decrypt(ringOf(...v.keys!)?.ring ?? [], bytes(v.hex), bytes(v.aad));
      if (v.ok) expect(hex(open())).toBe(v.decoded!.$bytes);
      else expect(open).toThrow(expect.objectContaining({ detail: v.error, code: codeOf[v.error!] }));
    });
  }

  test('padding longer than its text is refused, where Go crashes', () => {
    const key = ringOf('000102030405060708090a0b0c0d0e0f')!.ring[0]!;
    const text = new Uint8Array(16).fill(17);
    const into = new Uint8Array(encryptedLength(1, text.length));
    encryptInto({ version: 1, key, nonce: new Uint8Array(12), associated: none }, none, text, into, 0);
    into[0] = 0; // the version byte is not authenticated
    expect(() => decrypt([key], into, none)).toThrow(expect.objectContaining({ code: 'encryption_padding' }));
  });

  test('a nonce of another size is our own fault, and nothing is written', () => {
    const key = ringOf('000102030405060708090a0b0c0d0e0f')!.ring[0]!;
    const into = new Uint8Array(64);
    const envelope = { version: 1, key, nonce: new Uint8Array(8), associated: none } as const;
    expect(() => encryptInto(envelope, none, none, into, 0)).toThrow(
      expect.objectContaining({ name: 'WireUsageError', code: 'nonce_size' }),
    );
    expect(into).toEqual(new Uint8Array(64));
  });
});

describe('keyring', () => {
  const [a, b, c] = ['a', 'b', 'c'].map((letter) => new Uint8Array(16).fill(letter.charCodeAt(0))) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  const letters = (ring: Keyring): string =>
    ring
      .keys()
      .map((key) => String.fromCharCode(key[0]!))
      .join('');

  test('is empty unless told otherwise, and its first key becomes the primary', () => {
    const ring = new Keyring();
    expect([ring.size, ring.primary]).toEqual([0, undefined]);
    ring.add(b);
    expect([ring.size, ring.primary]).toEqual([1, b]);
  });

  test('the primary comes first, whether or not it is among the keys', () => {
    expect(letters(new Keyring([a, b], b))).toBe('ba');
    expect(letters(new Keyring([a, b], c))).toBe('cab');
    expect(letters(new Keyring([], c))).toBe('c');
  });

  test('keys without a primary are refused', () => {
    expect(() => new Keyring([a])).toThrow(expect.objectContaining({ code: 'primary_missing' }));
  });

  test('a key has 16, 24 or 32 bytes', () => {
    for (const size of [16, 24, 32]) expect(new Keyring([], new Uint8Array(size)).size).toBe(1);
    for (const size of [0, 1, 15, 17, 23, 31, 33]) {
      const ring = new Keyring([], a);
      expect(() => ring.add(new Uint8Array(size))).toThrow(expect.objectContaining({ code: 'key_size' }));
      expect(letters(ring)).toBe('a');
    }
  });

  test('adding a key again changes nothing', () => {
    const ring = new Keyring([a, b], a);
    ring.add(b);
    ring.add(a);
    expect(letters(ring)).toBe('ab');
  });

  test('using a key moves it to the front; using a stranger is refused', () => {
    const ring = new Keyring([a, b, c], a);
    ring.use(c);
    expect(letters(ring)).toBe('cab');
    expect(() => ring.use(new Uint8Array(16))).toThrow(expect.objectContaining({ code: 'key_unknown' }));
    expect(letters(ring)).toBe('cab');
  });

  test('the primary cannot be removed, a stranger need not be', () => {
    const ring = new Keyring([a, b], a);
    expect(() => ring.remove(a)).toThrow(expect.objectContaining({ code: 'primary_in_use' }));
    ring.remove(c);
    expect(letters(ring)).toBe('ab');
    ring.remove(b);
    expect(letters(ring)).toBe('a');
  });

  test('nobody changes a key from outside', () => {
    const mine = Buffer.from(a);
    const ring = new Keyring([], mine);
    mine.fill(0);
    ring.keys()[0]!.fill(0);
    ring.primary!.fill(0);
    expect(letters(ring)).toBe('a');
  });
});
