/**
 * @fed/pki: the certificates of a federation: made as `consul tls` makes them, and checked before others refuse them.
 */
export {
  createMeshRoot,
  describeRoot,
  type IntermediateOptions,
  type MeshRootOptions,
  type RootDescription,
  signIntermediate,
  trustDomainOf,
} from './authority.ts';
export {
  type CertificateProblem,
  type CertificateProblemCode,
  checkServerCertificate,
  type Expiry,
  expiry,
  type ServerCertificate,
} from './check.ts';
export {
  type CaCreateFlags,
  type CertCreateFlags,
  type CommandOutcome,
  caCreate,
  certCreate,
} from './commands.ts';
export {
  type CaOptions,
  type CertificateKind,
  type CertificateOptions,
  type Created,
  createCa,
  createCertificate,
} from './create.ts';
export { PkiError, type PkiErrorCode } from './errors.ts';
export { caFileNames, certificateFileNames, type FilePair } from './file-names.ts';
export type { Maker, RandomBytes, TlsFiles } from './ports.ts';
export { readTls, type TlsPaths, type TlsTexts } from './read-tls.ts';
