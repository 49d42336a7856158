/**
 * keys.ts: P-256 keys as Consul writes them, and which signature a CA's key makes.
 *
 * Lives here: making keys from given chance, reading them. Must not live here: certificates, files.
 * Sources: RFC 5915 (SEC1, "EC PRIVATE KEY"); FIPS 186-4 B.4.2 (testing candidates); Consul tlsutil/generate.go
 * (ParseSigner); Go crypto/x509 (signingParamsForKey).
 */
import { createECDH, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { PkiError } from './errors.ts';
import type { RandomBytes } from './ports.ts';

/** Order of the P-256 group: a private key is a number from 1 to this less one. */
const p256Order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

export interface KeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** SEC1: Consul up to 1.10 reads nothing else. */
  readonly pem: string;
}

/** Candidates are drawn until one is in range; the chance of a second draw is 2^-32. */
export function createKeyPair(randomBytes: RandomBytes): KeyPair {
  for (;;) {
    const candidate = Buffer.from(randomBytes(32));
    const number = BigInt(`0x${candidate.toString('hex')}`);
    if (number === 0n || number >= p256Order) continue;
    const ecdh = createECDH('prime256v1');
    ecdh.setPrivateKey(candidate);
    const point = ecdh.getPublicKey();
    const privateKey = createPrivateKey({
      format: 'jwk',
      key: {
        kty: 'EC',
        crv: 'P-256',
        d: candidate.toString('base64url'),
        x: point.subarray(1, 33).toString('base64url'),
        y: point.subarray(33).toString('base64url'),
      },
    });
    const pem = privateKey.export({ type: 'sec1', format: 'pem' }) as string;
    return { privateKey, publicKey: createPublicKey(privateKey), pem };
  }
}

export interface Signer {
  readonly key: KeyObject;
  readonly digest: 'sha256' | 'sha384' | 'sha512';
  /** Of the signature algorithm. */
  readonly oid: string;
  /** RSA algorithms carry a NULL for parameters, ECDSA ones carry none. */
  readonly nullParameters: boolean;
}

const curves: Record<string, Omit<Signer, 'key'>> = {
  prime256v1: { digest: 'sha256', oid: '1.2.840.10045.4.3.2', nullParameters: false },
  secp384r1: { digest: 'sha384', oid: '1.2.840.10045.4.3.3', nullParameters: false },
  secp521r1: { digest: 'sha512', oid: '1.2.840.10045.4.3.4', nullParameters: false },
};

/** A CA's private key: EC (SEC1 or PKCS #8) or RSA. Throws PkiError `bad_key`; `what` is how the message calls it. */
export function parseSigner(pem: string, what: string): Signer {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (cause) {
    const sealed = /^-----BEGIN ENCRYPTED|^Proc-Type: 4,ENCRYPTED/m.test(pem);
    const text = sealed ? 'is encrypted: decrypt it first' : 'is no private key in PEM';
    throw new PkiError('bad_key', `${what} ${text}`, { cause });
  }
  if (key.asymmetricKeyType === 'rsa')
    return { key, digest: 'sha256', oid: '1.2.840.113549.1.1.11', nullParameters: true };
  const algorithm = curves[key.asymmetricKeyDetails?.namedCurve ?? ''];
  if (algorithm === undefined)
    throw new PkiError(
      'bad_key',
      `${what} is of type ${key.asymmetricKeyType}: use an EC (P-256, P-384, P-521) or RSA key`,
    );
  return { key, ...algorithm };
}
