/**
 * server-credentials.ts: the server's certificate as grpc-js wants it, replaceable while it runs.
 *
 * New connections use the newest certificate; open ones go on with the one they began with.
 * Lives here: that translation. Must not live here: files, ports.
 * Source: grpc-js server-credentials.ts (createCertificateProviderServerCredentials), certificate-provider.ts.
 */
import type * as Grpc from '@grpc/grpc-js';
import type { GrpcModule } from './grpc.ts';

/** PEM texts. `cert` may carry its intermediates; `ca` are the authorities of clients' certificates. */
export interface XdsServerMaterial {
  readonly cert: string;
  readonly key: string;
  readonly ca?: readonly string[];
}

type Provider = Grpc.experimental.CertificateProvider;
type IdentityListener = Parameters<Provider['addIdentityCertificateListener']>[0];
type CaListener = Parameters<Provider['addCaCertificateListener']>[0];

export class ReplaceableCredentials implements Provider {
  #material: XdsServerMaterial;
  readonly #identityListeners = new Set<IdentityListener>();
  readonly #caListeners = new Set<CaListener>();

  constructor(material: XdsServerMaterial) {
    this.#material = material;
  }

  /** `requireClientCertificate`: a client without a certificate of `ca` is turned away. */
  of(grpc: GrpcModule, requireClientCertificate: boolean): Grpc.ServerCredentials {
    // Its parameters are declared the other way round than they are used (grpc-js 1.14); being both, we need not care.
    return grpc.experimental.createCertificateProviderServerCredentials(
      this,
      requireClientCertificate ? this : null,
      requireClientCertificate,
    );
  }

  replace(material: XdsServerMaterial): void {
    this.#material = material;
    for (const tell of this.#caListeners) this.#tellCa(tell);
    for (const tell of this.#identityListeners) this.#tellIdentity(tell);
  }

  addIdentityCertificateListener(tell: IdentityListener): void {
    this.#identityListeners.add(tell);
    queueMicrotask(() => this.#tellIdentity(tell)); // whoever listens is not ready to hear before it has returned
  }

  removeIdentityCertificateListener(tell: IdentityListener): void {
    this.#identityListeners.delete(tell);
  }

  addCaCertificateListener(tell: CaListener): void {
    this.#caListeners.add(tell);
    queueMicrotask(() => this.#tellCa(tell));
  }

  removeCaCertificateListener(tell: CaListener): void {
    this.#caListeners.delete(tell);
  }

  #tellIdentity(tell: IdentityListener): void {
    const { cert, key } = this.#material;
    tell({ certificate: Buffer.from(cert), privateKey: Buffer.from(key) });
  }

  #tellCa(tell: CaListener): void {
    tell({ caCertificate: Buffer.from((this.#material.ca ?? []).join('\n')) });
  }
}
