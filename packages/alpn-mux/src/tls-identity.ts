/**
 * tls-identity.ts: who we are and whom we trust, replaceable while running.
 *
 * Parsing PEM and building an OpenSSL context costs milliseconds, so it is done once per material. Connections that
 * are open keep the context they began with; every new one uses the newest. A material that OpenSSL refuses never
 * replaces one that works (I6).
 * A chain must end in a self-signed certificate of `ca`: OpenSSL asks that of a server, where Go would stop at an
 * intermediate in the list.
 * Lives here: secure contexts and the generation they belong to. Must not live here: reading files, connections.
 * Source: Consul tlsutil/config.go (GetConfigForClient fetches a fresh config per handshake).
 */
import { constants, X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import { blocksOf, withChain } from './certificate-chain.ts';

/** PEM texts. `cert` may carry its intermediates after the leaf; `ca` are the roots peers must chain to. */
export interface TlsMaterial {
  readonly ca: readonly string[];
  readonly cert: string;
  readonly key: string;
}

/** The operator's switches, as Consul names them. Federation through gateways needs all three. */
export interface TlsPolicy {
  /** Plain connections are refused, and TLS peers must show a certificate of our CA. */
  readonly verifyIncoming: boolean;
  /** Connections we open within the datacenter use TLS. */
  readonly verifyOutgoing: boolean;
  /** … and the peer's certificate must be for `server.<dc>.<domain>`. */
  readonly verifyServerHostname: boolean;
}

export class TlsMaterialError extends Error {
  override readonly name = 'TlsMaterialError';
  readonly code: 'ca_missing' | 'ca_malformed' | 'certificate_malformed' | 'key_malformed' | 'key_mismatch';
  constructor(code: TlsMaterialError['code'], detail: string, options?: ErrorOptions) {
    super(`[${code}] ${detail}`, options);
    this.code = code;
  }
}

export class TlsIdentity {
  #material: TlsMaterial;
  #made: Made;
  #generation = 1;
  readonly #watchers = new Set<(material: TlsMaterial) => void>();

  constructor(material: TlsMaterial) {
    this.#made = madeOf(material);
    this.#material = material;
  }

  get material(): TlsMaterial {
    return this.#material;
  }

  /** Grows by one with every replacement; whoever caches something built from the material compares it. */
  get generation(): number {
    return this.#generation;
  }

  /** The context of the newest material. */
  get context(): SecureContext {
    return this.#made.context;
  }

  /** What a `tls.Server` needs to build the same context for its side. */
  get serverOptions(): SecureContextOptions {
    return this.#made.options;
  }

  /** From now on new connections use `material`. Throws a TlsMaterialError and changes nothing if it is unusable. */
  replace(material: TlsMaterial): void {
    this.#made = madeOf(material);
    this.#material = material;
    this.#generation += 1;
    for (const tell of this.#watchers) tell(material);
  }

  /** Tells every replacement from now on, to those who cannot look at `generation` for each connection. */
  watch(tell: (material: TlsMaterial) => void): Disposable {
    this.#watchers.add(tell);
    return { [Symbol.dispose]: () => void this.#watchers.delete(tell) };
  }
}

/** What is made of a material, once. */
interface Made {
  readonly options: SecureContextOptions;
  readonly context: SecureContext;
}

function optionsOf(m: TlsMaterial): SecureContextOptions {
  return {
    ca: [...m.ca],
    cert: withChain(m.cert, m.ca),
    key: m.key,
    minVersion: 'TLSv1.2',
    // No session tickets: a resumed session skips the certificate check, so a peer could outlive the CA that let it in.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

function madeOf(m: TlsMaterial): Made {
  // An empty list would make OpenSSL fall back on no roots at all, an absent one on the public web's.
  if (m.ca.length === 0)
    throw new TlsMaterialError('ca_missing', 'no CA certificate: set the CA file or path');
  for (const pem of m.ca)
    check('ca_malformed', 'the CA', () => [pem, ...blocksOf(pem)].map((one) => new X509Certificate(one)));
  const leaf = check('certificate_malformed', 'the certificate', () => new X509Certificate(m.cert));
  const options = optionsOf(m);
  const { key: _key, ...withoutKey } = options;
  check('certificate_malformed', 'the certificate', () => createSecureContext(withoutKey));
  try {
    return { options, context: createSecureContext(options) };
  } catch (cause) {
    const mismatch = (cause as { code?: string }).code === 'ERR_OSSL_X509_KEY_VALUES_MISMATCH';
    throw new TlsMaterialError(
      mismatch ? 'key_mismatch' : 'key_malformed',
      mismatch
        ? `the key does not belong to the certificate of ${leaf.subject || leaf.subjectAltName}`
        : 'the private key cannot be read: give it as unencrypted PEM',
      { cause },
    );
  }
}

function check<T>(code: TlsMaterialError['code'], what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new TlsMaterialError(code, `${what} is no readable PEM certificate`, { cause });
  }
}
